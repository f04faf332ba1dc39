"""Rows and cursor are one: whatever comes again is stored once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import anyio
import pytest

from tapeline.errors import SinkReplaced
from tapeline.model import Batch, Part

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
    """One batch may hold all kinds; it is one statement."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(
        records.batch(
            [records.coverage(), records.gap(), records.trade()],
            [records.ticker(), records.book(), records.delta(), records.balance()],
            [records.raw(), records.candle()],
        )
    )
    tables = (
        "trades",
        "market_data",
        "gaps",
        "coverage",
        "tickers",
        "order_books",
        "balances",
        "raw_trades",
    )
    counts = [(await query(f"SELECT count(*) FROM {table}"))[0][0] for table in tables]
    assert counts == [1] * len(tables)
    await sink.close()


async def test_what_is_stored_is_what_was_given(
    make_sink: Any, records: Any, query: Any
) -> None:
    """Decimals with their last zero, times to the microsecond."""
    sink = make_sink()
    await sink.open("journal-a")
    trade = records.trade(7, price=Decimal("64321.10"), size=Decimal("1E-12"))
    await sink.write(records.batch([trade, records.candle(), records.balance()]))
    assert await query(
        "SELECT price::text, size::text, exchange_ns, timestamp::text, side FROM trades"
    ) == [
        (
            "64321.10",
            "0.000000000001",
            trade.exchange_ns,
            "2023-11-14 22:13:20.123456+00",
            "buy",
        )
    ]
    assert await query("SELECT timestamp::text, close::text FROM market_data") == [
        ("2023-11-14 22:14:00+00", "2")
    ]
    assert await query("SELECT snapshot, locked FROM balances") == [(True, None)]
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
    assert await query("SELECT count(*) FROM trades") == [(1,)]
    assert await query("SELECT count(*) FROM tickers") == [(2,)]
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
    assert await query("SELECT last_id FROM trades ORDER BY 1") == [(1,), (2,), (3,)]
    assert await query("SELECT position FROM tapeline_cursors") == [(3,)]
    await sink.close()


async def test_one_key_twice_in_a_batch_is_one_row(
    make_sink: Any, records: Any, query: Any
) -> None:
    """A bar and its revision often travel together."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(
        records.batch(
            [records.trade(1, side="buy"), records.trade(1, side="sell")],
            [records.candle(revision=1, close=2), records.candle(revision=0, close=1)],
            [records.gap(revision=0), records.gap(revision=1, state="closed")],
            [records.coverage(last_id=10), records.coverage(last_id=20)],
        )
    )
    assert await query("SELECT side FROM trades") == [("buy",)]
    assert await query("SELECT revision, close FROM market_data") == [(1, 2)]
    assert await query("SELECT revision, state FROM gaps") == [(1, "closed")]
    assert await query("SELECT last_id FROM coverage") == [(20,)]
    await sink.close()


@pytest.mark.parametrize(("force", "expected"), [(False, 1), (True, 9)])
async def test_force_update_candles_decides_between_equal_revisions(
    make_sink: Any, records: Any, query: Any, force: bool, expected: int
) -> None:
    """In one batch as in two."""
    sink = make_sink(force_update_candles=force)
    await sink.open("journal-a")
    await sink.write(records.batch([records.candle(open=1), records.candle(open=9)]))
    assert await query("SELECT open FROM market_data") == [(expected,)]
    await sink.write(records.batch([records.candle(open=1)], first=2))
    await sink.write(records.batch([records.candle(open=9)], first=3))
    assert await query("SELECT open FROM market_data") == [(expected,)]
    await sink.close()


async def test_forty_thousand_rows_are_one_batch(
    make_sink: Any, records: Any, query: Any
) -> None:
    """Beyond the number of parameters that a statement may have."""
    sink = make_sink()
    await sink.open("journal-a")
    trades = [records.trade(number) for number in range(40_000)]
    await sink.write(records.batch(trades))
    assert await query("SELECT count(*), sum(last_id) FROM trades") == [
        (40_000, 40_000 * 39_999 // 2)
    ]
    await sink.close()


async def test_two_writers_of_one_sink_never_store_a_batch_twice(
    make_sink: Any, records: Any, query: Any
) -> None:
    """As a server may finish, late, what was given up and sent again."""
    first, second = make_sink(), make_sink()
    await first.open("journal-a")
    await second.open("journal-a")
    batches = [
        records.batch([records.ticker(), records.trade(n)], first=n)
        for n in range(1, 30)
    ]

    async def write(sink: Any) -> None:
        for batch in batches:
            await sink.write(batch)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, first)
        tasks.start_soon(write, second)
    assert await query("SELECT count(*) FROM tickers") == [(29,)]
    assert await query("SELECT position FROM tapeline_cursors") == [(29,)]
    await first.close()
    await second.close()


async def test_two_sinks_of_one_database_have_their_own_cursors(
    make_sink: Any, records: Any, query: Any
) -> None:
    """And share the rows that have an identity."""
    first, second = make_sink("one"), make_sink("two")
    await first.open("journal-a")
    await second.open("journal-b")
    await first.write(records.batch([records.trade(1)], first=5))
    await second.write(Batch("journal-b", [Part(2, [records.trade(1)])]))
    assert await query("SELECT * FROM tapeline_cursors ORDER BY 1") == [
        ("journal-a", "one", 5),
        ("journal-b", "two", 2),
    ]
    assert await query("SELECT count(*) FROM trades") == [(1,)]
    await first.close()
    await second.close()


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
    assert await query("SELECT first_id, last_id, source FROM trades ORDER BY 2") == [
        (10, 10, "backfill"),
        (11, 13, "live"),
        (14, 14, "backfill"),
        (20, 20, "live"),
    ]
    await sink.close()


async def test_fetched_fills_do_not_hide_each_other_or_live_ones_of_their_batch(
    make_sink: Any, records: Any, query: Any
) -> None:
    """What a live trade of several holds is left out of the same batch too."""
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
                records.trade(9, first_id=7, fills=3),
                records.trade(8, source="backfill"),
            ]
        )
    )
    assert await query("SELECT last_id FROM trades ORDER BY 1") == [
        (3,),
        (4,),
        (5,),
        (6,),
        (9,),
    ]
    await sink.close()


@pytest.mark.parametrize(
    "damage",
    ["UPDATE tapeline_cursors SET position = 1", "DELETE FROM tapeline_cursors"],
)
async def test_a_database_that_went_back_is_told_from_one_that_is_ahead(
    make_sink: Any, records: Any, query: Any, damage: str
) -> None:
    """A copy was restored under us: what it lacks must come again."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)]))
    await sink.write(records.batch([records.trade(2)], first=2))
    await query(damage)
    with pytest.raises(SinkReplaced, match=r"up to position 2, found .* (new|1):"):
        await sink.write(records.batch([records.trade(3)], first=3))
    assert await query("SELECT count(*) FROM trades") == [(2,)]
    found = await sink.open("journal-a")
    assert found in (None, 1)
    await sink.write(records.batch([records.trade(2)], [records.trade(3)], first=2))
    assert await query("SELECT count(*) FROM trades") == [(3,)]
    await sink.close()
