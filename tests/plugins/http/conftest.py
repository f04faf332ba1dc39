"""A collection of a user's own collectors, with the HTTP service beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx
import pytest

from tapeline import (
    BaseDataCollector,
    CollectorManager,
    DataType,
    MarketDataPoint,
    Secret,
)
from tapeline_http import HttpAdapter, HttpConfig
from tapeline_http.server import HttpService

TOKEN = "a-token-of-twenty-four-ch"


class Beats(BaseDataCollector):
    """One point in ten milliseconds; *fault* is raised once."""

    def __init__(self, name: str = "beats", **settings: Any) -> None:
        super().__init__(
            "acme", ["BTC-USDT"], [DataType.TICKER], component_name=name, **settings
        )
        self.can_connect = True
        self.fault: BaseException | None = None
        self.number = 0

    async def connect(self) -> bool:
        return self.can_connect

    async def disconnect(self) -> None:
        await super().disconnect()

    async def subscribe_to_data(
        self, symbols: list[str], data_types: list[DataType]
    ) -> bool:
        return True

    async def unsubscribe_from_data(
        self, symbols: list[str], data_types: list[DataType]
    ) -> bool:
        return True

    async def _process_message(self, message: Any) -> MarketDataPoint | None:
        now = datetime.now(tz=UTC)
        data = {"last": message}
        return MarketDataPoint("acme", "BTC-USDT", now, DataType.TICKER, data)

    async def _handle_messages(self) -> None:
        await anyio.sleep(0.01)
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        self.number += 1
        point = await self._process_message(self.number)
        if point is not None:
            await self._notify_callbacks(point)


class Remembering(HttpAdapter):
    """Keeps the services it makes, so that a test finds their port."""

    def __init__(self) -> None:
        self.made: list[HttpService] = []

    def service(self, config: Any, control: Any, context: Any) -> HttpService:
        self.made.append(super().service(config, control, context))
        return self.made[-1]


@attrs.define
class Running:
    """A started manager, its service and a client of it."""

    manager: CollectorManager
    service: HttpService
    client: httpx.AsyncClient

    async def send(
        self, method: str, path: str, token: str | None = None
    ) -> httpx.Response:
        """Ask the service."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return await self.client.request(method, path, headers=headers)


Run = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def beats() -> type[Beats]:
    """The collector's class."""
    return Beats


@pytest.fixture
def token() -> str:
    """What the service wants to be shown."""
    return TOKEN


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Start a manager with these collectors and the service on a free port."""
    monkeypatch.chdir(tmp_path)

    @asynccontextmanager
    async def started(
        *collectors: BaseDataCollector, token: str | None = TOKEN
    ) -> AsyncIterator[Running]:
        adapter = Remembering()
        manager = CollectorManager("test", restart_delay=0.01)
        secret = None if token is None else Secret(token)
        manager.add_service("http", adapter, HttpConfig(port=0, token=secret))
        for collector in collectors:
            manager.add_collector(collector)
        await manager.start()
        try:
            service = adapter.made[0]
            base = f"http://127.0.0.1:{service.port}"
            async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
                yield Running(manager, service, client)
        finally:
            await manager.stop()

    return started
