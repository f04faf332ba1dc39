"""Missing ids of one stream, and the gap rows that tell of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import attrs

from tapeline.model import CLOSED, OPEN, Gap, Subscription


@attrs.define(eq=False)
class Hole:
    """A run of missing ids: pending while it has no *gap_id*, then a gap.

    Args:
        first, last: ids still missing, both inclusive.
        from_ns, to_ns: exchange time of the trades around them.
        since_ns: when it was noticed.
        whole_first, whole_last: the ids it has answered for since it is a row.
        whole_from_ns, whole_to_ns: exchange time around those.
    """

    first: int
    last: int
    from_ns: int | None
    to_ns: int | None
    since_ns: int
    whole_first: int
    whole_last: int
    whole_from_ns: int | None
    whole_to_ns: int | None
    cause: str = ""
    gap_id: int | None = None
    revision: int = 0
    detected_ns: int = 0
    state: str = OPEN

    @classmethod
    def between(
        cls, first: int, last: int, from_ns: int | None, to_ns: int | None, now_ns: int
    ) -> Hole:
        """A hole of which nothing was recovered yet."""
        if from_ns is not None and to_ns is not None and to_ns < from_ns:
            from_ns, to_ns = to_ns, from_ns
        return cls(first, last, from_ns, to_ns, now_ns, first, last, from_ns, to_ns)

    @property
    def recovered(self) -> int:
        """Ids found again: recovery only ever shortens a hole at its ends."""
        return (self.first - self.whole_first) + (self.whole_last - self.last)

    def row(self, stream: Subscription) -> Gap:
        """The row as it stands: what is still missing."""
        assert self.gap_id is not None
        return Gap(
            stream,
            self.gap_id,
            self.revision,
            self.first,
            self.last,
            self.from_ns,
            self.to_ns,
            self.cause,
            self.detected_ns,
            self.state,
            self.recovered,
        )

    def closed_row(self, stream: Subscription) -> Gap:
        """The last row of a hole that is no more: all it ever answered for."""
        assert self.gap_id is not None
        return Gap(
            stream,
            self.gap_id,
            self.revision,
            self.whole_first,
            self.whole_last,
            self.whole_from_ns,
            self.whole_to_ns,
            self.cause,
            self.detected_ns,
            CLOSED,
            self.recovered,
        )

    def restore_row(self, gap: Gap) -> None:
        """Take over what *gap*, a later row of this hole, says."""
        if gap.from_id is not None and gap.to_id is not None:
            self.first, self.last = gap.from_id, gap.to_id
        self.from_ns, self.to_ns = gap.from_ns, gap.to_ns
        self.revision, self.state = gap.revision, gap.state
        self.cause, self.detected_ns = gap.cause, gap.detected_ns

    def split(self, first: int, last: int, at_ns: int) -> Hole:
        """Cut ``first..last`` out of the middle; self keeps what lies below it."""
        upper = attrs.evolve(
            self,
            first=last + 1,
            from_ns=at_ns,
            whole_first=last + 1,
            whole_from_ns=at_ns,
            gap_id=None,
            revision=0,
        )
        self.last = first - 1
        self.to_ns = at_ns
        self.whole_last = last
        self.whole_to_ns = at_ns
        return upper


class Holes:
    """The holes of one stream, disjoint, sorted by id."""

    __slots__ = ("_firsts", "_holes")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._holes: list[Hole] = []

    def insert(self, hole: Hole) -> None:
        """Add *hole*, which must not overlap another."""
        at = bisect_left(self._firsts, hole.first)
        self._firsts.insert(at, hole.first)
        self._holes.insert(at, hole)

    def discard(self, hole: Hole) -> None:
        """Take *hole* out; its ``first`` must still be what it was inserted with."""
        at = bisect_left(self._firsts, hole.first)
        if at < len(self._holes) and self._holes[at] is hole:
            del self._firsts[at], self._holes[at]

    def move(self, hole: Hole, first: int) -> None:
        """*hole* begins at *first* now, a little above where it began."""
        at = bisect_left(self._firsts, hole.first)
        self._firsts[at] = hole.first = first

    def overlapping(self, first: int, last: int) -> list[Hole]:
        """The holes that share an id with ``first..last``, rising."""
        at = max(0, bisect_left(self._firsts, first) - 1)
        found = []
        while at < len(self._holes) and self._firsts[at] <= last:
            if self._holes[at].last >= first:
                found.append(self._holes[at])
            at += 1
        return found

    def by_gap_id(self, gap_id: int) -> Hole | None:
        """The hole whose row has *gap_id*."""
        for hole in self._holes:
            if hole.gap_id == gap_id:
                return hole
        return None

    def pending(self) -> list[Hole]:
        """Those without a row, rising."""
        return [hole for hole in self._holes if hole.gap_id is None]

    def declared(self) -> list[Hole]:
        """Those with a row, rising."""
        return [hole for hole in self._holes if hole.gap_id is not None]

    def clear(self) -> None:
        """Forget all."""
        self._firsts.clear()
        self._holes.clear()

    def __iter__(self) -> Iterator[Hole]:
        return iter(self._holes)

    def __len__(self) -> int:
        return len(self._holes)
