"""Reading and writing without SQL, the same on either database."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.delivery import DeadLetter
from tapeline.delivery.dead_letters import quarantine
from tapeline.errors import DatabaseOperationError
from tapeline.model import datetime_from_ns, ns_from_datetime
from tapeline_sql import (
    BalanceRepository,
    CoverageRepository,
    Database,
    DeadLetterRepository,
    GapRepository,
    MarketDataRepository,
    OrderBookRepository,
    RawTradeRepository,
    Repository,
    TickerRepository,
    TradeRepository,
    build_rows,
    dead_letter_row,
)

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
START_NS = ns_from_datetime(START)
MINUTE_NS = 60 * 10**9

Fill = Callable[..., Any]


@pytest.fixture
def fill(database: Database, records: Any) -> Fill:
    """Stores records of any kind, as a sink would."""

    async def store(*given: Any, position: int = 1) -> None:
        from tapeline.model import Part

        rows = build_rows("journal-a", [Part(position, given)], "local")
        for name, table_rows in rows.tables.items():
            repository: Any = Repository(ROWS[name], database)
            await repository._write(table_rows)

    return store


def _rows() -> dict[str, Any]:
    from tapeline_sql import tables

    found = {}
    for name in dir(tables):
        cls = getattr(tables, name)
        if hasattr(cls, "__tablename__"):
            found[str(cls.__tablename__)] = cls
    return found


ROWS = _rows()


def candles(records: Any, count: int, **changes: Any) -> list[Any]:
    """Minute bars, one after the other."""
    return [
        records.candle(open_ns=START_NS + n * MINUTE_NS, close=Decimal(n), **changes)
        for n in range(count)
    ]


async def test_candles_are_read_by_symbol_timeframe_and_range(
    database: Database, records: Any
) -> None:
    """From the start on, up to but without the end, in the order of time."""
    repository = MarketDataRepository(database)
    await repository.upsert_candles(candles(records, 10)[::-1])
    await repository.upsert_candles(candles(records, 3, timeframe="1h"))
    chosen = repository.select(
        "okx", "BTC-USDT", "1m", start=START + 2 * MINUTE, end=START + 5 * MINUTE
    )
    found = await chosen.fetch()
    assert [row.timestamp for row in found] == [START + n * MINUTE for n in (2, 3, 4)]
    assert [row.close for row in found] == [2, 3, 4]
    assert await chosen.count() == 3
    by_ns = repository.select("okx", "BTC-USDT", "1m", start=START_NS + 9 * MINUTE_NS)
    assert [row.close for row in await by_ns.fetch()] == [9]


async def test_the_latest_row_and_the_newest_first(
    database: Database, records: Any
) -> None:
    """None when there is none."""
    repository = MarketDataRepository(database)
    await repository.upsert_candles(candles(records, 5))
    chosen = repository.select("okx", "BTC-USDT", "1m")
    latest = await chosen.latest()
    assert latest is not None
    assert latest.close == 4
    newest = await chosen.fetch(2, newest_first=True)
    assert [row.close for row in newest] == [4, 3]
    assert await repository.select("okx", "ETH-USDT", "1m").latest() is None


async def test_pages_and_iteration_give_everything_once(
    database: Database, records: Any
) -> None:
    """By offset, by page and one by one."""
    repository = MarketDataRepository(database)
    await repository.upsert_candles(candles(records, 25))
    chosen = repository.select("okx", "BTC-USDT", "1m")
    assert [row.close for row in await chosen.fetch(10, 20)] == [20, 21, 22, 23, 24]
    pages = [[row.close for row in page] async for page in chosen.pages(10)]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [close for page in pages for close in page] == list(range(25))
    assert [row.close async for row in chosen.iterate()] == list(range(25))


async def test_iteration_that_ends_early_gives_its_connection_back(
    url: str, records: Any
) -> None:
    """Of a pool of one."""
    async with Database(url, create=True, pool_size=1, timeout_s=5) as database:
        repository = MarketDataRepository(database)
        await repository.upsert_candles(candles(records, 5))
        for _ in range(3):
            rows = repository.select("okx", "BTC-USDT", "1m").iterate()
            async for _row in rows:
                break
            await rows.aclose()
        assert (await database.health()).in_use == 0


@pytest.mark.parametrize(("force", "expected"), [(False, 1), (True, 9)])
async def test_force_update_candles_decides_between_equal_revisions(
    database: Database, records: Any, force: bool, expected: int
) -> None:
    """A higher revision always replaces, a lower one never."""
    repository = MarketDataRepository(database)
    for value in (1, 9):
        await repository.upsert_candle(
            records.candle(close=Decimal(value), revision=1),
            force_update_candles=force,
        )
    await repository.upsert_candle(
        records.candle(close=Decimal(0), revision=0), force_update_candles=force
    )
    chosen = repository.select("okx", "BTC-USDT", "1m")
    assert [row.close for row in await chosen.fetch()] == [expected]
    await repository.upsert_candle(records.candle(close=Decimal(7), revision=2))
    assert [row.close for row in await chosen.fetch()] == [7]


async def test_decimals_and_times_come_back_as_they_were(
    database: Database, records: Any
) -> None:
    """Exact, with their last zero; aware."""
    trade = records.trade(7, price=Decimal("64321.10"), size=Decimal("0.00012300"))
    repository = TradeRepository(database)
    await repository.add([trade, trade])
    [row] = await repository.select("okx", "BTC-USDT").fetch()
    assert (str(row.price), str(row.size)) == ("64321.10", "0.00012300")
    assert row.timestamp == datetime_from_ns(trade.exchange_ns)
    assert row.timestamp.tzinfo is not None
    assert (row.first_id, row.exchange_ns) == (7, trade.exchange_ns)


async def test_each_table_has_its_repository(
    database: Database, records: Any, fill: Fill
) -> None:
    """What a sink stored is what they read."""
    await fill(
        records.ticker(),
        records.book(),
        records.balance(),
        records.raw("one"),
        records.gap(),
        records.coverage(),
    )
    tickers = await TickerRepository(database).select("okx", "BTC-USDT").fetch()
    assert [row.last for row in tickers] == [Decimal("1.10")]
    book = await OrderBookRepository(database).select("okx", "BTC-USDT").latest()
    assert book is not None
    assert book.bids == '[["1.10","5"],["1.0","6"]]'
    balances = BalanceRepository(database)
    assert await balances.select("okx", asset="BTC").count() == 1
    assert await balances.select("okx", asset="ETH").count() == 0
    gaps = GapRepository(database)
    assert [row.to_id for row in await gaps.select(state="open").fetch()] == [9]
    assert await gaps.select(state="closed").fetch() == []
    [coverage] = await CoverageRepository(database).select(exchange="okx").fetch()
    assert coverage.last_id == 10
    raw = RawTradeRepository(database)
    assert [row.raw_data for row in await raw.select("okx", "BTC-USDT").fetch()] == [
        "one"
    ]


async def test_raw_messages_are_kept_one_by_one(
    database: Database, records: Any
) -> None:
    """They have no identity: the same text twice is two messages."""
    raw = RawTradeRepository(database)
    await raw.add([records.raw("same"), records.raw("same")])
    await raw.add([records.raw("same")])
    other = RawTradeRepository(database)
    await other.add([records.raw("same")])
    assert await raw.select("okx", "BTC-USDT", data_type="trade").count() == 4


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("exact", [False, True])
async def test_frames_have_the_columns_of_the_table(
    database: Database, records: Any, library: str, exact: bool
) -> None:
    """Floating point numbers, or exact decimals when they are asked for."""
    pytest.importorskip(library)
    repository = MarketDataRepository(database)
    await repository.upsert_candles(candles(records, 3))
    chosen = repository.select("okx", "BTC-USDT", "1m")
    empty = repository.select("okx", "ETH-USDT", "1m")
    if library == "pandas":
        frame = await chosen.to_pandas(exact=exact)
        nothing = await empty.to_pandas(exact=exact)
        closes = list(frame["close"])
    else:
        frame = await chosen.to_polars(exact=exact)
        nothing = await empty.to_polars(exact=exact)
        closes = frame["close"].to_list()
    assert closes == [0, 1, 2]
    assert isinstance(closes[0], Decimal if exact else float)
    assert list(frame["timestamp"])[1] == START + MINUTE
    assert list(nothing.columns) == list(frame.columns)
    assert len(nothing) == 0


async def test_statistics_tell_rows_and_times(database: Database, records: Any) -> None:
    """Of one table, or of all."""
    repository = MarketDataRepository(database)
    await repository.upsert_candles(candles(records, 3))
    found = await repository.statistics()
    assert (found.rows, found.first, found.last) == (3, START, START + 2 * MINUTE)
    everything = await database.statistics()
    assert everything["market_data"] == found
    assert everything["trades"].rows == 0
    assert everything["trades"].first is None


async def test_retention_deletes_what_is_older(
    database: Database, records: Any
) -> None:
    """Up to but without the moment; twice is once."""
    repository = MarketDataRepository(database)
    await repository.upsert_candles(candles(records, 10))
    assert await repository.delete_before(START + 4 * MINUTE) == 4
    assert await repository.delete_before(START + 4 * MINUTE) == 0
    assert (await repository.statistics()).first == START + 4 * MINUTE


async def test_retention_of_trades_moves_their_coverage_up(
    database: Database, records: Any, fill: Fill
) -> None:
    """And a collector that tells its coverage again does not move it back."""
    trades = TradeRepository(database)
    await trades.add(
        [records.trade(n, exchange_ns=START_NS + n * MINUTE_NS) for n in range(1, 11)]
    )
    long_ago = records.coverage(started_ns=1, first_id=1, last_id=3)
    running = records.coverage(started_ns=2, first_id=4, last_id=10)
    await fill(long_ago, running)
    assert await trades.delete_before(START + 6 * MINUTE) == 5
    coverage = CoverageRepository(database)
    assert [(row.first_id, row.last_id) for row in await coverage.select().fetch()] == [
        (6, 10)
    ]
    await fill(records.coverage(started_ns=2, first_id=4, last_id=20), position=2)
    assert [(row.first_id, row.last_id) for row in await coverage.select().fetch()] == [
        (6, 20)
    ]


async def test_a_dead_letter_can_be_read_tried_again_and_forgotten(
    database: Database, records: Any, fill: Fill
) -> None:
    """Whoever repaired the reason brings the record back; its gap closes."""
    trade, ticker = records.trade(7), records.ticker()
    for ordinal, record in enumerate((trade, ticker)):
        letter = DeadLetter(5, ordinal, record, "a reason")
        gap = quarantine(record, "journal-a", 5, ordinal, "local", 1)
        await fill(gap, position=5)
        dead: Any = Repository(ROWS["tapeline_dead_letters"], database)
        await dead._write([dead_letter_row("journal-a", "local", letter, 99)])
    letters = DeadLetterRepository(database)
    assert await letters.select("other").count() == 0
    first, second = await letters.select("local").fetch()
    assert first.reason == "a reason"
    assert letters.record(first) == trade

    await letters.retry(first)
    assert await TradeRepository(database).select("okx", "BTC-USDT").count() == 1
    gaps = GapRepository(database)
    [closed] = await gaps.select(state="closed").fetch()
    assert (closed.from_id, closed.recovered_count, closed.revision) == (7, 1, 2)
    await letters.retry(second)
    [row] = await TickerRepository(database).select("okx", "BTC-USDT").fetch()
    assert (row.journal_id, row.position, row.ordinal) == ("journal-a", 5, 1)
    assert await letters.select().count() == 0
    assert await letters.delete(second) is False


async def test_a_dead_letter_that_is_refused_again_stays(
    database: Database, records: Any
) -> None:
    """Nothing of the try stays."""
    poison = records.trade(7, price=Decimal("NaN"))
    letter = dead_letter_row("j", "local", DeadLetter(5, 0, poison, "reason"), 99)
    dead: Any = Repository(ROWS["tapeline_dead_letters"], database)
    await dead._write([letter])
    letters = DeadLetterRepository(database)
    [row] = await letters.select().fetch()
    with pytest.raises(DatabaseOperationError, match="retry on table") as caught:
        await letters.retry(row)
    assert "is_finite" in str(caught.value)
    assert await letters.select().count() == 1
    assert await letters.delete(row) is True


async def test_a_write_that_fails_stores_nothing_and_says_where(
    database: Database, records: Any
) -> None:
    """One error for everything: operation, table and cause."""
    repository = TradeRepository(database)
    good, bad = records.trade(1), records.trade(2, price=Decimal("NaN"))
    with pytest.raises(DatabaseOperationError) as caught:
        await repository.add([good, bad])
    error = caught.value
    assert (error.operation, error.table) == ("upsert", "trades")
    assert "price_is_finite" in str(error.cause)
    assert await repository.select("okx", "BTC-USDT").count() == 0


async def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    """Whose midnight would it be?"""
    naive = datetime(2026, 1, 1)
    repository = MarketDataRepository(database)
    with pytest.raises(DatabaseOperationError, match="expected an aware datetime"):
        repository.select("okx", "BTC-USDT", "1m", start=naive)


async def test_many_may_read_and_write_at_the_same_time(
    database: Database, records: Any
) -> None:
    """More than the pool has connections."""
    repository = MarketDataRepository(database)

    async def work(number: int) -> None:
        await repository.upsert_candle(
            records.candle(open_ns=START_NS + number * MINUTE_NS)
        )
        await repository.select("okx", "BTC-USDT", "1m").fetch()

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(work, number)
    assert (await repository.statistics()).rows == 20


async def test_health_is_told_and_never_raised(
    database: Database, tmp_path: Path
) -> None:
    """Good or bad, with the pool's figures."""
    good = await database.health()
    assert (good.ok, good.issue, good.in_use) == (True, "", 0)
    assert good.latency_s is not None
    bad = await Database(tmp_path / "no" / "such.db").health()
    assert (bad.ok, bad.latency_s) == (False, None)
    assert "found none at" in bad.issue
    # With the driver nobody answers, without it the driver is asked for.
    away = Database("postgresql://me:open-sesame@127.0.0.1:1/x", timeout_s=2)
    gone = await away.health()
    assert not gone.ok
    assert "open-sesame" not in gone.issue
    assert "open-sesame" not in repr(away)
    await away.close()


async def test_a_missing_driver_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repositories install without that of PostgreSQL."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    database = Database("postgresql://me@127.0.0.1:1/x", timeout_s=2)
    with pytest.raises(DatabaseOperationError, match="install tapeline-postgres"):
        await database.open()
    assert "asyncpg" in (await database.health()).issue


async def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    """And a file that is no database of ours."""
    with pytest.raises(DatabaseOperationError, match="found mysql://"):
        Database("mysql://root@localhost/x")
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(DatabaseOperationError, match="none of its tables"):
        await Database(path).open()
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(DatabaseOperationError, match="open on table"):
        await Database(path).open()


async def test_a_newer_database_is_refused(url: str) -> None:
    """With what to upgrade."""
    from sqlalchemy import text

    async with (
        Database(url, create=True) as database,
        database.connection("test", "tapeline_schema") as connection,
    ):
        await connection.execute(text("UPDATE tapeline_schema SET version = 99"))
    newer = Database(url)
    with pytest.raises(DatabaseOperationError, match="found version 99; upgrade"):
        await newer.open()
    await newer.close()


async def test_a_repository_may_own_its_database(url: str, records: Any) -> None:
    """An address is enough; the context releases it."""
    async with Database(url, create=True):
        pass
    async with TradeRepository(url) as repository:
        await repository.add([records.trade(1)])
        logging.getLogger(__name__).debug("%r", repository.database)
    async with TradeRepository(url) as repository:
        assert await repository.select("okx", "BTC-USDT").count() == 1
