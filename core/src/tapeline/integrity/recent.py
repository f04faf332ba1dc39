"""Which ids were taken lately, of a stream whose ids rise but do not step by one."""

from __future__ import annotations

from tapeline.integrity.intervals import IntervalSet


class RecentIds:
    """Knows exactly what was taken of the newest ids; older ones all count as taken.

    Venues send a trade late, and repeat the last hundred or so when a stream begins
    again. Both have low ids; what tells them apart is whether an id was there before.

    Args:
        most: runs of ids that are remembered, at least; twice as many at most.
    """

    __slots__ = ("_bound", "_floor", "_taken", "high")

    def __init__(self, most: int) -> None:
        self.high: int | None = None
        self._bound = 2 * most
        self._floor = -1
        self._taken = IntervalSet()

    def count(self, first: int, last: int) -> int:
        """How many of ``first..last`` were taken, or are too old to be told."""
        high = self.high
        if high is None or first > high:
            return 0
        floor = self._floor
        if first > floor:
            return self._taken.count(first, last)
        old = min(last, floor) - first + 1
        return old + self._taken.count(floor + 1, last)

    # hot path
    def follow(self, first: int, last: int) -> bool:
        """Take ``first..last`` when all of it is above everything taken."""
        high = self.high
        if (high is not None and first <= high) or last < first:
            return False
        self.high = last
        taken = self._taken
        taken.append(first, last)
        if len(taken) > self._bound:
            self._shorten()
        return True

    def add(self, first: int, last: int) -> None:
        """``first..last`` were taken, wherever they are."""
        if self.high is None or last > self.high:
            self.high = last
        self._taken.add(first, last)
        if len(self._taken) > self._bound:
            self._shorten()

    def _shorten(self) -> None:
        self._floor = self._taken.keep_highest(self._bound // 2) or self._floor

    def begin_at(self, high: int | None) -> None:
        """Forget everything; up to *high* all ids count as taken."""
        self.high = high
        self._floor = -1 if high is None else high
        self._taken.clear()
