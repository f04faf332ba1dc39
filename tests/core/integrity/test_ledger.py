"""The ledger: facts of many streams, coverage, restarts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tapeline.errors import JournalError
from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.model import (
    Continuity,
    Coverage,
    Gap,
    Record,
    Subscription,
    Ticker,
    Trade,
)

SECOND = 10**9
MakeTrade = Callable[..., Trade]
MakeTicker = Callable[[float], Ticker]


@pytest.fixture
def ledger(stream: Subscription, ticker_stream: Subscription) -> StreamLedger:
    made = StreamLedger(IntegritySettings(), GapIds(0))
    made.register(stream, Continuity.CONTIGUOUS)
    made.register(ticker_stream, Continuity.NONE)
    return made


def coverage(out: list[Record]) -> list[tuple[int, int | None, int | None, int | None]]:
    return [
        (row.started_ns, row.ended_ns, row.first_id, row.last_id)
        for row in out
        if isinstance(row, Coverage)
    ]


def gaps(out: list[Record]) -> list[tuple[str, int | None, int | None, str]]:
    return [
        (row.cause, row.from_id, row.to_id, row.state)
        for row in out
        if isinstance(row, Gap)
    ]


def test_coverage_is_written_once_a_second_and_only_when_it_changed(
    ledger: StreamLedger, stream: Subscription, trade: MakeTrade
) -> None:
    out: list[Record] = []
    ledger.opened(stream, 1 * SECOND)
    for first in range(1, 6):
        ledger.take(trade(first), first * SECOND, out)
        ledger.advance(first * SECOND + 1, out)
        ledger.advance(first * SECOND + 2, out)
    ledger.advance(9 * SECOND, out)
    assert coverage(out) == [
        (1 * SECOND, first * SECOND, 1, first) for first in range(1, 6)
    ]


def test_coverage_waits_below_a_hole_until_the_gap_is_written(
    ledger: StreamLedger, stream: Subscription, trade: MakeTrade
) -> None:
    out: list[Record] = []
    ledger.opened(stream, 0)
    ledger.take(trade(1), 1 * SECOND, out)
    ledger.take(trade(4), 2 * SECOND, out)
    ledger.advance(3 * SECOND, out)
    assert coverage(out) == [(0, 2 * SECOND, 1, 1)]
    ledger.advance(4 * SECOND, out)
    assert [type(record) for record in out[-2:]] == [Gap, Coverage]
    assert coverage(out)[-1] == (0, 2 * SECOND, 1, 4)


def test_a_stream_without_ids_tells_its_losses_by_time(
    ledger: StreamLedger, ticker_stream: Subscription, ticker: MakeTicker
) -> None:
    out: list[Record] = []
    ledger.opened(ticker_stream, 0)
    ledger.take(ticker(1), 1 * SECOND, out)
    ledger.lost(ticker_stream, "disconnect", 2 * SECOND)
    ledger.lost(ticker_stream, "stall", 3 * SECOND)
    assert out == []
    assert ledger.take(ticker(9), 9 * SECOND, out)
    (gap,) = out
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.state) == ("disconnect", "unrecoverable")
    assert (gap.from_ns, gap.to_ns) == (1 * SECOND, 9 * SECOND)
    assert (gap.from_id, gap.to_id) == (None, None)
    assert ledger.take(ticker(10), 10 * SECOND, out)
    assert len(out) == 1


def test_a_loss_before_the_first_event_is_no_gap(
    ledger: StreamLedger,
    stream: Subscription,
    ticker_stream: Subscription,
    trade: MakeTrade,
    ticker: MakeTicker,
) -> None:
    out: list[Record] = []
    for one in (stream, ticker_stream):
        ledger.opened(one, 1 * SECOND)
        ledger.lost(one, "disconnect", 2 * SECOND)
        ledger.opened(one, 5 * SECOND)
    ledger.take(trade(7), 6 * SECOND, out)
    ledger.take(ticker(6), 6 * SECOND, out)
    ledger.advance(7 * SECOND, out)
    assert gaps(out) == []
    assert [row[0] for row in coverage(out)] == [5 * SECOND] * 2


def test_dropping_a_stream_ends_its_coverage_and_a_new_one_begins_later(
    ledger: StreamLedger, stream: Subscription, trade: MakeTrade
) -> None:
    out: list[Record] = []
    ledger.opened(stream, 0)
    ledger.take(trade(1), 1 * SECOND, out)
    ledger.take(trade(3), 2 * SECOND, out)
    ledger.dropped(stream, 3 * SECOND, out)
    assert gaps(out) == [("id-hole", 2, 2, "open")]
    assert coverage(out) == [(0, 2 * SECOND, 1, 3)]
    ledger.advance(60 * SECOND, out)
    assert len(coverage(out)) == 1
    ledger.opened(stream, 100 * SECOND)
    assert not ledger.take(trade(3), 101 * SECOND, out)
    assert ledger.take(trade(50), 101 * SECOND, out)
    ledger.advance(102 * SECOND, out)
    assert coverage(out)[1:] == [(100 * SECOND, 101 * SECOND, 50, 50)]
    assert len(gaps(out)) == 1


def test_shed_trades_are_named_so(
    ledger: StreamLedger, stream: Subscription, trade: MakeTrade
) -> None:
    out: list[Record] = []
    ledger.take(trade(1), 0, out)
    ledger.shed(stream, 0)
    ledger.take(trade(3), 0, out)
    assert gaps(out) == [("shed", 2, 2, "open")]


def test_closing_writes_pending_holes_and_coverage(
    ledger: StreamLedger, stream: Subscription, trade: MakeTrade
) -> None:
    out: list[Record] = []
    ledger.take(trade(1), 5, out)
    ledger.take(trade(3), 6, out)
    ledger.close(7, out)
    assert gaps(out) == [("id-hole", 2, 2, "open")]
    assert coverage(out) == [(6, 6, 1, 3)]


def test_abandoning_gives_every_gap_up_with_a_cause(
    ledger: StreamLedger, stream: Subscription, trade: MakeTrade
) -> None:
    out: list[Record] = []
    ledger.take(trade(1), 0, out)
    ledger.take(trade(3), 0, out)
    ledger.abandon("replay", 1, out)
    assert gaps(out)[-1] == ("replay", 2, 2, "unrecoverable")
    assert ledger.open_gaps() == []
    statistics = ledger.statistics()[stream]
    assert (statistics.gaps_opened, statistics.gaps_unrecoverable) == (1, 1)


@pytest.mark.parametrize("fold_from", [0, 3])
def test_a_restart_goes_on_where_the_journal_ends(
    stream: Subscription, trade: MakeTrade, fold_from: int
) -> None:
    gap_ids = GapIds(0)
    old = StreamLedger(IntegritySettings(), gap_ids)
    old.register(stream, Continuity.CONTIGUOUS)
    old.opened(stream, 1)
    journal: list[Record] = []
    saved = old.snapshot()
    for at, first in enumerate((1, 2, 5, 7)):
        if at == fold_from:
            saved = old.snapshot()
            journal_from = len(journal)
        if old.take(trade(first), at * SECOND, journal):
            journal.append(trade(first))
        if first == 5:
            old.advance(10 * SECOND, journal)
    new = StreamLedger(IntegritySettings(), GapIds(0))
    new.restore(saved)
    new.refold(journal[journal_from:])
    assert list(new.streams()) == [stream]
    new.lost(stream, "downtime", 100 * SECOND)
    out: list[Record] = []
    assert not new.take(trade(7), 100 * SECOND, out)
    assert new.take(trade(4), 100 * SECOND, out)
    assert new.take(trade(9), 100 * SECOND, out)
    new.advance(103 * SECOND, out)
    assert gaps(out) == [
        ("id-hole", 3, 3, "open"),
        ("downtime", 8, 8, "open"),
        ("id-hole", 6, 6, "open"),
    ]
    old_ids = {row.gap_id for row in journal if isinstance(row, Gap)}
    new_ids = {row.gap_id for row in out if isinstance(row, Gap) and not row.revision}
    assert min(new_ids) > max(old_ids), "ids of gaps rise over restarts"
    assert coverage(out)[-1] == (1, 100 * SECOND, 1, 9)


def test_without_a_checkpoint_the_journal_alone_is_enough(
    stream: Subscription,
    ticker_stream: Subscription,
    trade: MakeTrade,
    ticker: MakeTicker,
) -> None:
    journal: list[Record] = [trade(1), ticker(1), trade(2)]
    ledger = StreamLedger(IntegritySettings(), GapIds(0))
    ledger.refold(journal)
    for one in ledger.streams():
        ledger.lost(one, "downtime", 50 * SECOND)
    ledger.register(stream, Continuity.CONTIGUOUS)
    ledger.register(ticker_stream, Continuity.SNAPSHOT)
    out: list[Record] = []
    assert not ledger.take(trade(2), 51 * SECOND, out)
    assert ledger.take(trade(5), 51 * SECOND, out)
    assert ledger.take(ticker(51), 51 * SECOND, out)
    assert gaps(out) == [
        ("downtime", 3, 4, "open"),
        ("downtime", None, None, "unrecoverable"),
    ]


def test_ids_that_only_rise_are_deduped_and_lost_by_time(
    stream: Subscription, trade: MakeTrade
) -> None:
    ledger = StreamLedger(IntegritySettings(), GapIds(0))
    ledger.register(stream, Continuity.MONOTONIC)
    out: list[Record] = []
    taken = [ledger.take(trade(first), first, out) for first in (3, 10, 10, 4, 4, 11)]
    assert taken == [True, True, False, True, False, True]
    assert out == []
    assert ledger.statistics()[stream].duplicates == 2


@pytest.mark.parametrize("data", [b"", b"\xff\x00", b"\x93\x01\x02\x03"])
def test_a_damaged_checkpoint_is_refused_and_changes_nothing(
    ledger: StreamLedger, data: bytes
) -> None:
    with pytest.raises(JournalError, match="expected an integrity checkpoint"):
        ledger.restore(data)
    assert len(ledger.streams()) == 2


def test_events_of_unknown_streams_are_kept_unchecked(
    trade: MakeTrade,
) -> None:
    ledger = StreamLedger(IntegritySettings(), GapIds(0))
    assert ledger.take(trade(1), 0, [])


def test_gap_ids_start_at_the_wall_clock_and_never_fall_below_what_was_seen() -> None:
    gap_ids = GapIds(1_700_000_000 * SECOND)
    assert gap_ids.next() == (1_700_000_000_000_000 << 8) + 1
    gap_ids.seen(2**60)
    assert gap_ids.next() == 2**60 + 1
