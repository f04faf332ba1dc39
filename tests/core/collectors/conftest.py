"""A collector as a user writes one: the six methods and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tapeline import BaseDataCollector, DataType, MarketDataPoint
from tapeline.runtime import use_seams
from tapeline.seams import Seams
from tapeline.testing import InlineExecutor, VirtualClock, run_virtual


class TicksCollector(BaseDataCollector):
    """Gets a message every second of the clock; *script* says what goes wrong."""

    def __init__(self, symbols: list[str], **settings: Any) -> None:
        super().__init__("ticks", symbols, [DataType.TICKER], **settings)
        self.script: list[BaseException] = []
        self.calls: list[str] = []
        self.can_connect = True
        self.number = 0

    async def connect(self) -> bool:
        self.calls.append("connect")
        return self.can_connect

    async def disconnect(self) -> None:
        self.calls.append("disconnect")
        await super().disconnect()

    async def subscribe_to_data(
        self, symbols: list[str], data_types: list[DataType]
    ) -> bool:
        self.calls.append(f"subscribe {','.join(symbols)}")
        return True

    async def unsubscribe_from_data(
        self, symbols: list[str], data_types: list[DataType]
    ) -> bool:
        self.calls.append(f"unsubscribe {','.join(symbols)}")
        return True

    async def _process_message(self, message: Any) -> MarketDataPoint | None:
        return MarketDataPoint(
            "ticks",
            self.symbols[0],
            datetime(2026, 1, 1, tzinfo=UTC),
            DataType.TICKER,
            {"last": message},
        )

    async def _handle_messages(self) -> None:
        await self._seams.clock.sleep(1.0)
        if self.script:
            raise self.script.pop(0)
        self.number += 1
        point = await self._process_message(self.number)
        if point is not None:
            await self._notify_callbacks(point)


class _NoNetwork:
    """Sockets and HTTP of a test that needs none."""

    async def dial(self, dial: Any) -> Any:
        raise AssertionError("expected no dial")

    async def send(self, request: Any, timeout_s: float) -> Any:
        raise AssertionError("expected no request")

    async def aclose(self) -> None:
        """Nothing to release."""


def simulated_seams() -> Seams:
    """Virtual clock, inline executor, seeded chance, no network."""
    network = _NoNetwork()
    return Seams(VirtualClock(), network, network, InlineExecutor(), random.Random(1))


@pytest.fixture
def make() -> type[TicksCollector]:
    """The collector's class."""
    return TicksCollector


@pytest.fixture
def simulate() -> Callable[..., Any]:
    """Run an async test body in virtual time."""

    def run(body: Callable[[], Any]) -> Any:
        async def inside() -> Any:
            with use_seams(simulated_seams()):
                return await body()

        return run_virtual(inside)

    return run
