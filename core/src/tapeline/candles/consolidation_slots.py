"""One timeframe of a consolidation: which bars its parts have, and what was said."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

import attrs
import msgspec

from tapeline.candles.consolidation_merge import MISSING, WHOLE, Merged, PartBar
from tapeline.candles.series import NEVER
from tapeline.model import COMPLETE, GAP, PARTIAL

_MAX_RUNS = 1_024


class Slot(msgspec.Struct, array_like=True):
    """One interval: the bar of each part, and the consolidated bar given out last.

    Args:
        bars: in the order of the parts, None for a part without a bar.
        sent: what was given out; None before the first time.
        revision: of it, -1 before the first time.
    """

    open_ns: int
    bars: list[PartBar | None]
    sent: Merged | None = None
    revision: int = -1

    @property
    def settled(self) -> bool:
        """Whether nothing more is expected: every part was whole."""
        return self.sent is not None and self.sent.state in WHOLE


class Runs:
    """Numbers as runs of neighbors; bounded, by joining the oldest."""

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        self._runs = sorted([list(run) for run in runs])

    def add(self, number: int) -> None:
        """Take *number* in."""
        runs = self._runs
        at = bisect_right(runs, [number, number])
        if at and runs[at - 1][1] >= number - 1:
            at -= 1
            runs[at][1] = max(runs[at][1], number)
        elif at < len(runs) and runs[at][0] == number + 1:
            runs[at][0] = number
        else:
            runs.insert(at, [number, number])
        if at + 1 < len(runs) and runs[at][1] + 1 >= runs[at + 1][0]:
            runs[at][1] = max(runs[at][1], runs.pop(at + 1)[1])
        if len(runs) > _MAX_RUNS:
            runs[0][1] = runs.pop(1)[1]

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._runs, [number, 2**63]) - 1
        return at >= 0 and self._runs[at][1] >= number

    def before(self, number: int) -> int | None:
        """The highest one below *number*."""
        at = bisect_left(self._runs, [number, number]) - 1
        return min(self._runs[at][1], number - 1) if at >= 0 else None

    def after(self, number: int) -> int | None:
        """The lowest one above *number*."""
        at = bisect_right(self._runs, [number, 2**63]) - 1
        if at >= 0 and self._runs[at][1] > number:
            return number + 1
        return self._runs[at + 1][0] if at + 1 < len(self._runs) else None

    def pairs(self) -> list[tuple[int, int]]:
        """All runs, for a checkpoint."""
        return [(first, last) for first, last in self._runs]


@attrs.define
class SlotCounters:
    """What became of the bars of one timeframe.

    Args:
        given: consolidated bars given out for the first time.
        revised: those given out again.
        too_late: bars of parts whose interval is not kept any more.
        given_up: bars that stay as they are, though a part is not whole.
    """

    given: int = 0
    revised: int = 0
    too_late: int = 0
    given_up: int = 0


class Slots:
    """The intervals of one timeframe that are still of interest.

    Args:
        width_ns: of an interval.
        parts: their number.
        from_ns: intervals that end before are nobody's.
    """

    def __init__(self, timeframe: str, width_ns: int, parts: int, from_ns: int) -> None:
        self.timeframe = timeframe
        self.width_ns = width_ns
        self.from_ns = from_ns
        self.slots: dict[int, Slot] = {}
        self.dirty: set[int] = set()
        self.waiting: set[int] = set()
        self.counters = SlotCounters()
        # Numbers of forgotten intervals: in the first all parts were whole.
        self.whole = Runs()
        self.given_up = Runs()
        self._opens: list[int] = []
        self._keys: list[list[int]] = [[] for _ in range(parts)]
        self._evict_at = 64

    def put(self, part: int, open_ns: int, bar: PartBar) -> bool:
        """Take the bar of a part, in place of an older one; False when too late."""
        slot = self.slots.get(open_ns) or self.make(open_ns)
        if slot is None:
            self.counters.too_late += 1
            return False
        keys = self._keys[part]
        if slot.bars[part] is None:
            insort(keys, open_ns)
        slot.bars[part] = bar
        self.dirty.add(open_ns)
        # Where this part has no bar, its neighbors tell whether it traded.
        at = bisect_left(keys, open_ns)
        low = keys[at - 1] if at else self._opens[0]
        high = keys[at + 1] if at + 1 < len(keys) else self._opens[-1]
        begin, end = bisect_left(self._opens, low), bisect_right(self._opens, high)
        if end - begin > 1:
            self.dirty.update(self._opens[begin:end])
        return True

    def make(self, open_ns: int) -> Slot | None:
        """A new slot; None when its interval was forgotten."""
        number = open_ns // self.width_ns
        early = open_ns + self.width_ns <= self.from_ns
        if early or number in self.whole or number in self.given_up:
            return None
        slot = Slot(open_ns, [None] * len(self._keys))
        self.slots[open_ns] = slot
        insort(self._opens, open_ns)
        return slot

    def states(self, slot: Slot) -> list[str]:
        """The state of each part in the interval of *slot*."""
        return [
            self._without_bar(part, slot.open_ns) if bar is None else bar.state
            for part, bar in enumerate(slot.bars)
        ]

    def _without_bar(self, part: int, open_ns: int) -> str:
        """``complete`` when whole neighbors prove that the part did not trade.

        What is missing between two trades shows in the bars of both.
        """
        keys = self._keys[part]
        at = bisect_left(keys, open_ns)
        number = open_ns // self.width_ns
        before = keys[at - 1] if at else -1
        after = keys[at] if at < len(keys) else NEVER
        whole_before, whole_after = self.whole.before(number), self.whole.after(number)
        states = (
            COMPLETE
            if whole_before is not None and whole_before * self.width_ns > before
            else self._state(part, before),
            COMPLETE
            if whole_after is not None and whole_after * self.width_ns < after
            else self._state(part, after),
        )
        if GAP in states:
            return GAP
        if MISSING in states:
            return MISSING
        return PARTIAL if PARTIAL in states else COMPLETE

    def _state(self, part: int, open_ns: int) -> str:
        slot = self.slots.get(open_ns)
        bar = None if slot is None else slot.bars[part]
        return MISSING if bar is None else bar.state

    def evict(self, newest_ns: int, keep_ns: int, max_open: int) -> None:
        """Forget what nothing can change any more, and what there is too much of."""
        if len(self.slots) < self._evict_at:
            return
        old_ns = newest_ns - keep_ns - self.width_ns
        settled = [
            open_ns
            for open_ns in self._opens
            if open_ns < old_ns
            and open_ns not in self.dirty
            and self.slots[open_ns].settled
        ]
        self._forget(settled, self.whole)
        excess = self._opens[: max(0, len(self._opens) - max_open)]
        excess = [open_ns for open_ns in excess if open_ns not in self.dirty]
        self.counters.given_up += len(excess)
        self._forget(excess, self.given_up)
        self._evict_at = 2 * len(self.slots) + 64

    def _forget(self, opens: Iterable[int], runs: Runs) -> None:
        gone = set(opens)
        for open_ns in gone:
            runs.add(open_ns // self.width_ns)
            self.waiting.discard(open_ns)
            del self.slots[open_ns]
        if gone:
            self._opens = [one for one in self._opens if one not in gone]
            self._keys = [[k for k in keys if k not in gone] for keys in self._keys]

    def hold(self, slots: Iterable[Slot]) -> None:
        """Go on with *slots* of a checkpoint."""
        for slot in slots:
            self.slots[slot.open_ns] = slot
            self.dirty.add(slot.open_ns)
            for part, bar in enumerate(slot.bars):
                if bar is not None:
                    insort(self._keys[part], slot.open_ns)
        self._opens = sorted(self.slots)
