"""Trades whose ids only rise: stored once in whatever order, and never lost unsaid."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.integrity import (
    GapIds,
    IntegritySettings,
    StreamLedger,
    TimeContinuity,
)
from tapeline.model import Continuity, Gap, Record, Subscription, Trade

SECOND = 10**9
MakeTrade = Callable[..., Trade]


@attrs.define
class Tape:
    """A continuity with what it said and took."""

    continuity: TimeContinuity
    out: list[Record] = attrs.field(factory=list)
    now_ns: int = 1_000 * SECOND

    def take(self, trade: Trade) -> bool:
        taken = self.continuity.take(trade, self.now_ns, self.out)
        if taken:
            self.out.append(trade)
        return taken

    def rows(self) -> list[tuple[str, float | None, float | None]]:
        """Cause and time, in seconds, of every gap."""
        return [
            (row.cause, _seconds(row.from_ns), _seconds(row.to_ns))
            for row in self.out
            if isinstance(row, Gap)
        ]

    def ids(self) -> list[int]:
        """Last ids of what was taken, in order."""
        return [row.last_id for row in self.out if isinstance(row, Trade)]


def _seconds(at_ns: int | None) -> float | None:
    return None if at_ns is None else at_ns / SECOND


def build(stream: Subscription, **settings: object) -> Tape:
    made = IntegritySettings(**settings)  # type: ignore[arg-type]
    return Tape(TimeContinuity(stream, GapIds(0), made, rising_ids=True))


@pytest.fixture
def tape(stream: Subscription) -> Tape:
    return build(stream)


def test_a_trade_that_another_one_overtook_is_stored_and_says_nothing(
    tape: Tape, trade: MakeTrade
) -> None:
    taken = [tape.take(trade(number)) for number in (10, 30, 20, 20, 30, 40)]
    assert taken == [True, True, True, False, False, True]
    assert tape.rows() == []
    assert tape.continuity.counters.duplicates == 2
    assert tape.continuity.high_water == 40


def test_a_first_page_that_comes_newest_first_is_stored_whole(
    tape: Tape, trade: MakeTrade
) -> None:
    assert [tape.take(trade(number)) for number in (90, 70, 50)] == [True] * 3


def test_what_comes_late_does_not_end_a_loss(tape: Tape, trade: MakeTrade) -> None:
    tape.take(trade(10))
    tape.take(trade(30))
    tape.continuity.lost("disconnect", tape.now_ns)
    assert tape.take(trade(20))
    assert tape.rows() == []
    assert tape.continuity.is_lost
    assert tape.take(trade(50))
    assert tape.rows() == [("disconnect", 30, 50)]


def test_a_replay_after_a_loss_leaves_a_row_and_is_stored_once(
    tape: Tape, trade: MakeTrade
) -> None:
    for number in (10, 20, 30):
        tape.take(trade(number))
    tape.continuity.lost("disconnect", tape.now_ns)
    assert [tape.take(trade(number)) for number in (20, 30, 40, 50)] == [
        False,
        False,
        True,
        True,
    ]
    assert tape.rows() == [("disconnect", 30, 40)]
    assert tape.ids() == [10, 20, 30, 40, 50]


def test_a_trade_that_is_partly_stored_is_dropped_with_a_row(
    tape: Tape, trade: MakeTrade
) -> None:
    tape.take(trade(10, 12))
    tape.take(trade(20))
    assert not tape.take(trade(11, 15, 15))
    assert tape.rows() == [("overlap", 15, 15)]
    assert tape.continuity.counters.overlaps == 1
    assert tape.take(trade(30)), "what is around it goes on"
    assert len(tape.rows()) == 1


def test_a_trade_without_ids_in_it_is_dropped(tape: Tape, trade: MakeTrade) -> None:
    tape.take(trade(10))
    assert not tape.take(trade(20, 15))
    assert not tape.take(trade(9, 5))
    assert tape.continuity.counters.invalid == 2


def test_ids_older_than_memory_count_as_repeats(
    stream: Subscription, trade: MakeTrade
) -> None:
    tape = build(stream, recent_runs=4)
    for number in range(10, 210, 10):
        tape.take(trade(number))
    assert not tape.take(trade(15))
    assert tape.take(trade(195))
    assert tape.ids().count(15) == 0


@pytest.mark.parametrize("stored", [0, 5_000])
def test_a_new_numbering_is_said_and_not_mixed_with_the_old(
    stream: Subscription, trade: MakeTrade, stored: int
) -> None:
    """Also while the memory of ids does not reach back to them."""
    tape = build(stream)
    for number in range(1_000_000, 1_000_000 + 2 * stored + 1, 2):
        tape.take(trade(number, at_s=100))
    for number in range(5):
        tape.take(trade(10 + number, at_s=200 + number))
    assert tape.rows() == [("id-reset", 100, None)]
    assert tape.continuity.counters.out_of_order == 3


def test_a_new_numbering_is_followed_on_request(
    stream: Subscription, trade: MakeTrade
) -> None:
    tape = build(stream, accept_resets=True)
    tape.take(trade(1_000_000, at_s=100))
    taken = [tape.take(trade(10 + n, at_s=200 + n)) for n in range(5)]
    assert taken[2:] == [True] * 3
    assert tape.rows() == [("id-reset", 100, 202)]
    assert tape.continuity.epoch == 1
    assert tape.continuity.high_water == 14


def test_after_a_restart_what_the_journal_has_is_no_news(
    stream: Subscription, trade: MakeTrade
) -> None:
    first = StreamLedger(IntegritySettings(), GapIds(0))
    first.register(stream, Continuity.MONOTONIC)
    out: list[Record] = []
    for number in (10, 20):
        first.take(trade(number), number, out)
    saved = first.snapshot()
    later = [trade(40), trade(30)]
    second = StreamLedger(IntegritySettings(), GapIds(0))
    second.restore(saved)
    second.refold(later)
    second.lost(stream, "downtime", 50)
    taken = [second.take(trade(n), n, out) for n in (20, 30, 40, 35, 60)]
    assert taken == [False, False, False, True, True]
    (gap,) = (row for row in out if isinstance(row, Gap))
    assert (gap.cause, gap.from_ns, gap.to_ns) == (
        "downtime",
        40 * SECOND,
        60 * SECOND,
    )


@given(
    seed=st.integers(0, 2**32),
    ids=st.sets(st.integers(1, 10**6), min_size=1, max_size=80),
    memory=st.sampled_from([1, 8, 2048]),
)
def test_every_id_is_stored_at_most_once_and_all_while_memory_reaches(
    stream: Subscription, trade: MakeTrade, seed: int, ids: set[int], memory: int
) -> None:
    rng = random.Random(seed)
    sent = [*ids, *rng.choices(sorted(ids), k=20)]
    rng.shuffle(sent)
    tape = build(stream, recent_runs=memory)
    for number in sent:
        tape.take(trade(number, at_s=1))
    stored = tape.ids()
    assert len(stored) == len(set(stored))
    assert set(stored) <= ids
    if memory > len(ids):
        assert set(stored) == ids
    assert tape.rows() == []
