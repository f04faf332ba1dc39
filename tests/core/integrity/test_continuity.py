"""Continuity of contiguous trades, case by case."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from tapeline.integrity import GapIds, IntegritySettings, TradeContinuity
from tapeline.model import Gap, Record, Subscription, Trade

SECOND = 10**9
MakeTrade = Callable[..., Trade]


@attrs.define
class Tape:
    """A continuity with what it said and took."""

    continuity: TradeContinuity
    out: list[Record] = attrs.field(factory=list)
    now_ns: int = 1_000 * SECOND

    def take(self, trade: Trade) -> bool:
        taken = self.continuity.take(trade, self.now_ns, self.out)
        if taken:
            self.out.append(trade)
        return taken

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)
        self.continuity.advance(self.now_ns, self.out)

    def rows(self) -> list[tuple[str, int | None, int | None, str, int, int]]:
        return [
            (
                row.cause,
                row.from_id,
                row.to_id,
                row.state,
                row.revision,
                row.recovered_count,
            )
            for row in self.out
            if isinstance(row, Gap)
        ]


@pytest.fixture
def tape(stream: Subscription) -> Tape:
    return Tape(TradeContinuity(stream, GapIds(0), IntegritySettings()))


def test_trades_in_order_are_taken_and_covered(tape: Tape, trade: MakeTrade) -> None:
    assert [tape.take(trade(1)), tape.take(trade(2, 4)), tape.take(trade(5))] == [
        True
    ] * 3
    assert tape.continuity.covered() == (1, 5)
    assert tape.rows() == []


def test_a_repeat_is_dropped_and_counted(tape: Tape, trade: MakeTrade) -> None:
    tape.take(trade(1, 3))
    assert not tape.take(trade(1, 3))
    assert not tape.take(trade(2))
    assert tape.continuity.counters.duplicates == 2


def test_a_hole_becomes_a_gap_only_after_the_grace(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1))
    assert tape.take(trade(5))
    tape.wait(1.9)
    assert tape.rows() == []
    assert tape.continuity.covered() == (1, 1)
    tape.wait(0.1)
    assert tape.rows() == [("id-hole", 2, 4, "open", 0, 0)]
    assert tape.continuity.covered() == (1, 5)
    (gap,) = tape.continuity.open_gaps()
    assert (gap.from_ns, gap.to_ns) == (1 * SECOND, 5 * SECOND)
    assert gap.detected_ns == tape.now_ns


def test_trades_that_swap_places_leave_no_trace(tape: Tape, trade: MakeTrade) -> None:
    for first in (1, 4, 3, 2, 5):
        assert tape.take(trade(first))
    tape.wait(10)
    assert tape.rows() == []
    assert tape.continuity.covered() == (1, 5)


def test_a_hole_after_a_loss_is_a_gap_at_once_and_before_the_trade(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1))
    tape.continuity.lost("disconnect", tape.now_ns)
    tape.continuity.lost("stall", tape.now_ns)
    tape.take(trade(4))
    kinds = [type(record).__name__ for record in tape.out]
    assert kinds == ["Trade", "Gap", "Trade"]
    assert tape.rows() == [("disconnect", 2, 3, "open", 0, 0)]
    tape.take(trade(6))
    tape.wait(2)
    assert tape.rows()[-1] == ("id-hole", 5, 5, "open", 0, 0)


def test_a_loss_without_a_hole_leaves_no_row(tape: Tape, trade: MakeTrade) -> None:
    tape.take(trade(1))
    tape.continuity.lost("disconnect", tape.now_ns)
    assert not tape.take(trade(1)), "the cached last trade of a fresh subscription"
    assert tape.continuity.is_lost
    assert tape.take(trade(2))
    tape.wait(10)
    assert tape.rows() == []
    assert not tape.continuity.is_lost


def test_late_trades_narrow_split_and_close_a_gap(tape: Tape, trade: MakeTrade) -> None:
    tape.take(trade(1))
    tape.take(trade(10))
    tape.wait(2)
    for first, last in ((2, 3), (9, 9), (6, 6), (4, 5), (7, 8)):
        assert tape.take(trade(first, last))
    assert tape.rows() == [
        ("id-hole", 2, 9, "open", 0, 0),
        ("id-hole", 4, 9, "open", 1, 2),
        ("id-hole", 4, 8, "open", 2, 3),
        ("id-hole", 4, 5, "open", 3, 3),
        ("id-hole", 7, 8, "open", 0, 1),
        ("id-hole", 2, 6, "closed", 4, 5),
        ("id-hole", 7, 9, "closed", 1, 3),
    ]
    assert tape.continuity.counters.gaps_opened == 2
    assert tape.continuity.counters.gaps_closed == 2
    assert tape.continuity.open_gaps() == []


def test_an_aggregate_that_partly_overlaps_is_dropped_and_the_rest_is_missing(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1, 5))
    assert not tape.take(trade(4, 8))
    assert tape.continuity.counters.overlaps == 1
    assert tape.continuity.missing == [(6, 8)]
    assert tape.take(trade(9))
    tape.wait(2)
    assert tape.rows() == [("id-hole", 6, 8, "open", 0, 0)]


def test_an_aggregate_may_fill_a_hole_and_go_on_above_it(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1, 5))
    tape.take(trade(4, 8))
    assert tape.take(trade(6, 10))
    assert tape.continuity.missing == []
    assert tape.continuity.high_water == 10


def test_a_trade_that_the_first_one_overtook_lowers_the_start(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(10))
    assert tape.take(trade(7))
    assert tape.continuity.covered() == (7, 7)
    tape.wait(2)
    assert tape.rows() == [("id-hole", 8, 9, "open", 0, 0)]
    assert tape.continuity.covered() == (7, 10)
    tape.wait(1)
    assert not tape.take(trade(5))
    assert tape.continuity.counters.below == 1


def test_a_quarantined_trade_is_a_gap_with_that_cause(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1))
    tape.continuity.quarantined(2, 3, tape.now_ns, tape.out)
    assert tape.take(trade(4))
    tape.wait(5)
    assert tape.rows() == [("quarantine", 2, 3, "open", 0, 0)]
    assert tape.continuity.covered() == (1, 4)


def test_quarantine_without_ids_names_the_next_hole(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1))
    tape.continuity.quarantined(None, None, tape.now_ns, tape.out)
    tape.take(trade(3))
    assert tape.rows() == [("quarantine", 2, 2, "open", 0, 0)]


def test_a_gap_may_be_resolved_from_outside(tape: Tape, trade: MakeTrade) -> None:
    for first in (1, 3, 5, 8):
        tape.take(trade(first))
    tape.wait(2)
    one, two, three = tape.continuity.open_gaps()
    resolve = tape.continuity.resolve
    assert resolve(one.gap_id, "closed", "never-issued", tape.out)
    assert resolve(two.gap_id, "unrecoverable", None, tape.out)
    assert resolve(three.gap_id, "backfilling", None, tape.out)
    assert not resolve(one.gap_id, "closed", None, tape.out)
    assert tape.rows()[3:] == [
        ("never-issued", 2, 2, "closed", 1, 0),
        ("id-hole", 4, 4, "unrecoverable", 1, 0),
        ("id-hole", 6, 7, "backfilling", 1, 0),
    ]
    assert not tape.take(trade(4)), "given up: it would not be known where it is"
    assert tape.take(trade(6, 7))
    assert tape.continuity.gaps_open == 0


def test_open_gaps_are_bounded_and_the_oldest_is_given_up(
    stream: Subscription, trade: MakeTrade
) -> None:
    tape = Tape(TradeContinuity(stream, GapIds(0), IntegritySettings(max_open_gaps=3)))
    for first in range(1, 20, 2):
        tape.take(trade(first))
        tape.wait(2)
    assert tape.continuity.gaps_open == 3
    assert tape.continuity.counters.gaps_unrecoverable == 6
    assert [row[:4] for row in tape.rows()][-1] == (
        "id-hole",
        12,
        12,
        "unrecoverable",
    )


def test_a_new_numbering_is_dropped_and_said(tape: Tape, trade: MakeTrade) -> None:
    tape.take(trade(100, at_s=100))
    taken = [tape.take(trade(first, at_s=110 + first)) for first in range(1, 10)]
    assert taken == [False] * 9
    assert tape.rows() == [("id-reset", None, None, "unrecoverable", 0, 0)]
    assert tape.continuity.counters.out_of_order == 9
    assert tape.take(trade(101, at_s=130))


def test_a_new_numbering_is_known_until_ids_are_in_order_again(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1_000, at_s=100))
    for number in range(1, 5):
        assert not tape.continuity.is_renumbered or number > 3
        tape.take(trade(number, at_s=200 + number))
    renumbered = [tape.continuity.is_renumbered]
    assert tape.take(trade(1_001, at_s=300))
    renumbered.append(tape.continuity.is_renumbered)
    assert renumbered == [True, False]
    assert tape.take(trade(1_002, at_s=301))
    assert tape.rows() == [("id-reset", None, None, "unrecoverable", 0, 0)]


def test_a_new_numbering_is_followed_on_request(
    stream: Subscription, trade: MakeTrade
) -> None:
    settings = IntegritySettings(accept_resets=True)
    tape = Tape(TradeContinuity(stream, GapIds(0), settings))
    tape.take(trade(100, at_s=100))
    taken = [tape.take(trade(first, at_s=110 + first)) for first in range(1, 6)]
    assert taken == [False, False, True, True, True]
    assert tape.rows() == [("id-reset", None, None, "unrecoverable", 0, 0)]
    assert tape.continuity.covered() == (3, 5)


def test_an_empty_id_range_is_dropped(tape: Tape, trade: MakeTrade) -> None:
    tape.take(trade(1))
    assert not tape.take(trade(2, 1))
    assert tape.continuity.counters.invalid == 1


def test_a_clock_set_back_does_not_keep_a_hole_waiting_for_ever(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1))
    tape.take(trade(3))
    tape.now_ns -= 500 * SECOND
    tape.wait(0)
    tape.wait(2)
    assert tape.rows() == [("id-hole", 2, 2, "open", 0, 0)]


def test_a_split_gap_that_went_through_a_restart_closes_with_its_own_ids(
    stream: Subscription, trade: MakeTrade
) -> None:
    before = Tape(TradeContinuity(stream, GapIds(0), IntegritySettings()))
    before.take(trade(1))
    before.take(trade(10))
    before.wait(2)
    saved, saved_at = before.continuity.state(), len(before.out)
    before.take(trade(5))
    gap_ids = GapIds(0)
    gap_ids.seen(2)
    after = Tape(TradeContinuity(stream, gap_ids, IntegritySettings()))
    after.continuity.restore(saved)
    for record in before.out[saved_at:]:
        after.continuity.fold(record)
    assert after.continuity.missing == [(2, 4), (6, 9)]
    after.take(trade(2, 4))
    after.take(trade(6, 9))
    assert after.rows() == [
        ("id-hole", 2, 5, "closed", 2, 4),
        ("id-hole", 6, 9, "closed", 1, 4),
    ]


def test_a_stream_that_comes_back_with_a_trade_that_is_partly_stored_is_covered(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1, 5))
    tape.continuity.ended()
    assert not tape.take(trade(4, 8))
    tape.wait(2)
    assert tape.rows() == [("id-hole", 6, 8, "open", 0, 0)]
    assert tape.take(trade(9))
    assert tape.continuity.covered() == (6, 9)
    assert tape.continuity.covered_until_ns() == tape.now_ns


def test_a_stream_that_comes_back_with_what_was_missing_is_covered(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1))
    tape.continuity.quarantined(2, 3, tape.now_ns, tape.out)
    tape.continuity.ended()
    assert tape.take(trade(2, 5))
    assert tape.continuity.covered() == (2, 5)
    assert tape.rows()[-1][3] == "closed"


def test_a_gap_of_a_stream_that_ended_and_came_back_can_still_be_filled(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(1))
    tape.take(trade(2))
    tape.take(trade(5))
    tape.wait(3)
    tape.continuity.ended()
    tape.take(trade(100))
    assert tape.continuity.covered() == (100, 100)

    assert tape.take(trade(3))
    assert tape.take(trade(4))
    assert tape.rows()[-1][3] == "closed"
    assert not tape.take(trade(4))
    assert not tape.take(trade(50)), "nobody said that it is missing"
