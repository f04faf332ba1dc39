"""Records that a sink refused, as they are kept until somebody decides on them."""

from __future__ import annotations

import attrs

from tapeline.model.batches import Record

LetterKey = tuple[str, int, int]
"""Sink, and the position and ordinal at which it refused the record."""


@attrs.frozen
class KeptLetter:
    """One refused record.

    Args:
        sink: that refused it.
        position, ordinal: where it stands in the journal.
        record: as the sink was given it.
        gap_id: of the gap that stands in its place.
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
