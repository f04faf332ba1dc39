"""Rows and cursor are one: whatever comes again is stored once."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tapeline.errors import SinkUnavailable
from tapeline.model import Batch, Part
from tapeline_sqlite import SqliteConfig
from tapeline_sqlite.connection import open_connection

pytestmark = pytest.mark.anyio


async def test_a_new_journal_has_no_position(make_sink: Any) -> None:
    """None, not zero: zero is a position."""
    sink = make_sink()
    assert await sink.open("journal-a") is None
    await sink.close()


async def test_the_cursor_is_the_last_position(make_sink: Any, records: Any) -> None:
    """And each journal has its own."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)], [records.trade(2)], first=40))
    await sink.close()
    again = make_sink()
    assert await again.open("journal-a") == 41
    assert await again.open("journal-b") is None
    await again.close()


async def test_each_record_lands_in_its_table(
    make_sink: Any, records: Any, query: Any
) -> None:
    """One batch may hold all kinds."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(
        records.batch(
            [records.coverage(), records.gap(), records.trade()],
            [records.ticker(), records.book(), records.delta(), records.balance()],
            [records.raw(), records.candle()],
        )
    )
    counts = {
        table: query(f"SELECT count(*) FROM {table}")[0][0]
        for table in (
            "trades",
            "market_data",
            "gaps",
            "coverage",
            "tickers",
            "order_books",
            "balances",
            "raw_trades",
        )
    }
    assert set(counts.values()) == {1}
    await sink.close()


async def test_a_batch_that_comes_twice_is_stored_once(
    make_sink: Any, records: Any, query: Any
) -> None:
    """Records without identity too: their place is their key."""
    sink = make_sink()
    await sink.open("journal-a")
    batch = records.batch([records.trade(1), records.ticker(), records.ticker()])
    await sink.write(batch)
    await sink.write(batch)
    assert query("SELECT count(*) FROM trades") == [(1,)]
    assert query("SELECT count(*) FROM tickers") == [(2,)]
    await sink.close()


async def test_an_overlapping_batch_adds_only_what_is_new(
    make_sink: Any, records: Any, query: Any
) -> None:
    """Parts at or below the cursor are skipped whole, changed or not."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)], [records.trade(2)]))
    await sink.write(
        records.batch([records.trade(1)], [records.trade(22)], [records.trade(3)])
    )
    assert query("SELECT last_id FROM trades ORDER BY 1") == [(1,), (2,), (3,)]
    assert query("SELECT position FROM tapeline_cursors") == [(3,)]
    await sink.close()


async def test_an_old_batch_does_not_move_the_cursor_back(
    make_sink: Any, records: Any, query: Any
) -> None:
    """Positions only rise."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(9)], first=9))
    await sink.write(records.batch([records.trade(1)], first=1))
    assert query("SELECT position FROM tapeline_cursors") == [(9,)]
    assert query("SELECT last_id FROM trades") == [(9,)]
    await sink.close()


async def test_one_key_twice_in_a_batch_is_one_row(
    make_sink: Any, records: Any, query: Any
) -> None:
    """A bar and its revision often travel together."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(
        records.batch(
            [records.trade(1), records.trade(1)],
            [records.candle(revision=0, close=1), records.candle(revision=1, close=2)],
            [records.gap(revision=0), records.gap(revision=1, state="closed")],
        )
    )
    assert query("SELECT count(*) FROM trades") == [(1,)]
    assert query("SELECT revision, close FROM market_data") == [(1, "2")]
    assert query("SELECT revision, state FROM gaps") == [(1, "closed")]
    await sink.close()


@pytest.mark.parametrize("count", [1, 3, 4, 5, 1023, 1024, 1025, 1365, 2500])
async def test_every_size_of_batch_is_stored_whole(
    make_sink: Any, records: Any, query: Any, count: int
) -> None:
    """Rows are grouped into statements; no group boundary loses one."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(n) for n in range(count)]))
    assert query("SELECT count(*), sum(last_id) FROM trades") == [
        (count, count * (count - 1) // 2)
    ]
    await sink.close()


async def test_two_sinks_of_one_file_have_their_own_cursors(
    make_sink: Any, records: Any, query: Any
) -> None:
    """The cursor's key holds the journal too."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)], first=5))
    await sink.write(Batch("journal-b", [Part(2, [records.trade(2)])]))
    assert query("SELECT journal_id, sink, position FROM tapeline_cursors") == [
        ("journal-a", "local", 5),
        ("journal-b", "local", 2),
    ]
    await sink.close()


async def test_after_a_crash_between_commit_and_answer_nothing_doubles(
    make_sink: Any, records: Any, query: Any
) -> None:
    """The first sink dies with its batch stored and never says so."""
    batch = records.batch([records.trade(1), records.ticker()])
    dead = make_sink()
    await dead.open("journal-a")
    await dead.write(batch)
    sink = make_sink()
    assert await sink.open("journal-a") == 1
    await sink.write(batch)
    assert query("SELECT count(*) FROM tickers") == [(1,)]
    await sink.close()
    await dead.close()


class _Failing(sqlite3.Connection):
    """Fails around COMMIT when told to."""

    fail = ""

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql != "COMMIT" or not _Failing.fail:
            return super().execute(sql, *args)
        when, _Failing.fail = _Failing.fail, ""
        if when == "after":
            super().execute(sql)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error


def _connect_failing(path: Path, config: SqliteConfig) -> sqlite3.Connection:
    open_connection(path, config).close()
    return sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, factory=_Failing
    )


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_that_fails_is_never_half_a_batch(
    make_sink: Any, records: Any, query: Any, when: str
) -> None:
    """Whether it was done or not, the same batch again makes it right."""
    sink = make_sink(connect=_connect_failing)
    await sink.open("journal-a")
    batch = records.batch([records.trade(1), records.ticker()])
    _Failing.fail = when
    with pytest.raises(SinkUnavailable, match="disk I/O error"):
        await sink.write(batch)
    stored = (
        query("SELECT count(*) FROM tickers"),
        query("SELECT count(*) FROM tapeline_cursors"),
    )
    assert stored[0] == stored[1]
    await sink.write(batch)
    assert query("SELECT count(*) FROM tickers") == [(1,)]
    assert query("SELECT position FROM tapeline_cursors") == [(1,)]
    await sink.close()


async def test_a_fetched_fill_inside_a_stored_trade_is_not_stored_again(
    make_sink: Any, records: Any, query: Any
) -> None:
    """A journal that lost its end asks again for what the database has."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(
        records.batch([records.trade(13, first_id=11, fills=3), records.trade(20)])
    )
    fetched = [
        records.trade(number, source="backfill") for number in (10, 11, 12, 13, 14, 20)
    ]
    await sink.write(records.batch(fetched, first=2))
    await sink.close()

    stored = query("SELECT first_id, last_id, source FROM trades ORDER BY last_id")
    assert [tuple(row) for row in stored] == [
        (10, 10, "backfill"),
        (11, 13, "live"),
        (14, 14, "backfill"),
        (20, 20, "live"),
    ]


async def test_fetched_fills_do_not_hide_each_other_or_live_ones_of_their_batch(
    make_sink: Any, records: Any, query: Any
) -> None:
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(
        records.batch(
            [
                records.trade(5),
                records.trade(3, source="backfill"),
                records.trade(4, source="backfill"),
                records.trade(6),
                records.trade(6, source="backfill"),
            ]
        )
    )
    await sink.close()

    assert [row[0] for row in query("SELECT last_id FROM trades")] == [3, 4, 5, 6]
