"""Started and stopped again and again: nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import attrs
import httpx
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
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="no /proc to count open files in"
)
WARM_UP = 4
"""Cycles in which caches fill."""
RSS_A_CYCLE = 128 * 1024
"""Bytes; the venues in the same process grow with what they remember."""


@attrs.frozen
class Count:
    """What the process holds.

    Args:
        objects: of our classes and of asyncio's, by type; those of the simulated
            venues, which remember their markets, are left out.
    """

    tasks: int
    threads: int
    files: int
    objects: Counter[str]
    rss_bytes: int


def count() -> Count:
    """Look, when everything that can go has gone."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Count(
        len(asyncio.all_tasks()),
        threading.active_count(),
        len(os.listdir("/proc/self/fd")),
        Counter(filter(_is_ours, map(_type_name, gc.get_objects()))),
        pages * os.sysconf("SC_PAGE_SIZE"),
    )


def _type_name(found: object) -> str:
    return f"{type(found).__module__}.{type(found).__qualname__}"


def _is_ours(name: str) -> bool:
    if "simulator" in name or name.startswith("tapeline.testing"):
        return False
    # The loop keeps timers that were canceled until their time has come.
    if name == "asyncio.events.TimerHandle":
        return False
    return name.startswith(("tapeline", "asyncio", "_asyncio", "uvicorn", "httpx"))


def check(counts: list[Count], cycles: int) -> None:
    """Nothing has become more between the first and the last."""
    first, last = counts[0], counts[-1]
    assert max(one.tasks for one in counts) == first.tasks
    assert max(one.threads for one in counts) == first.threads
    assert max(one.files for one in counts) == first.files
    # One more or less is chance; what is left behind is left behind each time.
    grown = {
        name: number - first.objects[name]
        for name, number in last.objects.items()
        if number - first.objects[name] >= max(3, cycles // 10)
    }
    assert grown == {}
    if cycles >= 100:
        per_cycle = (last.rss_bytes - first.rss_bytes) / cycles
        assert per_cycle < RSS_A_CYCLE, f"{per_cycle:.0f} B a cycle"


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


def test_many_cycles_leave_no_task_file_or_object_behind(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """On the virtual clock, over the same database, journal and venues."""
    cycles = pytestconfig.getoption("--cycles") or 40
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
                for cycle in range(cycles):
                    manager = manager_of(tmp_path, urls)
                    assert await manager.start()
                    await anyio.sleep(2.0)
                    assert manager.health().alive
                    await manager.stop()
                    await anyio.sleep(0.1)
                    del manager
                    if cycle % 10 == 9:
                        counts.append(count())

    run_virtual(inside)

    check(counts, cycles - 10)


@pytest.mark.anyio
async def test_cycles_over_real_sockets_leave_nothing_behind(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """With threads, ports and the HTTP service, which is asked in each."""
    cycles = pytestconfig.getoption("--cycles") or 8
    counts: list[Count] = []
    async with (
        LoopbackServer(simulator("okx", time.time_ns(), 20.0)) as okx,
        LoopbackServer(simulator("binance", time.time_ns(), 20.0)) as binance,
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

    check(counts, cycles - WARM_UP)
