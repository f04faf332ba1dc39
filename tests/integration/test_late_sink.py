"""A database that comes late, or is wiped: it is told of all that it will not get."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import DataType
from tapeline.plugins import PluginRegistry
from tapeline.runtime import EngineSettings, audit, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    Fault,
    InlineExecutor,
    Ledger,
    Market,
    MemoryVenue,
    VirtualClock,
    run_virtual,
)

SECOND = """
[sinks.warehouse]
use = "sqlite"
path = "data/warehouse.db"
"""
SYMBOLS = ("BTC-USDT", "ETH-USDT")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_second_and_a_wiped_database_verify_after_a_downtime(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
) -> None:
    simulator = background(
        "simulate", "okx", "--port", free_port, "--rate", 50, "--ledger", "l.jsonl"
    )
    simulator.wait_for("ws_url")
    config = write_config(free_port)
    for _ in range(2):
        done = tapeline("run", config, "--duration", 3)
        assert done.returncode == 0, done.stderr
        time.sleep(1.0)
    for path in (tmp_path / "data").glob("market.db*"):
        path.unlink()
    config.write_text(config.read_text() + SECOND)

    done = tapeline("run", config, "--duration", 3)

    assert done.returncode == 0, done.stderr
    for sink, name in (("local", "market.db"), ("warehouse", "warehouse.db")):
        assert f"tapeline.sink.{sink}" in done.stderr
        verified = tapeline(
            "verify", "--database", f"data/{name}", "--ledger", "l.jsonl", "--json"
        )
        assert verified.returncode == 0, verified.stdout
        for stream in json.loads(verified.stdout)["streams"]:
            assert stream["fills_in_gaps"] > 100
            assert stream["fills_stored"] > 20
    assert "(late-sink)" in done.stderr


class Runs:
    """Runs one after the other against one venue, with a downtime after each."""

    def __init__(self, folder: Path, clock: VirtualClock, venue: MemoryVenue) -> None:
        self.folder = folder
        self.clock = clock
        self.venue = venue

    async def run(self, *databases: str, seconds: float = 15.0) -> None:
        """Collect into *databases*, then be away for 3 s."""
        seams = Seams(
            self.clock,
            self.venue.dialer,
            self.venue.http,
            InlineExecutor(),
            random.Random(1),
        )
        with use_seams(seams):
            manager = CollectorManager(
                sinks=[
                    {"name": name, "use": "sqlite", "path": str(self.path(name))}
                    for name in databases
                ],
                settings=EngineSettings(data_dir=self.folder, commit_ms=100),
            )
            manager.add_collector(
                ExchangeCollector(
                    "okx",
                    list(SYMBOLS),
                    [DataType.TRADE, DataType.TICKER],
                    custom_params={"timeframes": ["1s"]},
                )
            )
            assert await manager.start(), manager.get_status()
            await anyio.sleep(seconds)
            await manager.stop()
        await anyio.sleep(3.0)

    def path(self, name: str) -> Path:
        """The file of a database."""
        return self.folder / f"{name}.db"


def against_venue(
    folder: Path,
    main: Callable[[Runs], Any],
    faults: Sequence[Fault] = (),
    holes: float = 0.02,
) -> None:
    """``main`` in virtual time; the venue skips ids now and then."""

    async def play() -> None:
        clock = VirtualClock()
        market = Market(
            4, rate_hz=20.0, start_ns=clock.wall_ns(), hole_probability=holes
        )
        ledger = Ledger(folder / "ledger.jsonl")
        simulator: Any = (
            PluginRegistry()
            .exchange("okx")
            .simulator(market, faults=faults, ledger=ledger)
        )
        async with MemoryVenue(simulator, clock) as venue:
            await main(Runs(folder, clock, venue))
        ledger.close()

    run_virtual(play, seed=4)


def check(folder: Path, name: str, cause: str) -> dict[str, tuple[int, int]]:
    """*name* accounts for all; the ids of its own gaps by symbol, one of each."""
    reader = PluginRegistry().open_reader(str(folder / f"{name}.db"))
    try:
        accounts = audit(reader, [folder / "ledger.jsonl"])
        gaps = [
            gap
            for gap in reader.gaps()
            if gap["cause"] == cause and gap["data_type"] == "trade"
        ]
    finally:
        reader.close()
    assert accounts.ok, accounts.as_dict()
    assert sorted(gap["symbol"] for gap in gaps) == list(SYMBOLS)
    assert accounts.total("fills_in_gaps") > 100
    assert accounts.total("fills_stored") > 100
    assert accounts.total("emitted") == accounts.total(
        "fills_in_gaps"
    ) + accounts.total("fills_stored")
    return {gap["symbol"]: (gap["from_id"], gap["to_id"]) for gap in gaps}


def test_a_late_sink_has_one_gap_a_stream_over_all_that_was_trimmed(
    tmp_path: Path,
) -> None:
    async def main(runs: Runs) -> None:
        await runs.run("first")
        await runs.run("first")
        await runs.run("first", "second")
        await runs.run("first", "second")

    against_venue(tmp_path, main)

    check(tmp_path, "second", "late-sink")


def test_a_wiped_database_has_too(tmp_path: Path) -> None:
    async def main(runs: Runs) -> None:
        await runs.run("first")
        await runs.run("first")
        runs.path("first").unlink()
        await runs.run("first")

    against_venue(tmp_path, main)

    check(tmp_path, "first", "late-sink")


def test_gaps_that_were_given_up_before_the_trim_are_in_it(tmp_path: Path) -> None:
    """A gap at the very end of what was trimmed: only its row tells of its ids."""

    async def main(runs: Runs) -> None:
        await runs.run("first")
        await runs.run("first")
        runs.path("first").unlink()
        await runs.run("first")

    gone = Fault(kind="rest-status", path="/api/v5/market", at_s=10.0, status=503)
    against_venue(tmp_path, main, [gone])

    check(tmp_path, "first", "late-sink")


def test_a_restored_backup_is_told_of_all_since_it_was_made(tmp_path: Path) -> None:
    backups: list[bytes] = []

    async def main(runs: Runs) -> None:
        path = runs.path("first")
        await runs.run("first")
        backups.append(path.read_bytes())
        await runs.run("first")
        backups.append(path.read_bytes())
        await runs.run("first")
        path.write_bytes(backups[0])
        await runs.run("first")
        # And again, with what was told before out of sight once more.
        path.write_bytes(backups[1])
        await runs.run("first")

    against_venue(tmp_path, main)

    check(tmp_path, "first", "restored")
