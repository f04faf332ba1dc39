"""Rows into PostgreSQL and SQLite, as ratios to hand-written forms on the same rows.

The floors write eight columns of a trade and nothing else: no cursor, no id range, no
source, and a shorter key. The sinks write all fifteen columns, and with them how far
they are, in one transaction. "Multi-row VALUES" is what cryptofeed's writer sends: one
INSERT of literals in a transaction, floating point prices, a serial key, no check for
duplicates. Goals: at least 0.85 of the speed of the hand-written form, and at least
twice that of multi-row VALUES with the journal on.

``python benchmarks/bench_sinks.py [ROWS A BATCH] [ROUNDS]``; needs the distributions
``tapeline-sqlite`` and ``tapeline-postgres[testing]``.
"""

from __future__ import annotations

import gc
import logging
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import asyncpg
import msgspec

from tapeline.clock import SystemClock
from tapeline.delivery import SinkRunner
from tapeline.hookspecs import Sink, SinkContext
from tapeline.journal import Journal
from tapeline.model import Batch, Part, Secret, Subscription, Trade, datetime_from_ns
from tapeline.runtime import ThreadExecutor
from tapeline_postgres import PostgresConfig, PostgresSink
from tapeline_postgres.testing import LocalServer
from tapeline_sqlite import SqliteConfig, SqliteSink

STREAM = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")
START_NS = 1_700_000_000_000_000_000
PART_ROWS = 50
BATCHES = 5
DEADLINE_S = 300

Rows = Sequence[Trade]
Write = Callable[[Rows], Awaitable[None]]
Run = Callable[[Sequence[Rows]], Awaitable[None]]

_encode = msgspec.json.Encoder().encode


class Row(msgspec.Struct, gc=False):
    """What the hand-written form sends of a trade."""

    exchange: str
    symbol: str
    id: str
    side: str
    price: Decimal
    amount: Decimal
    ts: int
    recv: int


class Source:
    """Trades whose ids never come again."""

    def __init__(self) -> None:
        self._next = 0

    def rows(self, count: int) -> Rows:
        """So many new ones."""
        begin, self._next = self._next, self._next + count
        return [
            Trade(
                stream=STREAM,
                trade_id=str(number),
                first_id=number,
                last_id=number,
                fills=1,
                side="buy" if number & 1 else "sell",
                price=Decimal(f"{42_000 + number % 1_000 / 10:.1f}"),
                size=Decimal(f"0.{number % 99_999_999 + 1:08d}"),
                exchange_ns=START_NS + number * 1_000_000,
                received_ns=START_NS + number * 1_000_000,
            )
            for number in range(begin, self._next)
        ]


def parts(rows: Rows, first: int) -> list[Part]:
    """*rows* as the journal hands them over: some at each position."""
    return [
        Part(first + begin // PART_ROWS, rows[begin : begin + PART_ROWS])
        for begin in range(0, len(rows), PART_ROWS)
    ]


def by_sink(sink: Sink) -> Write:
    """The sink alone."""
    position = 0

    async def write(rows: Rows) -> None:
        nonlocal position
        batch = Batch("journal", parts(rows, position + 1))
        position = batch.last_position
        await sink.write(batch)

    return write


def with_journal(journal: Journal, runner: SinkRunner) -> Run:
    """All the way: appended, committed, read, stored, the cursor moved."""

    async def run(batches: Sequence[Rows]) -> None:
        for rows in batches:
            for part in parts(rows, 0):
                journal.append(part.records)
            await anyio.lowlevel.checkpoint()
        # Polled: the runner tells nobody, and a round trip is much longer than this.
        while (runner.cursor or 0) < journal.last:  # noqa: ASYNC110
            await anyio.sleep(0.0005)

    return run


def one_by_one(write: Write) -> Run:
    """Batch after batch."""

    async def run(batches: Sequence[Rows]) -> None:
        for rows in batches:
            await write(rows)

    return run


HAND_TABLE = (
    "CREATE TABLE {0} (exchange text, symbol text, trade_id text, side text, price "
    "numeric, amount numeric, ts timestamptz, recv timestamptz, "
    "PRIMARY KEY (exchange, symbol, trade_id))"
)
HAND_INSERT = (
    "INSERT INTO hand SELECT exchange, symbol, id, side, price, amount, "
    "to_timestamp(ts/1e9), to_timestamp(recv/1e9) FROM "
    "json_to_recordset($1::text::json) q(exchange text, symbol text, id text, "
    "side text, price numeric, amount numeric, ts bigint, recv bigint) "
    "ON CONFLICT DO NOTHING"
)
LITERAL_TABLE = (
    "CREATE TABLE literal (id serial PRIMARY KEY, timestamp timestamp, receipt "
    "timestamp, exchange varchar(32), symbol varchar(32), side varchar(8), amount "
    "numeric(64, 32), price numeric(64, 32), trade_id varchar(64), order_type "
    "varchar(32))"
)


def by_json(connection: Any) -> Write:
    """The hand-written form."""

    async def write(rows: Rows) -> None:
        wire = [
            Row(
                row.exchange,
                row.symbol,
                row.trade_id,
                row.side,
                row.price,
                row.size,
                row.exchange_ns,
                row.received_ns,
            )
            for row in rows
        ]
        await connection.execute(HAND_INSERT, _encode(wire).decode())

    return write


def by_literals(connection: Any) -> Write:
    """One INSERT of text, as it is often done."""

    async def write(rows: Rows) -> None:
        values = ",".join(
            [
                f"(DEFAULT,'{datetime_from_ns(row.exchange_ns).replace(tzinfo=None)}',"
                f"'{datetime_from_ns(row.received_ns).replace(tzinfo=None)}',"
                f"'{row.exchange}','{row.symbol}','{row.side}',{float(row.size)},"
                f"{float(row.price)},'{row.trade_id}',NULL)"
                for row in rows
            ]
        )
        async with connection.transaction():
            await connection.execute("INSERT INTO literal VALUES " + values)

    return write


def by_executemany(connection: sqlite3.Connection) -> Write:
    """The hand-written form of SQLite."""
    insert = "INSERT INTO t VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"

    def store(rows: Rows) -> None:
        values = [
            (
                row.exchange,
                row.symbol,
                row.trade_id,
                row.side,
                str(row.price),
                str(row.size),
                row.exchange_ns,
                row.received_ns,
            )
            for row in rows
        ]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, values)
        connection.execute("COMMIT")

    async def write(rows: Rows) -> None:
        await anyio.to_thread.run_sync(store, rows)

    return write


async def compare(title: str, cases: Mapping[str, Run], rows: int, rounds: int) -> None:
    """Time *cases* in turn; ratios are medians over the rounds, the first is 1."""
    source = Source()
    wall: dict[str, list[float]] = {name: [] for name in cases}
    cpu: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        names = list(cases)[:: 1 if number % 2 else -1]
        for name in names:
            batches = [source.rows(rows) for _ in range(BATCHES)]
            gc.collect()
            begin, cpu_begin = time.perf_counter(), time.process_time()
            await cases[name](batches)
            used = time.process_time() - cpu_begin
            seconds = time.perf_counter() - begin
            if number:
                wall[name].append(seconds / (BATCHES * rows))
                cpu[name].append(used / (BATCHES * rows))
    floor = next(iter(cases))
    print(f"\n{title}, {rows} rows a batch, median of {rounds}\n")
    print("| form | rows/s | speed x floor | client CPU us/row | CPU x floor |")
    print("|---|---:|---:|---:|---:|")
    for name in cases:
        speed = _ratio(wall[floor], wall[name])
        cost = _ratio(cpu[name], cpu[floor])
        print(
            f"| {name} | {1 / statistics.median(wall[name]):,.0f} | {speed:.2f} | "
            f"{statistics.median(cpu[name]) * 1e6:.1f} | {cost:.2f} |"
        )


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def context(name: str, folder: Path) -> SinkContext:
    """What core lends."""
    return SinkContext(
        name, SystemClock(), ThreadExecutor(), logging.getLogger("bench"), folder
    )


async def postgres(dsn: str, folder: Path, rows: int, rounds: int) -> None:
    """The cases of PostgreSQL."""
    config = PostgresConfig(dsn=Secret(dsn))
    sink = PostgresSink(config, context("alone", folder))
    await sink.open("journal")
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=60)
    await connection.execute(HAND_TABLE.format("hand"))
    await connection.execute(LITERAL_TABLE)
    fed = PostgresSink(config, context("fed", folder))
    await _with_runner(
        fed,
        folder / "pg",
        lambda whole: compare(
            "PostgreSQL",
            {
                "hand-written: json_to_recordset, 8 columns": one_by_one(
                    by_json(connection)
                ),
                "sink postgres": one_by_one(by_sink(sink)),
                "sink postgres, with the journal": whole,
                "multi-row VALUES": one_by_one(by_literals(connection)),
            },
            rows,
            rounds,
        ),
    )
    await connection.close()
    await sink.close()


async def sqlite(folder: Path, rows: int, rounds: int) -> None:
    """The cases of SQLite."""
    with closing(
        sqlite3.connect(
            folder / "hand.db", isolation_level=None, check_same_thread=False
        )
    ) as hand:
        hand.execute("PRAGMA journal_mode=WAL")
        hand.execute("PRAGMA synchronous=FULL")
        hand.execute(
            "CREATE TABLE t (exchange TEXT NOT NULL, symbol TEXT NOT NULL, trade_id "
            "TEXT NOT NULL, side TEXT NOT NULL, price TEXT NOT NULL, amount TEXT NOT "
            "NULL, ts INTEGER NOT NULL, recv INTEGER NOT NULL, PRIMARY KEY (exchange, "
            "symbol, trade_id)) WITHOUT ROWID"
        )
        sink = SqliteSink(
            SqliteConfig(path=folder / "alone.db"), context("alone", folder)
        )
        await sink.open("journal")
        fed = SqliteSink(SqliteConfig(path=folder / "fed.db"), context("fed", folder))
        await _with_runner(
            fed,
            folder / "sqlite",
            lambda whole: compare(
                "SQLite, synchronous FULL",
                {
                    "hand-written: executemany, 8 columns": one_by_one(
                        by_executemany(hand)
                    ),
                    "sink sqlite": one_by_one(by_sink(sink)),
                    "sink sqlite, with the journal": whole,
                },
                rows,
                rounds,
            ),
        )
        await sink.close()


async def _with_runner(
    sink: Sink, folder: Path, work: Callable[[Run], Awaitable[None]]
) -> None:
    clock = SystemClock()
    journal = await Journal.open(folder, clock=clock, executor=ThreadExecutor())
    runner = SinkRunner("fed", sink, None, journal, clock, random.Random(1))
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.run)
            tasks.start_soon(runner.run)
            await work(with_journal(journal, runner))
            await runner.stop(10)
            await journal.aclose()


def main() -> None:
    """Measure and print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    server = LocalServer({"shared_buffers": "128MB"})
    try:
        server.start()
        dsn = server.create_database("bench")
        with tempfile.TemporaryDirectory() as folder:
            anyio.run(postgres, dsn, Path(folder), rows, rounds)
            anyio.run(sqlite, Path(folder), rows, rounds)
    finally:
        server.close()


if __name__ == "__main__":
    main()
