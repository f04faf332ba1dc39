"""What was appended and waits for its commit."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tapeline.clock import Clock
from tapeline.errors import JournalFull
from tapeline.journal.codec import encode
from tapeline.journal.rows import ROW_OVERHEAD
from tapeline.model import Record


@attrs.frozen
class Pending:
    """One append."""

    position: int
    wall_ns: int
    nbytes: int
    headers: bytes
    payload: bytes
    records: Sequence[Record]


class Intake:
    """Gives out positions and holds rows in memory, bounded, until the disk has them.

    Args:
        first: the first position of this run.
        max_bytes: of what waits; what would come after it is refused.
    """

    def __init__(self, clock: Clock, first: int, max_bytes: int) -> None:
        self.first = first
        self.next = first
        self.nbytes = 0
        self.records = 0
        self.disk_error = ""
        self._wall_ns = clock.wall_ns
        self._monotonic_ns = clock.monotonic_ns
        self._moved_ns = 0
        self._max_bytes = max_bytes
        self._waiting: list[Pending] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def pressure(self) -> float:
        """What waits, as a part of what may."""
        return self.nbytes / self._max_bytes

    @property
    def age_s(self) -> float:
        """Seconds since something was stored, or began to wait; 0 if nothing does."""
        return (self._monotonic_ns() - self._moved_ns) / 1e9 if self.nbytes else 0.0

    def append(  # hot path
        self, records: Sequence[Record], urgent: bool = False
    ) -> int:
        """Take *records* as the next position.

        Args:
            urgent: take them in any case.

        Raises:
            JournalFull: too much waits already.
        """
        if self.nbytes >= self._max_bytes and not urgent:
            raise JournalFull(
                f"expected less than {self._max_bytes} bytes waiting for the disk, "
                f"found {self.nbytes}{': ' if self.disk_error else ''}{self.disk_error}"
            )
        if not self.nbytes:
            self._moved_ns = self._monotonic_ns()
        headers, payload = encode(records)
        position = self.next
        self.next = position + 1
        nbytes = len(headers) + len(payload) + ROW_OVERHEAD
        self._waiting.append(
            Pending(position, self._wall_ns(), nbytes, headers, payload, tuple(records))
        )
        self.nbytes += nbytes
        self.records += len(records)
        return position

    def take(self) -> list[Pending]:
        """Everything that waits; it counts until ``stored``."""
        taken = self._waiting
        self._waiting = []
        return taken

    def give_back(self, rows: list[Pending]) -> None:
        """The disk refused *rows*: they wait again, before all later ones."""
        self._waiting = [*rows, *self._waiting]

    def stored(self, rows: Sequence[Pending]) -> None:
        """*rows* are on the disk."""
        self._moved_ns = self._monotonic_ns()
        for row in rows:
            self.nbytes -= row.nbytes

    def skip_to(self, position: int) -> None:
        """Begin at *position*; only while nothing was appended."""
        self.first = self.next = position
