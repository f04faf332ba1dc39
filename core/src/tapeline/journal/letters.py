"""Dead letters: records that a sink refused, kept until somebody decides on them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tapeline.journal.codec import decode, encode
from tapeline.model import Record

MAX_LETTERS = 10_000
"""Of one sink; beyond it the oldest are forgotten, their gaps stay."""

LetterKey = tuple[str, int, int]
"""Sink, and position and ordinal at which it refused the record."""

LetterRow = tuple[str, int, int, int, str, int, bytes, int | None]
"""``sink, position, ordinal, gap_id, reason, failed_ns, payload, retry_position``."""


@attrs.frozen
class KeptLetter:
    """One refused record.

    Args:
        gap_id: of the gap that the sink has in its place; 0 when it has none.
        failed_ns: when it was refused, nanoseconds UTC.
        retry_position: where in the journal it comes again; None while it does not.
    """

    sink: str
    position: int
    ordinal: int
    gap_id: int
    reason: str
    failed_ns: int
    record: Record
    retry_position: int | None = None

    @property
    def key(self) -> LetterKey:
        """What no other letter has."""
        return self.sink, self.position, self.ordinal

    def row(self) -> LetterRow:
        """As it is stored."""
        # A driver refuses half of a surrogate pair, which a venue may send.
        reason = self.reason.encode("utf-8", "backslashreplace").decode()
        return (
            self.sink,
            self.position,
            self.ordinal,
            self.gap_id,
            reason,
            self.failed_ns,
            encode([self.record])[1],
            self.retry_position,
        )

    @classmethod
    def restore(cls, row: Sequence[object]) -> KeptLetter:
        """The letter of a stored row.

        Raises:
            JournalError: its record cannot be read.
        """
        sink, position, ordinal, gap_id, reason, failed_ns, payload, retry = row
        [record] = decode(bytes(payload))  # type: ignore[arg-type]
        return cls(
            sink=str(sink),
            position=int(str(position)),
            ordinal=int(str(ordinal)),
            gap_id=int(str(gap_id)),
            reason=str(reason),
            failed_ns=int(str(failed_ns)),
            record=record,
            retry_position=None if retry is None else int(str(retry)),
        )
