"""Ids of gaps: rising, and unique over restarts."""

from __future__ import annotations


class GapIds:
    """Counts up from the wall clock, in microseconds times 256.

    Args:
        wall_ns: wall clock at start. A clock that was set back does no harm as long
            as ids of earlier runs are shown to ``seen``.
    """

    __slots__ = ("_last",)

    def __init__(self, wall_ns: int) -> None:
        self._last = (wall_ns // 1_000) << 8

    @property
    def last(self) -> int:
        """The id given out last, or the floor."""
        return self._last

    def next(self) -> int:
        """A new id."""
        self._last += 1
        return self._last

    def seen(self, gap_id: int) -> None:
        """Never give out *gap_id* or anything below it."""
        self._last = max(self._last, gap_id)
