"""Where in time trades are missing, as far as candles must know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs


@attrs.define(eq=False)
class TimeHole:
    """Missing trades somewhere in ``from_ns..to_ns``, both inclusive.

    Args:
        first_id, last_id: their ids; None when only the time is known.
    """

    from_ns: int
    to_ns: int
    first_id: int | None = None
    last_id: int | None = None


class TimeHoles:
    """The holes of one trade stream, oldest first."""

    __slots__ = ("_holes", "_repaired")

    def __init__(self) -> None:
        self._holes: list[TimeHole] = []
        self._repaired: list[tuple[int, int]] = []

    def add(
        self,
        from_ns: int,
        to_ns: int,
        first_id: int | None = None,
        last_id: int | None = None,
    ) -> None:
        """Something is missing between two times."""
        low, high = min(from_ns, to_ns), max(from_ns, to_ns)
        self._holes.append(TimeHole(low, high, first_id, last_id))

    def replace(self, holes: Iterable[TimeHole]) -> None:
        """Hold *holes* and nothing else."""
        self._holes = list(holes)

    def fill(self, first_id: int, last_id: int, at_ns: int) -> bool:
        """Ids were found, traded at *at_ns*; whether any was missing."""
        found = False
        kept: list[TimeHole] = []
        for hole in self._holes:
            first, last = hole.first_id, hole.last_id
            if first is None or last is None or last < first_id or first > last_id:
                kept.append(hole)
                continue
            found = True
            if first < first_id:
                kept.append(_between(hole.from_ns, at_ns, first, first_id - 1))
            if last > last_id:
                kept.append(_between(at_ns, hole.to_ns, last_id + 1, last))
            if first >= first_id:
                self._repaired.append((hole.from_ns, min(at_ns, hole.to_ns)))
            if last <= last_id:
                self._repaired.append((max(at_ns, hole.from_ns), hole.to_ns))
        self._holes = kept
        return found

    def forget(self, first_id: int, last_id: int) -> bool:
        """These ids were never given out; whether any was taken for missing."""
        found = False
        kept: list[TimeHole] = []
        for hole in self._holes:
            first, last = hole.first_id, hole.last_id
            if first is None or last is None or last < first_id or first > last_id:
                kept.append(hole)
                continue
            found = True
            if first < first_id:
                kept.append(_between(hole.from_ns, hole.to_ns, first, first_id - 1))
            if last > last_id:
                kept.append(_between(hole.from_ns, hole.to_ns, last_id + 1, last))
            if first >= first_id and last <= last_id:
                self._repaired.append((hole.from_ns, hole.to_ns))
        self._holes = kept
        return found

    def repair(self, from_ns: int, to_ns: int) -> bool:
        """Nothing is missing between two times; whether anything was."""
        kept: list[TimeHole] = []
        changed = False
        for hole in self._holes:
            if hole.to_ns < from_ns or hole.from_ns > to_ns:
                kept.append(hole)
                continue
            inside = from_ns <= hole.from_ns and hole.to_ns <= to_ns
            if not inside and hole.first_id is not None:
                # Which of its ids lie in the repaired part cannot be told.
                kept.append(hole)
                continue
            changed = True
            self._repaired.append((max(hole.from_ns, from_ns), min(hole.to_ns, to_ns)))
            if hole.from_ns < from_ns:
                kept.append(TimeHole(hole.from_ns, from_ns - 1))
            if hole.to_ns > to_ns:
                kept.append(TimeHole(to_ns + 1, hole.to_ns))
        self._holes = kept
        return changed

    def take_repaired(self) -> list[tuple[int, int]]:
        """Where less is missing than at the last call, both ends inclusive."""
        repaired, self._repaired = self._repaired, []
        return repaired

    def touches(self, open_ns: int, end_ns: int, settled_ns: int | None = None) -> bool:
        """Whether a trade may be missing in ``open_ns..end_ns``, end exclusive.

        Args:
            settled_ns: pass over holes that ended after it and may fill themselves.
        """
        if not self._holes:
            return False
        return any(
            hole.from_ns < end_ns
            and hole.to_ns >= open_ns
            and (
                settled_ns is None or hole.first_id is None or hole.to_ns <= settled_ns
            )
            for hole in self._holes
        )

    def settled_limit_ns(self, limit_ns: int, settled_ns: int) -> int:
        """*limit_ns*, or the start of the first hole that may still fill itself."""
        for hole in self._holes:
            young = hole.first_id is not None and hole.to_ns > settled_ns
            if young and hole.from_ns < limit_ns:
                limit_ns = hole.from_ns
        return limit_ns

    def pop_old(self, before_ns: int, most: int) -> list[TimeHole]:
        """Take out what ended before *before_ns*, and what exceeds *most* holes."""
        surplus = len(self._holes) - most
        if surplus <= 0 and not any(hole.to_ns < before_ns for hole in self._holes):
            return []
        old = [
            hole
            for at, hole in enumerate(self._holes)
            if at < surplus or hole.to_ns < before_ns
        ]
        self._holes = [hole for hole in self._holes if hole not in old]
        return old

    def __iter__(self) -> Iterator[TimeHole]:
        return iter(self._holes)

    def __len__(self) -> int:
        return len(self._holes)


def _between(low_ns: int, high_ns: int, first_id: int, last_id: int) -> TimeHole:
    return TimeHole(min(low_ns, high_ns), max(low_ns, high_ns), first_id, last_id)
