"""How far behind a position is: rows, bytes and age, without asking the disk."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import attrs

_MAX_MARKS = 8_192
_FINE_MARKS = 2_048


@attrs.frozen
class Mark:
    """The state of the outbox after some commits; sums count from the first mark.

    Args:
        wall_ns: of the first row behind the mark before this one.
    """

    position: int
    rows: int
    nbytes: int
    wall_ns: int


class Backlog:
    """Marks of commits, thinned out when they become many."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []
        self._trimmed_rows = 0
        self._trimmed_bytes = 0

    @property
    def rows(self) -> int:
        """Rows in the outbox."""
        return (self._marks[-1].rows if self._marks else 0) - self._trimmed_rows

    @property
    def nbytes(self) -> int:
        """Bytes of the rows in the outbox."""
        return (self._marks[-1].nbytes if self._marks else 0) - self._trimmed_bytes

    def extend(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Add rows ``(position, nbytes, wall_ns)`` and set one mark behind them."""
        if not rows:
            return
        last = self._marks[-1] if self._marks else Mark(0, 0, 0, 0)
        self._marks.append(
            Mark(
                position=rows[-1][0],
                rows=last.rows + len(rows),
                nbytes=last.nbytes + sum(row[1] for row in rows),
                wall_ns=rows[0][2],
            )
        )
        if len(self._marks) > _MAX_MARKS:
            self._thin()

    def load(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Add the rows that were there at the start, with marks among them."""
        step = max(1, len(rows) * 2 // _MAX_MARKS)
        for at in range(0, len(rows), step):
            self.extend(rows[at : at + step])

    def trim(self, position: int, rows: int, nbytes: int) -> None:
        """*rows* up to *position* are gone."""
        self._trimmed_rows += rows
        self._trimmed_bytes += nbytes
        at = bisect.bisect_right(self._marks, position, key=_position)
        # The last mark stays: sums are counted from it.
        del self._marks[: max(0, min(at, len(self._marks)) - 1)]

    def behind(self, position: int, wall_ns: int) -> tuple[int, int, float]:
        """``(rows, bytes, seconds)`` from *position* to the end of the outbox."""
        marks = self._marks
        at = bisect.bisect_right(marks, position, key=_position)
        if at == len(marks):
            return 0, 0, 0.0
        seconds = max(0.0, (wall_ns - marks[at].wall_ns) / 1e9)
        if at == 0:
            return self.rows, self.nbytes, seconds
        rows = marks[-1].rows - max(marks[at - 1].rows, self._trimmed_rows)
        nbytes = marks[-1].nbytes - max(marks[at - 1].nbytes, self._trimmed_bytes)
        return rows, nbytes, seconds

    def _thin(self) -> None:
        """Join old marks until each spans about as many rows as the others.

        The newest stay as they are: most sinks are there.
        """
        old, fine = self._marks[:-_FINE_MARKS], self._marks[-_FINE_MARKS:]
        # Rounded up, so that at most half of the old ones are left.
        half = (_MAX_MARKS - _FINE_MARKS) // 2
        span = -(-(old[-1].rows - self._trimmed_rows) // half)
        kept: list[Mark] = []
        rows = self._trimmed_rows
        wall_ns: int | None = None
        for mark in old:
            wall_ns = mark.wall_ns if wall_ns is None else wall_ns
            if mark.rows - rows >= span or mark is old[-1]:
                kept.append(attrs.evolve(mark, wall_ns=wall_ns))
                rows, wall_ns = mark.rows, None
        self._marks = [*kept, *fine]


def _position(mark: Mark) -> int:
    return mark.position
