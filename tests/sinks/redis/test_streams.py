"""Streams: what a batch becomes, and that a repeat becomes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tapeline.clock import SystemClock, now
from tapeline.errors import (
    SinkError,
    SinkRejected,
    SinkReplaced,
    SinkUnavailable,
)
from tapeline.model import Batch, Part

pytestmark = pytest.mark.anyio
Make = Callable[..., Any]

TRADES = "tapeline:okx:spot:BTC-USDT:trade"
TICKERS = "tapeline:okx:spot:BTC-USDT:ticker"
# As positions of a journal are: more digits than a float holds.
FIRST = 450_000_000_000_000_001


def counters(sink: Any) -> Any:
    """What the sink counted."""
    return sink.health(now(SystemClock())).counters


async def test_ids_are_the_place_in_the_journal(
    server: Any, make_streams: Make, records: Any
) -> None:
    sink = make_streams()
    assert await sink.open("journal-a") is None
    await sink.write(
        records.batch(
            [records.trade(1), records.ticker(), records.trade(2)],
            [records.gap()],
            [records.trade(3)],
            first=FIRST,
        )
    )
    found = [(entry_id, told["last_id"]) for entry_id, told in server.entries(TRADES)]
    assert found == [
        (f"{FIRST}-0", 1),
        (f"{FIRST}-2", 2),
        (f"{FIRST + 2}-0", 3),
    ]
    assert [entry_id for entry_id, _ in server.entries(TICKERS)] == [f"{FIRST}-1"]
    [(_, gap)] = server.entries("tapeline:okx:spot:BTC-USDT:gap")
    assert gap["data_type"] == "trade"
    cursors = server.run("HGETALL", "tapeline:cursors")
    assert cursors == {"journal-a/local": str(FIRST + 2)}
    await sink.close()
    await sink.close()


async def test_it_tells_how_far_it_has_each_journal(
    server: Any, make_streams: Make, records: Any
) -> None:
    first = make_streams()
    await first.open("journal-a")
    await first.write(records.batch([records.trade(1)], first=FIRST))
    await first.close()
    again = make_streams()
    assert await again.open("journal-a") == FIRST
    assert await again.open("journal-b") is None
    other = make_streams(name="other")
    assert await other.open("journal-a") is None
    await again.close()
    await other.close()


async def test_a_repeated_batch_changes_nothing(
    server: Any, make_streams: Make, records: Any
) -> None:
    batch = records.batch([records.trade(1)], [records.trade(2)], first=FIRST)
    sink = make_streams()
    await sink.open("journal-a")
    await sink.write(batch)
    await sink.write(batch)
    other = make_streams()
    await other.open("journal-a")
    await other.write(batch)
    longer = records.batch(
        [records.trade(1)], [records.trade(2)], [records.trade(3)], first=FIRST
    )
    await other.write(longer)
    assert [told["last_id"] for _, told in server.entries(TRADES)] == [1, 2, 3]
    await sink.close()
    await other.close()


async def test_without_its_cursor_repeats_are_refused_by_their_ids(
    server: Any, make_streams: Make, records: Any
) -> None:
    """Somebody deleted the hash; the streams themselves still know."""
    batch = records.batch([records.trade(1)], [records.trade(2)], first=FIRST)
    sink = make_streams()
    await sink.open("journal-a")
    await sink.write(batch)
    await sink.close()
    server.run("DEL", "tapeline:cursors")

    again = make_streams()
    assert await again.open("journal-a") is None
    await again.write(batch)
    assert counters(again)["repeated"] == 2
    assert len(server.entries(TRADES)) == 2
    assert await again.open("journal-a") == FIRST + 1
    await again.close()


async def test_a_new_journal_goes_on_in_the_same_streams(
    server: Any, make_streams: Make, records: Any
) -> None:
    sink = make_streams()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)], first=FIRST))
    await sink.open("journal-b")
    later = records.batch([records.trade(2)], first=FIRST + 1000)
    await sink.write(attrs.evolve(later, journal_id="journal-b"))
    assert len(server.entries(TRADES)) == 2
    await sink.close()


async def test_two_writers_of_one_stream_are_told_apart_not_mixed(
    server: Any, make_streams: Make, records: Any
) -> None:
    """An id that is refused because of another's entry must not count as stored."""
    one, other = make_streams(), make_streams()
    await one.open("journal-a")
    await other.open("journal-b")
    newer = records.batch([records.trade(2)], first=FIRST + 1)
    await other.write(attrs.evolve(newer, journal_id="journal-b"))
    with pytest.raises(SinkError, match="its own prefix") as caught:
        await one.write(
            records.batch([records.ticker(), records.trade(1)], first=FIRST)
        )
    assert not isinstance(caught.value, (SinkUnavailable, SinkRejected, SinkReplaced))
    assert "journal-b/local" in str(caught.value)
    assert server.entries(TICKERS) == []
    await one.close()
    await other.close()


async def test_a_key_that_is_something_else_is_left_alone(
    server: Any, make_streams: Make, records: Any
) -> None:
    server.run("SET", TRADES, "mine")
    sink = make_streams()
    await sink.open("journal-a")
    with pytest.raises(SinkError, match="found a string; choose another prefix"):
        await sink.write(records.batch([records.ticker()], [records.trade(1)]))
    assert server.run("GET", TRADES) == "mine"
    assert server.entries(TICKERS) == []
    await sink.close()


async def test_a_batch_without_records_moves_the_cursor(
    server: Any, make_streams: Make
) -> None:
    sink = make_streams()
    await sink.open("journal-a")
    await sink.write(Batch("journal-a", (Part(FIRST, ()),)))
    assert await sink.open("journal-a") == FIRST
    await sink.close()


async def test_a_large_batch_goes_in_pieces_and_is_whole(
    server: Any, make_streams: Make, records: Any
) -> None:
    positions = [[records.trade(3 * n + k) for k in range(3)] for n in range(1_500)]
    sink = make_streams()
    await sink.open("journal-a")
    await sink.write(records.batch(*positions, first=FIRST))
    assert server.run("XLEN", TRADES) == 4_500
    assert counters(sink)["entries"] == 4_500
    assert await sink.open("journal-a") == FIRST + 1_499
    await sink.close()


async def test_streams_keep_about_as_many_entries_as_told(
    server: Any, make_streams: Make, records: Any
) -> None:
    sink = make_streams(max_entries=200)
    await sink.open("journal-a")
    for n in range(20):
        batch = [[records.trade(100 * n + k)] for k in range(100)]
        await sink.write(records.batch(*batch, first=FIRST + 100 * n))
    assert 200 <= server.run("XLEN", TRADES) < 500
    newest = server.entries(TRADES)[-1][1]["last_id"]
    assert newest == 1_999
    everything = make_streams(max_entries=0, prefix="all")
    await everything.open("journal-a")
    await everything.write(records.batch(*[[records.trade(n)] for n in range(1_000)]))
    assert server.run("XLEN", TRADES.replace("tapeline", "all")) == 1_000
    await sink.close()
    await everything.close()


async def test_records_that_no_json_can_hold_are_named_and_nothing_is_stored(
    server: Any, make_streams: Make, records: Any
) -> None:
    sink = make_streams()
    await sink.open("journal-a")
    broken = records.raw("half of a pair: \ud800")
    with pytest.raises(SinkRejected) as caught:
        await sink.write(
            records.batch([records.trade(1), broken], [broken], first=FIRST)
        )
    assert caught.value.records == ((FIRST, 1), (FIRST + 1, 0))
    assert server.entries(TRADES) == []
    await sink.close()


async def test_a_server_that_lost_what_it_had_is_told_from_one_that_has_it(
    server: Any, make_streams: Make, records: Any
) -> None:
    sink = make_streams()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)], first=FIRST))
    server.run("FLUSHALL")
    with pytest.raises(SinkReplaced, match="found nothing"):
        await sink.write(records.batch([records.trade(2)], first=FIRST + 1))
    assert await sink.open("journal-a") is None
    await sink.close()
