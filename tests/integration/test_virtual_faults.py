"""Whole runs on the virtual clock: quiet, disconnected, stopped and started."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import DataType
from tapeline.plugins import PluginRegistry
from tapeline.runtime import Accounts, EngineSettings, audit, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    Fault,
    InlineExecutor,
    Ledger,
    Market,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)

SYMBOLS = ("BTC-USDT", "ETH-USDT")


async def collect(
    folder: Path, seed: int, faults: Sequence[Fault], seconds: Sequence[float]
) -> tuple[Accounts, dict[str, Any], SimulatorBase]:
    """Collect for each of *seconds*, with a stop and a new start in between."""
    clock = VirtualClock()
    registry = PluginRegistry()
    adapter = registry.exchange("okx")
    sink = {"use": "sqlite", "path": str(folder / "market.db")}
    ledger = Ledger(folder / "ledger.jsonl")
    market = Market(seed, rate_hz=20.0, start_ns=clock.wall_ns())
    simulator = adapter.simulator(market, faults=faults, ledger=ledger)
    assert isinstance(simulator, SimulatorBase)
    status: dict[str, Any] = {}
    async with MemoryVenue(simulator, clock) as venue:
        seams = Seams(
            clock, venue.dialer, venue.http, InlineExecutor(), random.Random(seed)
        )
        with use_seams(seams):
            for duration in seconds:
                manager = CollectorManager(
                    sinks=[sink], settings=EngineSettings(data_dir=folder)
                )
                manager.add_collector(
                    ExchangeCollector(
                        "okx",
                        list(SYMBOLS),
                        [DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER],
                        custom_params={"timeframes": ["1s", "1m"]},
                    )
                )
                assert await manager.start()
                await anyio.sleep(duration)
                status = manager.get_status()
                await manager.stop()
                await anyio.sleep(3.0)
    ledger.close()
    reader = registry.open_reader(str(folder / "market.db"))
    try:
        return audit(reader, [folder / "ledger.jsonl"]), status, simulator
    finally:
        reader.close()


def run(folder: Path, seed: int, faults: Sequence[Fault], *seconds: float) -> Any:
    """``collect`` in virtual time."""
    folder.mkdir(parents=True, exist_ok=True)
    return run_virtual(collect, folder, seed, faults, seconds, seed=seed)


def test_a_quiet_run_stores_every_fill_inside_coverage(tmp_path: Path) -> None:
    accounts, status, simulator = run(tmp_path, 1, [], 60.0)

    assert accounts.ok, accounts.as_dict()
    assert accounts.total("emitted") == accounts.total("stored") > 1_000
    assert accounts.total("in_gaps") == 0
    assert simulator.police.total == 0
    assert status["statistics"]["running_collectors"] == 1


def test_active_equals_desired_after_random_faults(tmp_path: Path) -> None:
    faults = [Fault(kind="abort", mean_s=3.0, for_s=50.0)]

    _, status, _ = run(tmp_path, 7, faults, 90.0)

    (link,) = status["engine"]["feeds"].values()
    states = {s["subscription"]: s["state"] for s in link["subscriptions"]}
    assert len(states) == 6
    assert set(states.values()) == {"live"}
    assert link["reconnects"] > 5


def test_the_downtime_between_two_runs_is_recorded_and_filled(tmp_path: Path) -> None:
    accounts, _, _ = run(tmp_path, 3, [], 20.0, 20.0, 20.0)

    assert accounts.ok, accounts.as_dict()
    assert accounts.gaps["closed"] >= 4
    assert accounts.total("in_gaps") == 0
    # 60 s of collecting and two pauses of 3 s, at 20 fills/s of two instruments.
    assert accounts.total("emitted") == accounts.total("stored") > 2_200
