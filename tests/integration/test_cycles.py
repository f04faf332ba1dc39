"""Started and stopped again and again: nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import attrs
import httpx
import psutil
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.hookspecs import ServiceContext
from tapeline.model import DataType
from tapeline.plugins import PluginRegistry
from tapeline.runtime import EngineSettings, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    InlineExecutor,
    LoopbackServer,
    Market,
    MemoryNetwork,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)
from tapeline_http import HttpConfig
from tapeline_http.server import HttpService

EXCHANGES = ("okx", "binance")
WARM_UP = 4
"""Cycles in which caches fill."""


@attrs.frozen
class Count:
    """What the process holds.

    Args:
        objects: that the garbage collector follows.
    """

    tasks: int
    threads: int
    files: int
    objects: int
    rss_bytes: int


def count() -> Count:
    """Look, when everything that can go has gone."""
    gc.collect()
    process = psutil.Process()
    return Count(
        len(asyncio.all_tasks()),
        threading.active_count(),
        process.num_fds(),
        len(gc.get_objects()),
        process.memory_info().rss,
    )


def simulator(exchange: str, start_ns: int, rate_hz: float) -> SimulatorBase:
    """A market that goes on through all cycles."""
    market = Market(1, rate_hz=rate_hz, start_ns=start_ns, max_fills=200)
    made = PluginRegistry().exchange(exchange).simulator(market)
    assert isinstance(made, SimulatorBase)
    return made


def manager_of(folder: Path, urls: dict[str, tuple[str, str]]) -> CollectorManager:
    """Two exchanges, everything stored in one database."""
    manager = CollectorManager(
        sinks=[{"use": "sqlite", "path": str(folder / "market.db")}],
        settings=EngineSettings(data_dir=folder),
    )
    for exchange, (socket, rest) in urls.items():
        manager.add_collector(
            ExchangeCollector(
                exchange,
                ["BTC-USDT", "ETH-USDT"],
                [DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER],
                custom_params={
                    "ws_url": socket,
                    "rest_url": rest,
                    "timeframes": ["1s", "1m"],
                },
            )
        )
    return manager


class _Heard:
    """A service adapter whose service can be asked for its port."""

    name = "http"
    config = HttpConfig

    def __init__(self) -> None:
        self.made: HttpService | None = None

    def service(
        self, config: HttpConfig, control: Any, context: ServiceContext
    ) -> HttpService:
        """A server, kept to be asked."""
        self.made = HttpService(config, control, context)
        return self.made


def test_two_hundred_cycles_leave_no_task_file_or_object_behind(
    tmp_path: Path,
) -> None:
    """On the virtual clock, over the same database, journal and venues."""
    counts: list[Count] = []

    async def inside() -> None:
        clock = VirtualClock()
        venues = {
            f"{exchange}.test": MemoryVenue(
                simulator(exchange, clock.wall_ns(), 2.0), clock
            )
            for exchange in EXCHANGES
        }
        urls = {one: (f"wss://{one}.test", f"https://{one}.test") for one in EXCHANGES}
        async with MemoryNetwork(venues) as line:
            seams = Seams(
                clock, line.dialer, line.http, InlineExecutor(), random.Random(1)
            )
            with use_seams(seams):
                for cycle in range(200):
                    manager = manager_of(tmp_path, urls)
                    assert await manager.start()
                    await anyio.sleep(2.0)
                    assert manager.health().ready
                    await manager.stop()
                    await anyio.sleep(0.1)
                    del manager
                    if cycle >= WARM_UP and cycle % 20 == 19:
                        counts.append(count())

    run_virtual(inside)
    for c in counts: print(c)
    first, last = counts[0], counts[-1]
    assert {one.tasks for one in counts} == {first.tasks}
    assert {one.threads for one in counts} == {first.threads}
    assert {one.files for one in counts} == {first.files}
    assert last.objects - first.objects < 180 * 5, counts
    assert last.rss_bytes - first.rss_bytes < 16 * 2**20, counts


@pytest.mark.anyio
async def test_cycles_over_real_sockets_leave_nothing_behind(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """With threads, ports and the HTTP service, which is asked in each."""
    cycles = pytestconfig.getoption("--cycles")
    counts: list[Count] = []
    async with (
        LoopbackServer(simulator("okx", 1_767_225_600 * 10**9, 50.0)) as okx,
        LoopbackServer(simulator("binance", 1_767_225_600 * 10**9, 50.0)) as binance,
    ):
        urls = {
            name: (f"ws://127.0.0.1:{one.port}", f"http://127.0.0.1:{one.port}")
            for name, one in (("okx", okx), ("binance", binance))
        }
        for cycle in range(cycles):
            manager = manager_of(tmp_path, urls)
            heard = _Heard()
            manager.add_service("http", heard, HttpConfig(port=0))
            assert await manager.start()
            assert heard.made is not None
            async with httpx.AsyncClient(trust_env=False) as client:
                with anyio.fail_after(20):
                    while True:
                        url = f"http://127.0.0.1:{heard.made.port}/readyz"
                        if (await client.get(url)).status_code == 200:
                            break
                        await anyio.sleep(0.05)
            await manager.stop()
            await anyio.sleep(0.1)
            del manager, heard
            if cycle >= WARM_UP:
                counts.append(count())
    for c in counts: print(c)
    first, last = counts[0], counts[-1]
    assert max(one.tasks for one in counts) <= first.tasks
    assert max(one.threads for one in counts) <= first.threads + 1
    assert max(one.files for one in counts) <= first.files + 1
    assert last.objects - first.objects < 100 * len(counts), counts
