"""Exact sets of integers, kept as closed intervals."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

import attrs


@attrs.define
class IntervalSet:
    """A set of integers whose size in memory is its number of intervals.

    Intervals are closed on both sides, sorted, disjoint and never adjacent.
    """

    _firsts: list[int] = attrs.field(factory=list)
    _lasts: list[int] = attrs.field(factory=list)

    @classmethod
    def of(cls, intervals: Iterable[tuple[int, int]]) -> IntervalSet:
        """The union of *intervals*, in any order."""
        made = cls()
        for first, last in intervals:
            made.add(first, last)
        return made

    def add(self, first: int, last: int) -> None:
        """Put ``first..last`` in; nothing when *last* is below *first*."""
        if last < first:
            return
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def append(self, first: int, last: int) -> None:
        """Put ``first..last`` in, which lies above everything that is in."""
        # hot path
        lasts = self._lasts
        if lasts and lasts[-1] + 1 == first:
            lasts[-1] = last
        else:
            self._firsts.append(first)
            lasts.append(last)

    def remove(self, first: int, last: int) -> None:
        """Take ``first..last`` out, whether or not all of it is in."""
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        if last < first or low >= high:
            return
        firsts: list[int] = []
        lasts: list[int] = []
        if self._firsts[low] < first:
            firsts.append(self._firsts[low])
            lasts.append(first - 1)
        if self._lasts[high - 1] > last:
            firsts.append(last + 1)
            lasts.append(self._lasts[high - 1])
        self._firsts[low:high] = firsts
        self._lasts[low:high] = lasts

    def keep_highest(self, most: int) -> int | None:
        """Take the lowest intervals out until *most* are left.

        Returns:
            the highest number taken out; None when there was nothing to take.
        """
        excess = len(self._firsts) - most
        if excess <= 0:
            return None
        highest = self._lasts[excess - 1]
        del self._firsts[:excess], self._lasts[:excess]
        return highest

    def clear(self) -> None:
        """Take everything out."""
        self._firsts.clear()
        self._lasts.clear()

    def count(self, first: int, last: int) -> int:
        """How many of ``first..last`` are in."""
        if last < first:
            return 0
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        return sum(
            min(last, self._lasts[i]) - max(first, self._firsts[i]) + 1
            for i in range(low, high)
        )

    def gaps(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The maximal intervals of ``first..last`` that are not in, rising."""
        at = bisect_left(self._lasts, first)
        while first <= last:
            if at == len(self._firsts) or self._firsts[at] > last:
                yield first, last
                return
            if self._firsts[at] > first:
                yield first, self._firsts[at] - 1
            first = self._lasts[at] + 1
            at += 1

    @property
    def total(self) -> int:
        """How many integers are in."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        return at < len(self._firsts) and self._firsts[at] <= number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The intervals, rising."""
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        """Number of intervals, not of integers."""
        return len(self._firsts)

    def __bool__(self) -> bool:
        return bool(self._firsts)
