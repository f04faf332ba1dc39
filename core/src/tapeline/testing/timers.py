"""Timers of a simulator: callbacks in time order, driven from outside."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count


class Timer:
    """One call to come; ``cancel`` takes it back."""

    __slots__ = ("at_ns", "call")

    def __init__(self, at_ns: int, call: Callable[[int], None] | None) -> None:
        self.at_ns = at_ns
        self.call = call

    def cancel(self) -> None:
        """Never call it; safe after it was called."""
        self.call = None


class Timers:
    """Calls ordered by time, then by when they were asked for."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = count()

    def at(self, at_ns: int, call: Callable[[int], None]) -> Timer:
        """Call ``call(at_ns)`` when time reaches *at_ns*."""
        timer = Timer(at_ns, call)
        heappush(self._heap, (at_ns, next(self._order), timer))
        return timer

    def next_ns(self) -> int | None:
        """When the next call is due; None when there is none."""
        heap = self._heap
        while heap and heap[0][2].call is None:
            heappop(heap)
        return heap[0][0] if heap else None

    def run(self, now_ns: int) -> None:
        """Make every call that is due by *now_ns*, each with its own time."""
        heap = self._heap
        while heap and heap[0][0] <= now_ns:
            timer = heappop(heap)[2]
            call = timer.call
            if call is not None:
                timer.call = None
                call(timer.at_ns)
