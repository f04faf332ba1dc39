"""Seeded faults on the virtual clock: nothing lost, and a seed replays exactly."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

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


def random_faults(seed: int) -> list[Fault]:
    """A mix of what venues do to their clients."""
    chance = random.Random(seed)
    pool = [
        Fault(kind="abort", mean_s=chance.uniform(5, 30)),
        Fault(kind="close", mean_s=chance.uniform(5, 30), target="one", code=4006),
        Fault(kind="drop", channel="trades", probability=chance.uniform(0.005, 0.1)),
        Fault(kind="duplicate", probability=chance.uniform(0.01, 0.5)),
        Fault(kind="permute", channel="trades", probability=chance.uniform(0.01, 0.2)),
        Fault(kind="malformed", mean_s=chance.uniform(1, 10)),
        Fault(kind="refuse", at_s=chance.uniform(5, 20), for_s=5.0, status=503),
        Fault(kind="half-open", at_s=chance.uniform(5, 20)),
        Fault(kind="no-ack", probability=chance.uniform(0.1, 0.5), for_s=20.0),
        Fault(kind="rest-status", at_s=0.0, for_s=3.0, status=503),
        Fault(kind="notice", at_s=chance.uniform(5, 30), deadline_s=5.0),
        Fault(kind="reset-sequence", mean_s=chance.uniform(5, 20)),
    ]
    return chance.sample(pool, chance.randint(1, 5))


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


def test_random_faults_lose_and_double_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    failed = []
    for seed in range(request.config.getoption("--seeds")):
        accounts, _, simulator = run(
            tmp_path / str(seed), seed, random_faults(seed), 40.0
        )
        if not accounts.ok or simulator.police.total or not accounts.total("stored"):
            failed.append((seed, accounts.as_dict(), simulator.police.violations))

    assert failed == []


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


def test_the_same_seed_replays_exactly(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        folder = tmp_path / name
        run(folder, 5, random_faults(5), 30.0)
        reader = PluginRegistry().open_reader(str(folder / "market.db"))
        rows = [
            tuple(row.values())
            for table in (reader.trades(), reader.gaps(), reader.candles())
            for row in table
        ]
        reader.close()
        assert len(rows) > 200
        digests.append(hashlib.sha256(repr(rows).encode()).hexdigest())

    assert digests[0] == digests[1]
