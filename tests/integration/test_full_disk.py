"""A journal that takes nothing for a while, on the virtual clock."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import DataType, Trade, ns_from_datetime
from tapeline.plugins import PluginRegistry
from tapeline.runtime import Accounts, EngineSettings, audit, use_seams
from tapeline.seams import Arguments, Result, Seams, Worker
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

FROM_S, UNTIL_S, END_S = 20.0, 40.0, 70.0
MEMORY = 30_000
NO_REST = [Fault(kind="rest-status", path="/api/v5/market", at_s=5.0, status=503)]


class BadDisk:
    """The journal's disk refuses, or answers late, for a while."""

    def __init__(self, clock: VirtualClock, kind: str) -> None:
        self.clock = clock
        self.kind = kind
        self.begin_ns = clock.monotonic_ns()
        self.refused = 0

    def worker(self, name: str) -> Worker:
        """One that fails for the journal."""
        good = InlineExecutor().worker(name)
        return BadWorker(good, self) if name == "journal" else good

    @property
    def left_s(self) -> float:
        """Seconds until it is well again; 0 when it is."""
        now_s = (self.clock.monotonic_ns() - self.begin_ns) / 1e9
        return UNTIL_S - now_s if FROM_S <= now_s < UNTIL_S else 0.0


class BadWorker:
    """See ``BadDisk``."""

    def __init__(self, good: Worker, disk: BadDisk) -> None:
        self._good = good
        self._disk = disk

    async def run(
        self, call: Callable[[*Arguments], Result], *args: *Arguments
    ) -> Result:
        """Run it, unless the disk is bad."""
        if self._disk.left_s:
            self._disk.refused += 1
            if self._disk.kind == "refuses":
                raise sqlite3.OperationalError("database or disk is full")
            await self._disk.clock.sleep(self._disk.left_s)
        return await self._good.run(call, *args)

    async def aclose(self) -> None:
        """Nothing of its own to release."""
        await self._good.aclose()


async def collect(
    folder: Path, kind: str, faults: list[Fault]
) -> tuple[Accounts, dict[str, Any], list[Trade], list[int]]:
    """Collect over a time with a bad disk; also what callbacks saw, and what waited."""
    clock = VirtualClock()
    registry = PluginRegistry()
    disk = BadDisk(clock, kind)
    ledger = Ledger(folder / "ledger.jsonl")
    market = Market(1, rate_hz=40.0, start_ns=clock.wall_ns())
    simulator = registry.exchange("okx").simulator(market, faults=faults, ledger=ledger)
    assert isinstance(simulator, SimulatorBase)
    seen: list[Trade] = []
    waiting: list[int] = []
    async with MemoryVenue(simulator, clock) as venue:
        seams = Seams(clock, venue.dialer, venue.http, disk, random.Random(1))
        with use_seams(seams):
            manager = CollectorManager(
                sinks=[{"use": "sqlite", "path": str(folder / "market.db")}],
                settings=EngineSettings(data_dir=folder, memory_bytes=MEMORY),
            )
            collector = ExchangeCollector(
                "okx",
                ["BTC-USDT"],
                [DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER],
                custom_params={"timeframes": ["1s", "1m"]},
            )
            collector.add_data_callback(DataType.TRADE, seen.append)
            manager.add_collector(collector)
            assert await manager.start()
            while disk.clock.monotonic_ns() - disk.begin_ns < END_S * 1e9:
                await anyio.sleep(0.5)
                engine: Any = manager.get_status()["engine"]
                waiting.append(engine["journal"]["pending_bytes"])
            status = manager.get_status()
            await manager.stop()
    ledger.close()
    assert disk.refused
    reader = registry.open_reader(str(folder / "market.db"))
    try:
        return audit(reader, [folder / "ledger.jsonl"]), status, seen, waiting
    finally:
        reader.close()


def rows(folder: Path, query: str) -> list[Any]:
    """What the database says."""
    connection = sqlite3.connect(folder / "market.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("kind", ["refuses", "stalls"])
def test_what_a_bad_disk_cost_is_fetched_again(tmp_path: Path, kind: str) -> None:
    accounts, status, seen, waiting = run_virtual(collect, tmp_path, kind, [], seed=1)

    assert status["engine"]["shed"] > 300
    assert accounts.ok, accounts.as_dict()
    assert accounts.total("emitted") == accounts.total("stored") > 2_000
    gaps = rows(tmp_path, "SELECT cause, state FROM gaps WHERE from_id > 0")
    assert set(gaps) == {("shed", "closed")}
    # One step of the pipeline and a few facts may come on top.
    assert max(waiting) < MEMORY + 20_000
    check_candles(tmp_path)
    check_live(seen, accounts)


@pytest.mark.parametrize("kind", ["refuses", "stalls"])
def test_what_cannot_be_fetched_again_is_a_gap(tmp_path: Path, kind: str) -> None:
    accounts, status, seen, _ = run_virtual(collect, tmp_path, kind, NO_REST, seed=1)

    assert status["engine"]["shed"] > 300
    assert accounts.ok, accounts.as_dict()
    assert accounts.total("in_gaps") > 300
    assert accounts.total("in_gaps") + accounts.total("stored") == accounts.total(
        "emitted"
    )
    gaps = rows(tmp_path, "SELECT cause, from_ns, to_ns FROM gaps WHERE from_id > 0")
    assert {cause for cause, _, _ in gaps} == {"shed"}
    check_candles(tmp_path)
    check_live(seen, accounts)
    reader = PluginRegistry().open_reader(str(tmp_path / "market.db"))
    whole = [
        ns_from_datetime(bar["timestamp"])
        for bar in reader.candles()
        if bar["timeframe"] == "1s" and bar["state"] == "complete"
    ]
    reader.close()
    assert len(whole) > 30
    for _, from_ns, to_ns in gaps:
        assert [at for at in whole if from_ns < at + 10**9 and at < to_ns] == []


def check_candles(folder: Path) -> None:
    """Every stored trade is in a bar, and no other is."""
    fills = rows(folder, "SELECT sum(fills) FROM trades")
    for timeframe in ("1s", "1m"):
        query = (
            f"SELECT sum(trades_count) FROM market_data WHERE timeframe={timeframe!r}"
        )
        assert rows(folder, query) == fills


def check_live(seen: list[Trade], accounts: Accounts) -> None:
    """Callbacks were given everything, once, whatever became of the disk."""
    ids = [n for trade in seen for n in range(trade.first_id, trade.last_id + 1)]
    assert len(ids) == len(set(ids)) == accounts.total("emitted")
