"""What happened on the sockets of one line: numbers, and a few samples."""

from __future__ import annotations

from collections import deque

import attrs

MAX_REASONS = 64
MAX_SAMPLES = 20
SAMPLE_CHARS = 500
OTHER_REASONS = "other"


@attrs.frozen
class Sample:
    """The beginning of something that could not be used."""

    reason: str
    text: str
    wall_ns: int


@attrs.define(eq=False)
class Counters:
    """Counts over all sockets of one line, since it began.

    Args:
        dials: sockets that were tried to open.
        opens: sockets that did.
        reconnects: opens after the first.
        unwanted: events of streams that are not wanted any more.
        unmatched: replies that fit nothing that was asked.
        parse_errors: failures of the adapter's own code.
        fetch_errors: requests of sessions that got no usable answer.
    """

    frames: int = 0
    bytes: int = 0
    unwanted: int = 0
    unmatched: int = 0
    parse_errors: int = 0
    fetch_errors: int = 0
    dials: int = 0
    opens: int = 0
    reconnects: int = 0
    rotations: int = 0
    malformed: dict[str, int] = attrs.field(factory=dict)
    samples: deque[Sample] = attrs.field(factory=lambda: deque(maxlen=MAX_SAMPLES))

    def note_malformed(self, reason: str, text: str, wall_ns: int) -> None:
        """Count *reason* and keep the beginning of *text*; both are bounded."""
        reason = reason[:SAMPLE_CHARS]
        if reason not in self.malformed and len(self.malformed) >= MAX_REASONS:
            reason = OTHER_REASONS
        self.malformed[reason] = self.malformed.get(reason, 0) + 1
        self.samples.append(Sample(reason, text[:SAMPLE_CHARS], wall_ns))

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return attrs.asdict(self) | {
            "samples": [attrs.asdict(sample) for sample in self.samples]
        }
