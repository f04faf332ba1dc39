"""The time between two runs is a gap in every stream, before anything new is stored."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import DataType
from tapeline.plugins import PluginRegistry
from tapeline.runtime import EngineSettings, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    InlineExecutor,
    Market,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)

AWAY_S = 30.0


async def collect(folder: Path, leave: Callable[[], None] | None = None) -> None:
    """Collect for a while with everything in *folder*; *leave* while it runs."""
    sink = {"use": "sqlite", "path": str(folder / "market.db")}
    manager = CollectorManager(sinks=[sink], settings=EngineSettings(data_dir=folder))
    manager.add_collector(
        ExchangeCollector(
            "okx",
            ["BTC-USDT"],
            [DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER],
        )
    )
    assert await manager.start()
    await anyio.sleep(8.0)
    if leave is not None:
        leave()
    await manager.stop()


async def run_twice(folder: Path, ended: str) -> list[Mapping[str, Any]]:
    """Collect for a while, be away, collect again; the gaps of the database.

    A process that is killed leaves its files as they are at that moment, so the
    second run gets a copy that is made while the first one runs.
    """
    clock = VirtualClock()
    registry = PluginRegistry()
    market = Market(4, rate_hz=20.0, start_ns=clock.wall_ns())
    simulator = registry.exchange("okx").simulator(market)
    assert isinstance(simulator, SimulatorBase)
    first, second = folder / "first", folder / "second"
    first.mkdir()

    def hand_over() -> None:
        shutil.copytree(first, second)

    async with MemoryVenue(simulator, clock) as venue:
        seams = Seams(
            clock, venue.dialer, venue.http, InlineExecutor(), random.Random(4)
        )
        with use_seams(seams):
            await collect(first, hand_over if ended == "killed" else None)
            if ended == "stopped":
                hand_over()
            await anyio.sleep(AWAY_S)
            await collect(second)
    reader = registry.open_reader(str(second / "market.db"))
    try:
        return list(reader.gaps())
    finally:
        reader.close()


@pytest.fixture(scope="module", params=["stopped", "killed"])
def gaps(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> list[Mapping[str, Any]]:
    """The gap rows of two runs with a pause, after which the first one ended."""
    told: list[Mapping[str, Any]] = run_virtual(
        run_twice, tmp_path_factory.mktemp("runs"), request.param, seed=4
    )
    return told


def test_every_stream_has_one_gap_for_the_downtime(
    gaps: list[Mapping[str, Any]],
) -> None:
    found = sorted(row["data_type"] for row in gaps if row["cause"] == "downtime")
    assert found == ["orderbook", "ticker", "trade"]


@pytest.mark.parametrize("data_type", ["ticker", "orderbook"])
def test_what_cannot_be_fetched_again_is_missing_from_the_last_event_to_the_next(
    gaps: list[Mapping[str, Any]], data_type: str
) -> None:
    (row,) = [row for row in gaps if row["data_type"] == data_type]
    assert row["state"] == "unrecoverable"
    assert AWAY_S - 2 < (row["to_ns"] - row["from_ns"]) / 1e9 < AWAY_S + 5


def test_trades_of_the_downtime_are_fetched_to_the_last(
    gaps: list[Mapping[str, Any]],
) -> None:
    (row,) = [row for row in gaps if row["data_type"] == "trade"]
    assert (row["state"], row["cause"]) == ("closed", "downtime")
    assert row["recovered_count"] == row["to_id"] - row["from_id"] + 1 > 300
