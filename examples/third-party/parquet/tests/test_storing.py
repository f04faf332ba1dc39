"""Batches become Parquet files that DuckDB and Polars read, exactly and once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars
import pytest

from tapeline.clock import Now
from tapeline.errors import SinkError, SinkRejected
from tapeline.model import BookSnapshot, MarketDataPoint, Subscription, datetime_from_ns

pytestmark = pytest.mark.anyio

BOOKS = Subscription("okx", "spot", "BTC-USDT", "orderbook", "books")
IDS = "SELECT first_id FROM {trades} ORDER BY position, ordinal"


async def stored(sink: Any, *batches: Any) -> None:
    """Open, write, close."""
    await sink.open("j1")
    for one in batches:
        await sink.write(one)
    await sink.close()


async def test_rows_are_what_was_written_for_duckdb_and_for_polars(
    new_sink: Any, batch: Any, records: Any, query: Any, folder: Path
) -> None:
    trade = records["trade"](7, "64000.10", "0.00000001")

    await stored(new_sink(), batch(5, [trade, records["ticker"](3)]))

    (row,) = query(
        "SELECT journal_id, position, ordinal, symbol, price, size, exchange_ns,"
        " epoch_us(timestamp) FROM {trades}"
    )
    assert row == (
        "j1", 5, 0, "BTC-USDT", Decimal("64000.1"), Decimal("0.00000001"),
        trade.exchange_ns, trade.exchange_ns // 1_000,
    )  # fmt: skip
    frame = polars.read_parquet(folder / "trades" / "*.parquet")
    assert frame["price"].to_list() == [Decimal("64000.1")]
    assert frame["timestamp"].to_list() == [datetime_from_ns(trade.exchange_ns)]
    assert polars.read_parquet(folder / "tickers" / "*.parquet")["bid"][0] is None


async def test_books_are_lists_of_levels(
    new_sink: Any, batch: Any, query: Any, folder: Path
) -> None:
    book = BookSnapshot(
        BOOKS, [("100.5", "2"), ("100", "1")], [("101", "3")], 9, 10**18, 10**18
    )

    await stored(new_sink(), batch(1, [book]))

    (row,) = query("SELECT bids[1].price, bids[2].size, len(asks) FROM {order_books}")
    assert row == (Decimal("100.5"), Decimal(1), 1)
    frame = polars.read_parquet(folder / "order_books" / "*.parquet")
    assert frame["asks"].to_list()[0][0]["price"] == Decimal(101)


async def test_as_text_any_number_is_kept(
    new_sink: Any, batch: Any, records: Any, query: Any
) -> None:
    tiny = records["trade"](1, "0.00000000000000000000000001")

    await stored(new_sink(decimals="text"), batch(1, [tiny]))

    ((text,),) = query("SELECT price FROM {trades}")
    assert Decimal(text) == tiny.price


async def test_a_number_that_does_not_fit_is_refused_by_its_place(
    new_sink: Any, batch: Any, records: Any, query: Any
) -> None:
    good = records["trade"](1)
    bad = [records["trade"](2, "1e-19"), records["trade"](3, "NaN"),
           records["trade"](2**63)]  # fmt: skip
    sink = new_sink()
    await sink.open("j1")

    with pytest.raises(SinkRejected) as refused:
        await sink.write(batch(4, [good], bad))

    assert refused.value.records == ((5, 0), (5, 1), (5, 2))
    await sink.write(batch(4, [good], []))
    await sink.close()
    assert query(IDS) == [(1,)]


async def test_a_batch_that_comes_again_is_stored_once(
    new_sink: Any, batch: Any, records: Any, query: Any
) -> None:
    first = batch(1, [records["trade"](1)], [records["trade"](2)])
    longer = batch(1, [records["trade"](1)], [records["trade"](2)],
                   [records["trade"](3)])  # fmt: skip
    sink = new_sink()
    await sink.open("j1")

    for one in (first, first, longer, first):
        await sink.write(one)
    await sink.close()

    assert query(IDS) == [(1,), (2,), (3,)]


async def test_the_cursor_comes_from_the_names_of_whole_files(
    new_sink: Any, batch: Any, records: Any
) -> None:
    assert await new_sink().open("j1") is None
    await stored(new_sink(), batch(8, [records["trade"](1)], [records["trade"](2)]))

    assert await new_sink().open("j1") == 9
    assert await new_sink().open("j2") is None


async def test_what_is_spooled_counts_as_stored_before_any_rotation(
    new_sink: Any, batch: Any, records: Any, query: Any
) -> None:
    sink = new_sink()
    await sink.open("j1")
    await sink.write(batch(3, [records["trade"](1)]))

    # As after a kill: nobody closed the first one.
    again = new_sink()
    assert await again.open("j1") == 3
    await again.write(batch(3, [records["trade"](1)]))
    await again.close()

    assert query(IDS) == [(1,)]


async def test_a_cursor_without_rows_is_kept_over_restarts(
    new_sink: Any, batch: Any, records: Any, query: Any
) -> None:
    point = MarketDataPoint("x", "Y", datetime_from_ns(0), "acme.thing", {})
    await stored(new_sink(), batch(1, [records["trade"](1)]), batch(2, [point]))

    sink = new_sink()
    assert await sink.open("j1") == 2
    await sink.write(batch(3, [records["trade"](3)]))
    assert sink.health(Now(0, 0, 0)).counters["trades"] == 1
    await sink.close()

    assert await new_sink().open("j1") == 3
    assert query(IDS) == [(1,), (3,)]


async def test_files_are_rotated_by_size_and_by_age(
    new_sink: Any, batch: Any, records: Any, folder: Path
) -> None:
    sink = new_sink(rotate_bytes=600)
    await sink.open("j1")
    for number in range(1, 20):
        await sink.write(batch(number, [records["trade"](number)]))
    files = list((folder / "trades").iterdir())
    assert 3 < len(files) < 19
    await sink.close()

    old = new_sink(rotate_s=1e-9)
    await old.open("j1")
    await old.write(batch(20, [records["trade"](20)]))
    await old.write(batch(21, [records["trade"](21)]))
    assert [path.name for path in (folder / "_spool").iterdir()] == []


async def test_several_journals_live_in_one_folder(
    new_sink: Any, batch: Any, records: Any, query: Any
) -> None:
    await stored(new_sink(), batch(5, [records["trade"](1)]))
    sink = new_sink()
    await sink.open("j2")
    await sink.write(batch(5, [records["trade"](2)], journal="j2"))
    await sink.close()

    assert await new_sink().open("j1") == 5
    assert sorted(query("SELECT journal_id, first_id FROM {trades}")) == [
        ("j1", 1),
        ("j2", 2),
    ]


async def test_the_newest_revision_of_a_gap_can_be_told(
    new_sink: Any, batch: Any, records: Any, query: Any
) -> None:
    gap = records["gap"]
    parts = [gap(1), gap(1, 1), gap(2, for_sink="other"), gap(3, for_sink="lake")]

    await stored(new_sink(), batch(1, parts))

    assert query(
        "SELECT gap_id, revision FROM {gaps} QUALIFY row_number() OVER"
        " (PARTITION BY gap_id ORDER BY revision DESC) = 1 ORDER BY gap_id"
    ) == [(1, 1), (3, 0)]


async def test_unfinished_and_foreign_files_are_cleaned_or_left_alone(
    new_sink: Any, batch: Any, records: Any, folder: Path
) -> None:
    await stored(new_sink(), batch(1, [records["trade"](1)]))
    (folder / "trades" / ".tmp-j1.half.parquet").write_bytes(b"PAR1")
    (folder / "_spool" / ".tmp-half.part").write_bytes(b"?")
    (folder / "trades" / "notes.txt").write_text("mine")

    assert await new_sink().open("j1") == 1

    names = {path.name for path in (folder / "trades").iterdir()}
    assert "notes.txt" in names
    assert not any(name.startswith(".tmp-") for name in names)
    assert list((folder / "_spool").iterdir()) == []


async def test_a_file_in_the_way_is_a_sentence(
    new_sink: Any, a_file_in_the_way: Path
) -> None:
    with pytest.raises(SinkError, match="expected a folder"):
        await new_sink().open("j1")


async def test_a_sink_that_was_never_opened_says_so(
    new_sink: Any, batch: Any, records: Any
) -> None:
    sink = new_sink()

    with pytest.raises(SinkError, match="open it first"):
        await sink.write(batch(1, [records["trade"](1)]))
    await sink.close()
    await sink.close()
