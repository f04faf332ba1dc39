"""The newest committed rows, kept in memory for sinks that are caught up."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tapeline.model import Part, Record

_OBJECT_FACTOR = 6
"""Objects take about this many times the bytes of their encoding."""


class Ring:
    """Consecutive positions, bounded in bytes; the oldest are dropped first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: deque[tuple[Part, int]] = deque()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def first(self) -> int | None:
        """The oldest position it holds."""
        return self._parts[0][0].position if self._parts else None

    def add(self, position: int, records: Sequence[Record], nbytes: int) -> None:
        """Add the next position."""
        cost = nbytes * _OBJECT_FACTOR
        self._parts.append((Part(position, records), cost))
        self.nbytes += cost
        while self.nbytes > self._max_bytes:
            self._drop()

    def release(self, position: int) -> None:
        """Every reader is beyond *position*."""
        while self._parts and self._parts[0][0].position <= position:
            self._drop()

    def clear(self) -> None:
        """Drop everything."""
        self._parts.clear()
        self.nbytes = 0

    def take(self, position: int, max_records: int, max_bytes: int) -> list[Part]:
        """Parts from *position* on, which it must hold; at least one."""
        parts: list[Part] = []
        records = nbytes = 0
        start = position - self._parts[0][0].position
        for at in range(start, len(self._parts)):
            part, cost = self._parts[at]
            parts.append(part)
            records += len(part.records)
            nbytes += cost // _OBJECT_FACTOR
            if records >= max_records or nbytes >= max_bytes:
                break
        return parts

    def _drop(self) -> None:
        self.nbytes -= self._parts.popleft()[1]
