"""Starting and stopping again and again leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import random
import time
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from tapeline import CollectorManager, DataType
from tapeline.runtime import EngineSettings, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    InlineExecutor,
    LoopbackServer,
    Market,
    MemoryVenue,
    VirtualClock,
    run_virtual,
)
from tapeline_okx import OKXCollector
from tapeline_okx.simulator import OkxSimulator

CYCLES = 200
WARM = 40
LEAST_BYTES = 256 * 1024


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("open files are not listed on this platform")
    return len(list(folder.iterdir()))


async def _collect(folder: Path, seconds: float, **params: str) -> int:
    """One cycle with a sink, all kinds of callbacks and a change of symbols."""
    seen: list[object] = []
    manager = CollectorManager(
        sinks=[{"use": "sqlite", "path": str(folder / "market.db")}],
        settings=EngineSettings(data_dir=folder),
    )
    collector = OKXCollector(
        "BTC-USDT", [DataType.TRADE, DataType.TICKER], custom_params=params
    )

    async def later(point: object) -> None:
        seen.append(point)

    collector.add_data_callback(DataType.TRADE, seen.append)
    collector.add_data_callback(DataType.TICKER, later)
    manager.add_collector(collector)
    assert await manager.start()
    collector.add_symbol("ETH-USDT")
    with anyio.fail_after(30):
        while not seen:  # noqa: ASYNC110 - there is no event to wait for
            await anyio.sleep(seconds)
    await manager.stop()
    return len(seen)


async def _settled() -> tuple[int, int]:
    """Tasks and open files when all that ends by itself has ended."""
    await anyio.sleep(0.3)
    gc.collect()
    return len(asyncio.all_tasks()), _open_files()


def test_two_hundred_cycles_leave_no_task_file_or_memory(tmp_path: Path) -> None:
    async def body(cycle: Callable[[], Awaitable[int]]) -> None:
        for _ in range(WARM):
            await cycle()
        tasks, files = await _settled()
        objects = Counter(type(one).__module__ for one in gc.get_objects())
        tracemalloc.start()
        try:
            for number in range(CYCLES - WARM):
                await cycle()
                if number == (CYCLES - WARM) // 2:
                    gc.collect()
                    middle = tracemalloc.get_traced_memory()[0]
            assert await _settled() == (tasks, files)
            grown = tracemalloc.get_traced_memory()[0] - middle
        finally:
            tracemalloc.stop()
        assert grown < LEAST_BYTES, f"{grown} bytes in {(CYCLES - WARM) // 2} cycles"
        after = Counter(type(one).__module__ for one in gc.get_objects())
        ours = {
            name: after[name] - objects[name]
            for name in after
            if name.startswith("tapeline") and "testing" not in name
        }
        assert {name: more for name, more in ours.items() if more > CYCLES // 4} == {}

    async def inside() -> None:
        clock = VirtualClock()
        market = Market(4, rate_hz=10.0, start_ns=clock.wall_ns())
        async with MemoryVenue(OkxSimulator(market), clock) as venue:
            seams = Seams(
                clock, venue.dialer, venue.http, InlineExecutor(), random.Random(1)
            )
            with use_seams(seams):
                # A new folder each time: what is stored is no leak.
                folders = (tmp_path / str(number) for number in range(10_000))
                await body(lambda: _collect(next(folders), 0.5))

    run_virtual(inside)


@pytest.mark.anyio
async def test_real_sockets_are_closed_each_time(tmp_path: Path) -> None:
    simulator = OkxSimulator(Market(1, rate_hz=50, start_ns=time.time_ns()))
    async with LoopbackServer(simulator) as server:
        addresses = {"ws_url": server.ws_base, "rest_url": server.rest_base}
        for number in range(3):
            await _collect(tmp_path / str(number), 0.05, **addresses)
        tasks, files = await _settled()
        for number in range(3, 15):
            await _collect(tmp_path / str(number), 0.05, **addresses)
        assert await _settled() == (tasks, files)
