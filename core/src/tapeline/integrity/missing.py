"""The missing ids of one stream: first they wait, then a gap row tells of them."""

from __future__ import annotations

from collections.abc import Iterable

from tapeline.integrity.counters import ContinuityCounters
from tapeline.integrity.gap_ids import GapIds
from tapeline.integrity.holes import Hole, Holes
from tapeline.integrity.intervals import IntervalSet
from tapeline.integrity.settings import IntegritySettings
from tapeline.model import (
    BACKFILLING,
    CLOSED,
    OPEN,
    UNRECOVERABLE,
    Gap,
    Record,
    Subscription,
)

ID_HOLE = "id-hole"


class MissingIds:
    """Every missing id is in exactly one hole, with a row or still without.

    Args:
        counters: of the stream; gaps are counted there.
    """

    __slots__ = (
        "_deadline_ns",
        "_gap_ids",
        "_holes",
        "_ids",
        "_settings",
        "_stream",
        "counters",
    )

    def __init__(
        self,
        stream: Subscription,
        gap_ids: GapIds,
        settings: IntegritySettings,
        counters: ContinuityCounters,
    ) -> None:
        self.counters = counters
        self._stream = stream
        self._gap_ids = gap_ids
        self._settings = settings
        self._ids = IntervalSet()
        self._holes = Holes()
        self._deadline_ns: int | None = None

    def add(
        self, hole: Hole, cause: str | None, now_ns: int, out: list[Record]
    ) -> None:
        """Its ids are missing: a row at once for *cause*, else after the grace."""
        self._ids.add(hole.first, hole.last)
        self._holes.insert(hole)
        if cause is None:
            self._wait_for(hole)
        else:
            self._declare(hole, cause, now_ns, out)

    def count(self, first: int, last: int) -> int:
        """How many of ``first..last`` are missing."""
        return self._ids.count(first, last)

    def recover(self, first: int, last: int, at_ns: int, out: list[Record]) -> None:
        """``first..last``, traded at *at_ns*, came: shorten, split or close holes."""
        for hole in self._holes.overlapping(first, last):
            low, high = max(first, hole.first), min(last, hole.last)
            if low == hole.first and high == hole.last:
                self._close(hole, out)
                continue
            self._ids.remove(low, high)
            upper: Hole | None = None
            if low == hole.first:
                self._holes.move(hole, high + 1)
                hole.from_ns = at_ns
            elif high == hole.last:
                hole.last = low - 1
                hole.to_ns = at_ns
            else:
                upper = hole.split(low, high, at_ns)
                self._holes.insert(upper)
            if hole.gap_id is None:
                continue
            hole.revision += 1
            out.append(hole.row(self._stream))
            if upper is not None:
                upper.gap_id = self._gap_ids.next()
                self.counters.gaps_opened += 1
                out.append(upper.row(self._stream))

    def advance(self, now_ns: int, out: list[Record]) -> None:
        """Make gaps of the holes whose grace is over."""
        if self._deadline_ns is None:
            return
        grace = self._settings.reorder_grace_ns
        self._deadline_ns = None
        for hole in self._holes.pending():
            if hole.since_ns > now_ns:
                # The wall clock was set back: wait from where it is now.
                hole.since_ns = now_ns
            if hole.since_ns + grace <= now_ns:
                self._declare(hole, ID_HOLE, now_ns, out)
            else:
                self._wait_for(hole)

    def settle(self, now_ns: int, out: list[Record]) -> None:
        """Make gaps of all holes now, without waiting."""
        for hole in self._holes.pending():
            self._declare(hole, ID_HOLE, now_ns, out)
        self._deadline_ns = None

    def settle_between(
        self, first: int, last: int, cause: str, now_ns: int, out: list[Record]
    ) -> None:
        """Make gaps of the holes that share an id with ``first..last``."""
        for hole in self._holes.overlapping(first, last):
            if hole.gap_id is None:
                self._declare(hole, cause, now_ns, out)

    def resolve(
        self, gap_id: int, state: str, cause: str | None, out: list[Record]
    ) -> bool:
        """Revise a gap from outside; False when no open gap has that id."""
        hole = self._holes.by_gap_id(gap_id)
        if hole is None:
            return False
        hole.cause = hole.cause if cause is None else cause
        hole.state = state
        hole.revision += 1
        if state not in (OPEN, BACKFILLING):
            self._remove(hole)
        if state == CLOSED:
            self.counters.gaps_closed += 1
            out.append(hole.closed_row(self._stream))
            return True
        if state == UNRECOVERABLE:
            self.counters.gaps_unrecoverable += 1
        out.append(hole.row(self._stream))
        return True

    def give_up(self, out: list[Record]) -> None:
        """Write all gaps as unrecoverable and forget every hole."""
        for hole in self._holes.declared():
            self._give_up(hole, out)
        self.clear()

    def fold(self, gap: Gap, first: int, last: int) -> None:
        """Take over a row of the journal about ``first..last``, silently."""
        hole = self._holes.by_gap_id(gap.gap_id)
        if hole is not None:
            self._remove(hole)
        else:
            for other in self._holes.overlapping(first, last):
                self._remove(other)
            for other in self._holes:
                # The upper part of a split answers for itself from here on.
                if other.whole_first < first <= other.whole_last:
                    other.whole_last = first - 1
                    other.whole_to_ns = gap.from_ns
            hole = Hole.between(first, last, gap.from_ns, gap.to_ns, gap.detected_ns)
            hole.gap_id = gap.gap_id
        hole.restore_row(gap)
        if gap.state in (OPEN, BACKFILLING):
            self._ids.add(first, last)
            self._holes.insert(hole)

    def replace(self, holes: Iterable[Hole]) -> None:
        """Hold *holes*, with and without rows, and nothing else."""
        self.clear()
        for hole in holes:
            self._ids.add(hole.first, hole.last)
            self._holes.insert(hole)
            if hole.gap_id is None:
                self._wait_for(hole)

    def clear(self) -> None:
        """Forget every hole, writing nothing."""
        self._ids.clear()
        self._holes.clear()
        self._deadline_ns = None

    def ids(self) -> list[tuple[int, int]]:
        """The missing ids as intervals, rising."""
        return list(self._ids)

    def holes(self) -> list[Hole]:
        """All holes, rising."""
        return list(self._holes)

    def pending(self) -> list[Hole]:
        """The holes without a row, rising."""
        # Most streams have no hole most of the time.
        return self._holes.pending() if self._deadline_ns is not None else []

    def rows(self) -> list[Gap]:
        """The rows of gaps that are neither closed nor given up."""
        return [hole.row(self._stream) for hole in self._holes.declared()]

    def _wait_for(self, hole: Hole) -> None:
        due = hole.since_ns + self._settings.reorder_grace_ns
        if self._deadline_ns is None or due < self._deadline_ns:
            self._deadline_ns = due

    def _declare(self, hole: Hole, cause: str, now_ns: int, out: list[Record]) -> None:
        hole.whole_first, hole.whole_last = hole.first, hole.last
        hole.whole_from_ns, hole.whole_to_ns = hole.from_ns, hole.to_ns
        hole.gap_id = self._gap_ids.next()
        hole.revision = 0
        hole.cause = cause
        hole.detected_ns = now_ns
        self.counters.gaps_opened += 1
        out.append(hole.row(self._stream))
        if len(self._holes) > self._settings.max_open_gaps:
            self._give_up(self._holes.declared()[0], out)

    def _give_up(self, hole: Hole, out: list[Record]) -> None:
        assert hole.gap_id is not None
        self.resolve(hole.gap_id, UNRECOVERABLE, None, out)

    def _remove(self, hole: Hole) -> None:
        self._ids.remove(hole.first, hole.last)
        self._holes.discard(hole)

    def _close(self, hole: Hole, out: list[Record]) -> None:
        self._remove(hole)
        if hole.gap_id is None:
            return
        hole.first = hole.last + 1
        hole.revision += 1
        self.counters.gaps_closed += 1
        out.append(hole.closed_row(self._stream))
