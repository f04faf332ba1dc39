"""Poison, cancellation, and databases that cannot be used."""

from __future__ import annotations

import base64
import logging
from decimal import Decimal
from typing import Any

import anyio
import attrs
import pytest

from tapeline.clock import Now
from tapeline.errors import SinkError, SinkRejected, SinkUnavailable
from tapeline.journal import decode
from tapeline.model import DataType, MarketDataPoint, datetime_from_ns
from tapeline_sql import SCHEMA_VERSION

pytestmark = pytest.mark.anyio

NOW = Now(0, 0, 0)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("price", Decimal("NaN"), "price_is_finite"),
        ("size", Decimal("-Infinity"), "size_is_finite"),
        ("price", Decimal("1E+200000"), "overflow|too large|out of range|precision"),
        ("last_id", 2**63, "out of range"),
        ("last_id", 2**80, "64 bits|out of range|too big"),
        ("first_id", None, "null value"),
        ("trade_id", "\ud800", "surrogates"),
        ("trade_id", "a\0b", "unicode|Unicode"),
        ("exchange_ns", "soon", "bigint"),
    ],
)
async def test_a_poison_record_is_named_and_kept_and_nothing_else_is_stored(
    make_sink: Any, records: Any, query: Any, field: str, value: object, reason: str
) -> None:
    """The rest can be given again without it."""
    sink = make_sink()
    await sink.open("journal-a")
    poison = attrs.evolve(records.trade(7), **{field: value})
    good = [records.trade(1), records.ticker()]
    with pytest.raises(SinkRejected, match=reason) as caught:
        await sink.write(records.batch(good, [records.trade(2), poison]))
    assert caught.value.records == ((2, 1),)
    assert "1 of 4 records cannot be stored" in str(caught.value)
    assert await query("SELECT count(*) FROM trades") == [(0,)]
    [letter] = await query(
        "SELECT journal_id, sink, position, ordinal, symbol, payload "
        "FROM tapeline_dead_letters"
    )
    assert letter[:5] == ("journal-a", "local", 2, 1, "BTC-USDT")
    [kept] = decode(base64.b64decode(letter[5]))
    assert str(kept) == str(poison)

    await sink.write(records.batch(good, [records.trade(2)]))
    assert await query("SELECT count(*) FROM trades") == [(2,)]
    assert await query("SELECT position FROM tapeline_cursors") == [(2,)]
    await sink.close()


async def test_every_poison_record_of_a_large_batch_is_named(
    make_sink: Any, records: Any, query: Any
) -> None:
    """By halves: a few dozen trials, not thousands; twice is one dead letter."""
    sink = make_sink()
    await sink.open("journal-a")
    bad = {100, 101, 1_700}
    trades = [
        records.trade(n, **({"price": Decimal("NaN")} if n in bad else {}))
        for n in range(2_000)
    ]
    for _ in range(2):
        with pytest.raises(SinkRejected, match="3 of 2000 records") as caught:
            await sink.write(records.batch(trades))
        assert caught.value.records == ((1, 100), (1, 101), (1, 1_700))
    assert await query("SELECT ordinal FROM tapeline_dead_letters ORDER BY 1") == [
        (100,),
        (101,),
        (1_700,),
    ]
    await sink.close()


async def test_a_poison_record_is_a_gap_and_the_others_are_stored(
    make_sink: Any, deliver: Any, records: Any, query: Any
) -> None:
    """What core makes of it."""
    delivery = await deliver(make_sink())
    journal = delivery.journal
    journal.append([records.trade(1), records.trade(2, price=Decimal("NaN"))])
    journal.append([records.trade(3)])
    await delivery.stored()
    assert await query("SELECT last_id FROM trades ORDER BY 1") == [(1,), (3,)]
    assert await query("SELECT from_id, to_id, cause FROM gaps") == [
        (2, 2, "quarantine")
    ]
    assert await query("SELECT count(*) FROM tapeline_dead_letters") == [(1,)]


async def test_a_type_without_a_table_is_counted_and_told_once(
    make_sink: Any, records: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A plugin's own data type."""
    sink = make_sink()
    await sink.open("journal-a")
    point = MarketDataPoint("x", "y", datetime_from_ns(1), DataType.TICKER, {})
    with caplog.at_level(logging.WARNING):
        await sink.write(records.batch([point]))
        await sink.write(records.batch([point], first=2))
    assert len([r for r in caplog.records if "has no table" in r.message]) == 1
    assert sink.health(NOW).counters["without_table_MarketDataPoint"] == 2
    await sink.close()


async def test_a_write_that_is_cancelled_leaves_no_connection_in_doubt(
    make_sink: Any, records: Any, query: Any, postgres_dsn: str
) -> None:
    """At any moment; what comes after finds out whether it was stored."""
    sink = make_sink()
    await sink.open("journal-a")
    name = postgres_dsn.partition("?")[0].rpartition("/")[2]
    for number in range(1, 31):
        batch = records.batch([records.trade(number), records.ticker()], first=number)
        with anyio.move_on_after(0.0004 * (number % 10)):
            await sink.write(batch)
        await sink.write(batch)
    assert await query("SELECT count(*), max(last_id) FROM trades") == [(30, 30)]
    assert await query("SELECT count(*) FROM tickers") == [(30,)]
    await sink.close()
    left = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name "
        f"LIKE 'tapeline%' AND datname = '{name}'"
    )
    with anyio.fail_after(20):
        while await query(left) != [(0,)]:  # noqa: ASYNC110 - the server tells nobody
            await anyio.sleep(0.05)


async def test_opening_that_is_cancelled_can_be_repeated(
    make_sink: Any, records: Any
) -> None:
    """A stop during start-up."""
    sink = make_sink()
    for tenth_ms in (0, 5, 20, 80):
        with anyio.move_on_after(tenth_ms / 10_000):
            await sink.open("journal-a")
    assert await sink.open("journal-a") is None
    await sink.write(records.batch([records.trade(1)]))
    await sink.close()


async def test_closing_is_safe_unopened_and_twice(make_sink: Any) -> None:
    """As the contract says."""
    sink = make_sink()
    await sink.close()
    await sink.open("journal-a")
    await sink.close()
    await sink.close()


async def test_tables_of_another_program_are_left_alone(
    make_sink: Any, empty_postgres_dsn: str, query_at: Any
) -> None:
    """Not even one table is made."""
    await query_at(empty_postgres_dsn, "CREATE TABLE trades (id int)")
    sink = make_sink(dsn=empty_postgres_dsn)
    with pytest.raises(SinkError, match="table 'trades' that is another") as caught:
        await sink.open("journal-a")
    assert type(caught.value) is SinkError
    await sink.close()


async def test_a_newer_schema_is_refused_with_a_sentence(
    make_sink: Any, query: Any
) -> None:
    """Written by a later version: not touched."""
    await query("UPDATE tapeline_schema SET version = 99")
    sink = make_sink()
    with pytest.raises(SinkError, match=r"found version 99 in .*; upgrade tapeline-p"):
        await sink.open("journal-a")
    await sink.close()


async def test_several_sinks_may_make_the_tables_at_the_same_moment(
    make_sink: Any, records: Any, empty_postgres_dsn: str, query_at: Any
) -> None:
    """One of them does; the others find them."""
    sinks = [make_sink(f"s{n}", dsn=empty_postgres_dsn) for n in range(3)]
    async with anyio.create_task_group() as tasks:
        for sink in sinks:
            tasks.start_soon(sink.open, "journal-a")
    for number, sink in enumerate(sinks):
        await sink.write(records.batch([records.trade(number)]))
        await sink.close()
    found = await query_at(
        empty_postgres_dsn,
        "SELECT (SELECT count(*) FROM trades), max(version) FROM tapeline_schema",
    )
    assert found == [(3, SCHEMA_VERSION)]


async def test_a_database_that_does_not_exist_is_final_at_the_start(
    make_sink: Any, postgres_server: Any
) -> None:
    """A typing error, most likely."""
    sink = make_sink(dsn=postgres_server.dsn("nowhere"))
    with pytest.raises(SinkError, match="expected a database that exists at") as caught:
        await sink.open("journal-a")
    assert type(caught.value) is SinkError
    await sink.close()


async def test_a_server_that_is_not_there_is_waited_for(make_sink: Any) -> None:
    """And named without the password."""
    sink = make_sink(dsn="postgresql://me:open-sesame@127.0.0.1:1/market")
    with pytest.raises(SinkUnavailable, match=r"127\.0\.0\.1:1/market: ") as caught:
        await sink.open("journal-a")
    assert "open-sesame" not in str(caught.value)
    assert "open-sesame" not in repr(sink.health(NOW))
    await sink.close()
