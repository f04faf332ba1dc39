"""Lost messages that no ids tell of are gaps, break books and mark candles."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.model import (
    BookDelta,
    BookSnapshot,
    Candle,
    Channel,
    Continuity,
    Gap,
    Subscription,
    Trade,
)
from tapeline.runtime.pipeline import Pipeline
from tapeline.transport import FrameLost, StreamLost, StreamMissed, StreamOpened

S = 10**9
START_NS = 1_760_000_000 * S
TRADES = Subscription("acme", "spot", "BTC-USD", "trade", "trades", "fill")
BOOK = Subscription("acme", "spot", "BTC-USD", "orderbook", "book")


def at(second: float) -> int:
    """Nanoseconds of a second of the test."""
    return START_NS + int(second * S)


def trade(number: int, second: float) -> Trade:
    """One fill."""
    one = Decimal(1)
    return Trade(
        TRADES, str(number), number, number, 1, "buy", one, one, at(second), at(second)
    )


def build(continuity: Continuity) -> Pipeline:
    """Trades with candles, and a book, on connection 1."""
    pipeline = Pipeline(StreamLedger(IntegritySettings(), GapIds(START_NS)))
    pipeline.register(
        TRADES, Channel("trades", "trade", continuity, "fill"), timeframes=["1s"]
    )
    pipeline.register(BOOK, Channel("book", "orderbook", Continuity.SEQUENCED))
    pipeline.process([StreamOpened(one, 1, at(0)) for one in (TRADES, BOOK)], at(0))
    return pipeline


def newest(records: Sequence[object]) -> dict[int, str]:
    """Second of a bar → its newest state."""
    return {
        (record.open_ns - START_NS) // S: record.state
        for record in records
        if isinstance(record, Candle)
    }


def test_rising_ids_have_a_gap_by_time_around_what_was_missed() -> None:
    pipeline = build(Continuity.MONOTONIC)
    pipeline.process([trade(1, 1)], at(1))

    out = pipeline.process([StreamMissed(TRADES, 1, at(2)), trade(9, 3)], at(3))

    gap, kept = (r for r in out.journal if isinstance(r, Gap | Trade))
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.from_ns, gap.to_ns) == ("sequence", at(1), at(3))
    assert gap.state == "unrecoverable"
    assert kept == trade(9, 3)


def test_contiguous_ids_say_themselves_that_nothing_is_missing() -> None:
    pipeline = build(Continuity.CONTIGUOUS)
    pipeline.process([trade(1, 1)], at(1))

    out = pipeline.process([StreamMissed(TRADES, 1, at(2)), trade(2, 3)], at(3))

    assert not any(isinstance(record, Gap) for record in out.journal)


@pytest.mark.parametrize("how", ["missed", "lost"])
def test_bars_that_a_gap_by_time_touches_are_not_complete(how: str) -> None:
    pipeline = build(Continuity.MONOTONIC)
    records: list[object] = []
    for number in range(4):
        records += pipeline.process([trade(number, number + 0.5)], at(number)).journal
    mark = StreamMissed(TRADES, 1, at(4))
    lost = StreamLost(TRADES, 1, "disconnect", at(4))
    pipeline.process([mark if how == "missed" else lost], at(4))

    records += pipeline.process([trade(9, 6.5)], at(6.5)).journal
    records += pipeline.process([trade(10, 7.5)], at(7.5)).journal
    records += pipeline.advance(at(20)).journal

    states = newest(records)
    assert states[1] == states[2] == "complete"
    assert states[3] == "gap"
    assert states[6] == "gap"
    assert states[7] == "partial", "no later trade proves it"


def test_a_bar_in_which_a_stream_was_lost_is_not_complete_by_the_clock() -> None:
    pipeline = build(Continuity.MONOTONIC)
    records: list[object] = []
    for number in range(3):
        records += pipeline.process([trade(number, number + 0.5)], at(number)).journal
    pipeline.process([StreamLost(TRADES, 1, "disconnect", at(2.6))], at(2.6))

    records += pipeline.advance(at(60)).journal

    assert newest(records) == {0: "partial", 1: "complete", 2: "partial"}
    records += pipeline.process([StreamOpened(TRADES, 2, at(70))], at(70)).journal
    records += pipeline.advance(at(71)).journal
    assert newest(records)[2] == "partial", "followed again, it still owes that time"
    records += pipeline.process([trade(9, 72)], at(72)).journal
    records += pipeline.process([trade(10, 73.5)], at(73.5)).journal
    records += pipeline.process([trade(11, 74)], at(74)).journal
    records += pipeline.advance(at(80)).journal
    assert newest(records) == {
        0: "partial",
        1: "complete",
        2: "gap",
        72: "gap",
        73: "complete",
        74: "partial",
    }


def test_after_a_restart_the_bar_of_its_end_is_not_complete_by_the_clock() -> None:
    before = build(Continuity.MONOTONIC)
    for number in range(3):
        before.process([trade(number, number + 0.5)], at(number))
    candles = before.streams[TRADES].candles
    assert candles is not None
    after = build(Continuity.MONOTONIC)
    restored = after.streams[TRADES].candles
    assert restored is not None
    restored.restore(candles.snapshot())
    restored.refold([trade(3, 2.7)])

    assert newest(after.advance(at(60)).journal) == {2: "partial"}


@pytest.mark.parametrize("continuity", list(Continuity), ids=lambda one: one.value)
def test_what_nobody_could_read_is_a_gap_of_streams_that_tell_nothing_themselves(
    continuity: Continuity,
) -> None:
    """Ids and chains show what is missing, and a state is replaced by the next one."""
    pipeline = build(continuity)
    pipeline.process([trade(1, 1)], at(1))

    marks = [FrameLost(2, at(1.5)), FrameLost(1, at(2)), FrameLost(1, at(2))]
    out = pipeline.process([*marks, trade(2, 3), trade(3, 4)], at(3))

    rows = [
        (row.cause, row.from_ns, row.to_ns)
        for row in out.journal
        if isinstance(row, Gap)
    ]
    tells = continuity not in (Continuity.MONOTONIC, Continuity.NONE)
    assert rows == ([] if tells else [("quarantine", at(1), at(3))])
    book = pipeline.streams[BOOK].book
    assert book is not None
    assert out.broken_books == []


def test_what_nobody_could_read_on_another_connection_is_no_gap() -> None:
    pipeline = build(Continuity.MONOTONIC)
    pipeline.process([trade(1, 1)], at(1))

    out = pipeline.process([FrameLost(2, at(2)), trade(9, 3)], at(3))

    assert not any(isinstance(record, Gap) for record in out.journal)


def test_a_book_is_broken_at_once_and_asked_for_again() -> None:
    pipeline = build(Continuity.MONOTONIC)
    levels = [("1", "1")]
    pipeline.process([BookSnapshot(BOOK, levels, [], 5, at(1), at(1))], at(1))

    out = pipeline.process([StreamMissed(BOOK, 1, at(2))], at(2))

    book = pipeline.streams[BOOK].book
    assert book is not None
    assert not book.valid
    assert out.broken_books == [BOOK]
    later = BookDelta(BOOK, levels, [], 5, 6, at(3), at(3))
    assert pipeline.process([later], at(3)).live == []
    again = pipeline.process([BookSnapshot(BOOK, levels, [], 7, at(4), at(4))], at(4))
    (gap,) = (r for r in again.journal if isinstance(r, Gap))
    assert (gap.cause, gap.from_ns, gap.to_ns) == ("sequence", at(1), at(4))


def test_a_book_that_waits_already_is_not_asked_for_twice() -> None:
    pipeline = build(Continuity.MONOTONIC)

    out = pipeline.process([StreamMissed(BOOK, 1, at(2))] * 2, at(2))

    assert out.broken_books == []
