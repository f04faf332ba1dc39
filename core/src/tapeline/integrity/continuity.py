"""Continuity of trades whose ids step by one.

Everything between the lowest and the highest id ever taken is either stored or
missing, so the missing ids are all that is kept: memory grows with holes, not
with trades.
"""

from __future__ import annotations

import attrs

from tapeline.integrity.counters import ContinuityCounters
from tapeline.integrity.gap_ids import GapIds
from tapeline.integrity.holes import Hole
from tapeline.integrity.missing import MissingIds
from tapeline.integrity.resets import ResetWatch
from tapeline.integrity.settings import IntegritySettings
from tapeline.integrity.states import (
    ContinuityState,
    hole_of_state,
    state_of_hole,
)
from tapeline.model import (
    BACKFILL,
    UNRECOVERABLE,
    Coverage,
    Gap,
    Record,
    Subscription,
    Trade,
)

ID_RESET = "id-reset"
QUARANTINE = "quarantine"


class TradeContinuity:
    """Takes every id of one stream exactly once and knows which are missing.

    Args:
        stream: the trade stream; its ids must step by one.
        gap_ids: shared by all streams of a process.
    """

    __slots__ = (
        "_begun_ns",
        "_expected",
        "_fresh",
        "_gap_ids",
        "_high",
        "_last_ns",
        "_lost",
        "_low",
        "_missing",
        "_resets",
        "_settings",
        "counters",
        "epoch",
        "seen_ns",
        "stream",
    )

    def __init__(
        self, stream: Subscription, gap_ids: GapIds, settings: IntegritySettings
    ) -> None:
        self.stream = stream
        self.counters = ContinuityCounters()
        self.epoch = 0
        self.seen_ns: int | None = None
        self._gap_ids = gap_ids
        self._settings = settings
        # The next id in order; None sends every trade through the slow path.
        self._expected: int | None = None
        # Highest id as the slow path left it; behind while trades are in order.
        self._high: int | None = None
        self._low: int | None = None
        self._last_ns: int | None = None
        self._begun_ns: int | None = None
        self._lost: str | None = None
        self._fresh = False
        self._missing = MissingIds(stream, gap_ids, settings, self.counters)
        self._resets = ResetWatch(settings)

    # hot path
    def take(self, trade: Trade, now_ns: int, out: list[Record]) -> bool:
        """True when *trade* is new and is to be kept.

        Args:
            now_ns: our wall clock, nanoseconds UTC.
            out: gets the facts that must stand before the trade.
        """
        last = trade.last_id
        if trade.first_id == self._expected and last >= trade.first_id:
            self._expected = last + 1
            self._last_ns = trade.exchange_ns
            self.seen_ns = now_ns
            return True
        return self._take_slowly(trade, now_ns, out)

    def lost(self, cause: str, now_ns: int) -> None:
        """From here on trades may be missing; the next hole has this *cause*.

        Of several causes before the next trade the first one is kept.
        """
        if self.high_water is None:
            return
        self._pause()
        if self._lost is None:
            self._lost = cause

    def ended(self) -> None:
        """Coverage ends here on purpose; what comes later begins a new one."""
        if self.high_water is None:
            return
        self._pause()
        self._lost = None
        self._fresh = True

    def advance(self, now_ns: int, out: list[Record]) -> None:
        """Make gaps of the holes whose grace is over."""
        self._missing.advance(now_ns, out)

    def settle(self, now_ns: int, out: list[Record]) -> None:
        """Make gaps of all holes now, without waiting."""
        self._missing.settle(now_ns, out)

    def quarantined(
        self,
        first_id: int | None,
        last_id: int | None,
        now_ns: int,
        out: list[Record],
    ) -> None:
        """Something for this stream could not be read; ids None when unknown."""
        self.counters.quarantined += 1
        if first_id is None or last_id is None or last_id < first_id:
            self.lost(QUARANTINE, now_ns)
            return
        high, low = self.high_water, self._low
        if high is None or low is None or self._fresh:
            return
        self._missing.settle_between(
            first_id, min(last_id, high), QUARANTINE, now_ns, out
        )
        if last_id <= high:
            return
        self._pause()
        if first_id > high + 1:
            self._open_hole(high + 1, first_id - 1, None, now_ns, out)
        hole = Hole.between(
            max(first_id, high + 1), last_id, self._last_ns, None, now_ns
        )
        self._missing.add(hole, QUARANTINE, now_ns, out)
        self._high = last_id
        self._expected = last_id + 1
        self._lost = None

    def resolve(
        self, gap_id: int, state: str, cause: str | None, out: list[Record]
    ) -> bool:
        """Revise a gap from outside: being filled, given up, proven empty.

        Returns:
            False when no open gap has that id.
        """
        return self._missing.resolve(gap_id, state, cause, out)

    @property
    def high_water(self) -> int | None:
        """Highest id known to exist."""
        return self._high if self._expected is None else self._expected - 1

    @property
    def is_renumbered(self) -> bool:
        """Whether the venue counts anew, so that nothing it sends is taken."""
        return self._resets.proven

    @property
    def is_lost(self) -> bool:
        """Whether something may be missing after the high-water mark."""
        return self._lost is not None

    @property
    def missing(self) -> list[tuple[int, int]]:
        """The ids below the high-water mark that are not stored, rising."""
        return self._missing.ids()

    @property
    def pending(self) -> list[tuple[int, int]]:
        """The part of ``missing`` that is not yet in a gap."""
        return [(hole.first, hole.last) for hole in self._missing.pending()]

    def covered(self) -> tuple[int | None, int | None]:
        """First and last id of which every one is stored or in a gap."""
        if self._low is None or self._fresh:
            return None, None
        pending = self._missing.pending()
        if pending:
            return self._low, pending[0].first - 1
        return self._low, self.high_water

    def covered_until_ns(self) -> int | None:
        """Our clock, up to which coverage holds; None when it has ended."""
        if self._fresh:
            return None
        since = [hole.since_ns for hole in self._missing.pending()]
        if self.seen_ns is None or not since:
            return self.seen_ns
        return min(self.seen_ns, *since)

    def open_gaps(self) -> list[Gap]:
        """The rows of gaps that are neither closed nor given up."""
        return self._missing.rows()

    @property
    def gaps_open(self) -> int:
        """How many gaps are neither closed nor given up."""
        return len(self._missing.rows())

    def state(self) -> ContinuityState:
        """All that is needed to go on, for a checkpoint."""
        return ContinuityState(
            self.seen_ns,
            self.high_water,
            self._low,
            self._last_ns,
            self._lost,
            self._fresh,
            [state_of_hole(hole) for hole in self._missing.holes()],
        )

    def restore(self, state: ContinuityState) -> None:
        """Go on from *state*; what this object knew is forgotten."""
        self.seen_ns = state.seen_ns
        self._high, self._low = state.high, state.low
        self._last_ns = state.last_ns
        self._lost, self._fresh = state.lost, state.fresh
        self._begun_ns = None
        self._missing.replace(map(hole_of_state, state.holes))
        paused = self._lost is not None or self._fresh or self._high is None
        self._expected = None if paused or self._high is None else self._high + 1

    def fold(self, record: Record) -> None:
        """Learn from *record* of the journal, which was written after the state."""
        if isinstance(record, Trade):
            counters = attrs.evolve(self.counters)
            # Its facts are in the journal already: what take says is not written.
            self.take(record, record.received_ns, [])
            self.counters = self._missing.counters = counters
        elif isinstance(record, Gap) and not record.for_sink:
            self._fold_gap(record)
        elif isinstance(record, Coverage):
            first, last = record.first_id, record.last_id
            if first is not None and last is not None:
                self._low = first if self._low is None else min(self._low, first)
                if self.high_water is None:
                    self.seen_ns = record.ended_ns
                    self._high, self._expected = last, last + 1

    def _fold_gap(self, gap: Gap) -> None:
        first, last = gap.from_id, gap.to_id
        if first is None or last is None:
            if gap.cause == ID_RESET and self._settings.accept_resets:
                self.restore(ContinuityState())
            return
        self._missing.fold(gap, first, last)
        high = self.high_water
        if high is not None and last > high:
            self._pause()
            self._high = last
            self._lost = None
            self._expected = last + 1
            self._last_ns = gap.to_ns or self._last_ns

    def _take_slowly(self, trade: Trade, now_ns: int, out: list[Record]) -> bool:
        first, last = trade.first_id, trade.last_id
        if last < first:
            self.counters.invalid += 1
            return False
        high, low = self.high_water, self._low
        if high is None or low is None:
            self._low = first
            self._begun_ns = now_ns
            return self._advance_to(trade, now_ns)
        if first > high:
            if self._fresh:
                self._begin_again(first)
            elif first > high + 1:
                self._open_hole(high + 1, first - 1, trade.exchange_ns, now_ns, out)
            self._lost = None
            return self._advance_to(trade, now_ns)
        top = min(last, high)
        missing = self._missing.count(first, top)
        # A gap may be older than the coverage, of a stream that ended meanwhile.
        if first < low and not missing:
            if not self._below(trade, now_ns):
                return self._refuse(trade, now_ns, out, below=True)
            missing = self._missing.count(first, top)
        if not missing and last <= high:
            return self._refuse(trade, now_ns, out, below=False)
        if missing < top - first + 1:
            # Part of it is stored: keeping it would store that part twice.
            self.counters.overlaps += 1
            if last > high:
                self._begin_again(high + 1)
                self._open_hole(high + 1, last, trade.exchange_ns, now_ns, out)
                self._lost = None
                self._advance_to(trade, now_ns)
            return False
        self._missing.recover(first, top, trade.exchange_ns, out)
        if trade.source != BACKFILL:
            # What was fetched does not say that the stream is followed.
            self.seen_ns = now_ns
        if last > high:
            self._begin_again(first)
            self._lost = None
            self._advance_to(trade, now_ns)
        return True

    def _begin_again(self, low: int) -> None:
        """Coverage that has ended begins again at *low*."""
        if self._fresh:
            self._low = low
            self._fresh = False

    def _advance_to(self, trade: Trade, now_ns: int) -> bool:
        self._high = trade.last_id
        self._expected = trade.last_id + 1
        self._last_ns = trade.exchange_ns
        self.seen_ns = now_ns
        self._resets.forget()
        return True

    def _pause(self) -> None:
        self._high = self.high_water
        self._expected = None

    def _below(self, trade: Trade, now_ns: int) -> bool:
        """Lower the start of coverage for a trade that the first one overtook."""
        assert self._low is not None
        grace = self._settings.reorder_grace_ns
        if trade.last_id >= self._low or self._fresh:
            return False
        if self._resets.is_new(trade, self._last_ns):
            return False
        if self._begun_ns is None or now_ns - self._begun_ns > grace:
            return False
        # All of it counts as missing, and the caller recovers what came.
        hole = Hole.between(
            trade.first_id, self._low - 1, trade.exchange_ns, self._last_ns, now_ns
        )
        self._missing.add(hole, None, now_ns, [])
        self._low = trade.first_id
        return True

    def _refuse(
        self, trade: Trade, now_ns: int, out: list[Record], *, below: bool
    ) -> bool:
        """Drop a trade that seems stored, unless the venue began to count anew."""
        newest = self._last_ns
        if not self._resets.is_new(trade, newest):
            if below:
                self.counters.below += 1
            else:
                self.counters.duplicates += 1
            return False
        if not self._resets.proves_reset(trade):
            self.counters.out_of_order += 1
            return False
        accept = self._settings.accept_resets
        to_ns = trade.exchange_ns if accept else None
        self.counters.gaps_opened += 1
        self.counters.gaps_unrecoverable += 1
        out.append(
            Gap(
                self.stream,
                self._gap_ids.next(),
                0,
                None,
                None,
                newest,
                to_ns,
                ID_RESET,
                now_ns,
                UNRECOVERABLE,
            )
        )
        if not accept:
            self.counters.out_of_order += 1
            # The first in order again has to be noticed.
            self._pause()
            return False
        self._missing.give_up(out)
        self.epoch += 1
        self._low = trade.first_id
        self._lost = None
        return self._advance_to(trade, now_ns)

    def _open_hole(
        self,
        first: int,
        last: int,
        to_ns: int | None,
        now_ns: int,
        out: list[Record],
    ) -> None:
        hole = Hole.between(first, last, self._last_ns, to_ns, now_ns)
        self._missing.add(hole, self._lost, now_ns, out)
