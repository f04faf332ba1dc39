"""A database that is away for long: memory stays flat, and then it catches up.

The clock is virtual, the journal and the database are real files.
"""

from __future__ import annotations

import gc
import logging
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tapeline.delivery import SinkRunner
from tapeline.errors import SinkUnavailable
from tapeline.hookspecs import Sink, SinkContext
from tapeline.journal import Journal, JournalSettings
from tapeline.model import Batch, SinkHealth, Subscription, Trade
from tapeline.runtime import rss_bytes
from tapeline.testing import InlineExecutor, VirtualClock, run_virtual
from tapeline_sqlite import SqliteConfig, SqliteSink

RATE = 5_000
CALLS_A_SECOND = 50
STREAMS = [
    Subscription("okx", "spot", f"C{n}-USDT", "trade", "trades", "fill")
    for n in range(10)
]
PRICE, SIZE = Decimal("64321.10"), Decimal("0.00012300")
MIB = 2**20


def trades(first: int, count: int) -> list[Trade]:
    """*count* trades, spread over the streams; ids of each stream step by one."""
    return [
        Trade(
            STREAMS[n % len(STREAMS)],
            str(n),
            n // len(STREAMS),
            n // len(STREAMS),
            1,
            "buy",
            PRICE,
            SIZE,
            1_760_000_000_000_000_000 + n * 200_000,
            1_760_000_000_000_000_000 + n * 200_000 + 7,
        )
        for n in range(first, first + count)
    ]


class Away:
    """A sink that can be away, as a database server can; else the one inside."""

    keeps_dead_letters = True

    def __init__(self, sink: Sink) -> None:
        self.away = False
        self._sink = sink

    async def open(self, journal_id: str) -> int | None:
        """Open the one inside."""
        return await self._sink.open(journal_id)

    async def write(self, batch: Batch) -> None:
        """Write to the one inside, when it is there."""
        if self.away:
            raise SinkUnavailable("expected an answer, found none")
        await self._sink.write(batch)

    async def close(self) -> None:
        """Close the one inside."""
        await self._sink.close()

    def health(self, now: Any) -> SinkHealth:
        """Of the one inside."""
        return self._sink.health(now)


class Tally:
    """A sink that only counts, and never takes the same position twice."""

    keeps_dead_letters = True

    def __init__(self) -> None:
        self.records = 0
        self._position: int | None = None

    async def open(self, journal_id: str) -> int | None:
        """How far it is."""
        return self._position

    async def write(self, batch: Batch) -> None:
        """Count what is new."""
        for part in batch.parts:
            if self._position is None or part.position > self._position:
                self.records += len(part.records)
                self._position = part.position

    async def close(self) -> None:
        """Nothing to release."""

    def health(self, now: Any) -> SinkHealth:
        """Always well."""
        return SinkHealth()


@attrs.define
class Collection:
    """A journal and a runner for each sink."""

    clock: VirtualClock
    journal: Journal
    runners: dict[str, SinkRunner]
    sinks: dict[str, Any]
    appended: int = 0

    async def collect(self, seconds: float, rate: int = RATE) -> None:
        """Receive *rate* trades a second."""
        per_call = rate // CALLS_A_SECOND
        for _ in range(int(seconds * CALLS_A_SECOND)):
            self.journal.append(trades(self.appended, per_call))
            self.appended += per_call
            await self.clock.sleep(1 / CALLS_A_SECOND)

    async def caught_up(self, name: str) -> None:
        """Wait until a sink has everything."""
        while (self.runners[name].cursor or 0) < self.journal.last:
            await self.clock.sleep(0.05)


@asynccontextmanager
async def collection(
    folder: Path, *names: str, others: Mapping[str, Sink] | None = None, **settings: Any
) -> AsyncIterator[Collection]:
    """A running collection with SQLite sinks of these names, and *others*."""
    clock = VirtualClock()
    journal = await Journal.open(
        folder,
        clock=clock,
        executor=InlineExecutor(),
        settings=JournalSettings(**settings),
    )
    sinks: dict[str, Sink] = dict(others or {})
    for name in names:
        context = SinkContext(
            name=name,
            clock=clock,
            executor=InlineExecutor(),
            logger=logging.getLogger(f"tapeline.sink.{name}"),
            data_dir=folder,
        )
        config = SqliteConfig(folder / f"{name}.db", synchronous="normal")
        sinks[name] = Away(SqliteSink(config, context))
    runners = {
        name: SinkRunner(name, sink, None, journal, clock, random.Random(1))
        for name, sink in sinks.items()
    }
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.run)
        for runner in runners.values():
            tasks.start_soon(runner.run)
        yield Collection(clock, journal, runners, sinks)
        for runner in runners.values():
            await runner.stop(10.0)
        await journal.aclose()
        tasks.cancel_scope.cancel()


def query(folder: Path, name: str, sql: str) -> list[Any]:
    """Rows of one database."""
    with closing(sqlite3.connect(folder / f"{name}.db")) as connection:
        return connection.execute(sql).fetchall()


def missing(rows: Sequence[tuple[str, int, int]]) -> Counter[tuple[str, int]]:
    """Stream and id of everything in these gaps."""
    return Counter(
        (symbol, each)
        for symbol, first, last in rows
        for each in range(first, last + 1)
    )


@pytest.fixture
def outage_s(request: pytest.FixtureRequest) -> float:
    """How long the database is away, virtual seconds."""
    return float(request.config.getoption("--outage-seconds"))


@pytest.fixture
def figures(record_property: Any) -> Iterator[dict[str, float]]:
    """Printed and recorded at the end."""
    found: dict[str, float] = {}
    yield found
    for name, value in found.items():
        record_property(name, value)
        print(f"{name}: {value:,.2f}")  # noqa: T201 - figures, with -s


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_memory_stays_flat_while_a_database_is_away_and_it_catches_up(
    tmp_path: Path, outage_s: float, figures: dict[str, float]
) -> None:
    async def main() -> None:
        here = Tally()
        others = {"here": here}
        async with collection(
            tmp_path, "away", others=others, quota_bytes=2**40
        ) as running:
            await running.collect(5)
            running.sinks["away"].away = True
            # What is used once, caches and rings among it, is used by now.
            await running.collect(max(5.0, outage_s / 10))
            gc.collect()
            before = rss_bytes() or 0
            await running.collect(outage_s)
            gc.collect()
            grown = (rss_bytes() or 0) - before
            figures["memory grown, MiB"] = grown / MIB
            await running.caught_up("here")
            status = running.runners["away"].status()
            assert status["state"] == "unavailable"
            assert float(str(status["lag_seconds"])) >= outage_s

            assert here.records == running.appended
            waiting = running.appended - int(str(status["records"]))
            figures["events waiting"] = waiting
            figures["journal, MiB"] = int(str(status["lag_bytes"])) / MIB
            running.sinks["away"].away = False
            started, began = time.process_time(), time.perf_counter()
            await running.caught_up("away")
            spent = time.process_time() - started
            figures["drained, events per CPU second"] = waiting / spent
            figures["drained, events per second"] = waiting / (
                time.perf_counter() - began
            )
            assert grown < 24 * MIB
            assert waiting / spent >= 3 * RATE
        [(rows,)] = query(tmp_path, "away", "SELECT count(*) FROM trades")
        assert rows == running.appended
        assert query(tmp_path, "away", "SELECT * FROM gaps") == []

    run_virtual(main)


def test_over_the_quota_the_dead_sink_has_its_gaps_and_the_other_everything(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with collection(tmp_path, "dead", "here", quota_bytes=MIB) as running:
            await running.collect(2, 2_000)
            await running.caught_up("dead")
            running.sinks["dead"].away = True
            await running.collect(15, 2_000)
            await running.caught_up("here")
            status = running.journal.statistics()
            assert int(status["rows_given_up"]) > 0
            assert int(status["bytes"]) < 2 * MIB
            running.sinks["dead"].away = False
            await running.collect(2, 2_000)
            await running.caught_up("dead")
            await running.caught_up("here")
        everything = Counter(
            (trade.symbol, trade.last_id) for trade in trades(0, running.appended)
        )
        stored = Counter(query(tmp_path, "here", "SELECT symbol, last_id FROM trades"))
        assert stored == everything
        assert query(tmp_path, "here", "SELECT * FROM gaps") == []

        stored = Counter(query(tmp_path, "dead", "SELECT symbol, last_id FROM trades"))
        gaps = query(tmp_path, "dead", "SELECT symbol, from_id, to_id, cause FROM gaps")
        assert {cause for *_, cause in gaps} == {"quota"}
        assert stored + missing([gap[:3] for gap in gaps]) == everything
        assert 0 < len(stored) < len(everything)

    run_virtual(main)


@pytest.mark.parametrize("damage", ["older copy", "torn"])
def test_a_sink_that_is_ahead_of_a_damaged_journal_loses_and_doubles_nothing(
    tmp_path: Path, damage: str
) -> None:
    """What the database has stays, and what comes is stored behind it."""

    async def main() -> None:
        async with collection(tmp_path, "here") as running:
            await running.collect(2)
            await running.caught_up("here")
            copy = tmp_path / "copy.db"
            with (
                closing(sqlite3.connect(tmp_path / "journal.db")) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
            await running.collect(2)
            await running.caught_up("here")
        first = running.appended
        journal = tmp_path / "journal.db"
        for side in ("-wal", "-shm"):
            journal.with_name(journal.name + side).unlink(missing_ok=True)
        shutil.copy(copy, journal)
        if damage == "torn":
            content = bytearray(journal.read_bytes())
            content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
            journal.write_bytes(content)

        async with collection(tmp_path, "here") as running:
            assert running.journal.damages or damage == "older copy"
            running.appended = first
            await running.collect(2)
            await running.caught_up("here")
            assert running.runners["here"].state == "running"
        stored = Counter(query(tmp_path, "here", "SELECT symbol, last_id FROM trades"))
        assert stored == Counter(
            (trade.symbol, trade.last_id) for trade in trades(0, running.appended)
        )

    run_virtual(main)
