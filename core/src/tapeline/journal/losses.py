"""What a sink will never get from the journal, told to it as facts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import attrs

from tapeline.journal.codec import decode, encode
from tapeline.journal.spans import Spans
from tapeline.model import Coverage, Gap, Part, Record

QUOTA = "quota"
RESTORED = "restored"
LATE_SINK = "late-sink"
DAMAGE = "damage"


@attrs.define
class Loss:
    """The rows ``after < p <= position`` are gone for one sink.

    Gaps take the place of those rows: one part at *position*, before all later
    rows. *facts* are the gaps and coverage that stood in them: they are kept.
    """

    sink: str
    after: int
    position: int
    cause: str
    revision: int = 1
    rows: int = 0
    spans: Spans = attrs.field(factory=Spans)
    facts: dict[object, Record] = attrs.field(factory=dict)

    def keep(self, records: Iterable[Record]) -> None:
        """Keep the newest form of each gap and coverage among *records*."""
        for record in records:
            key: object
            if isinstance(record, Gap):
                if record.for_sink not in ("", self.sink):
                    continue
                key = record.gap_id
            elif isinstance(record, Coverage):
                key = (record.stream, record.started_ns)
            else:
                continue
            self.facts.pop(key, None)
            self.facts[key] = record

    def joined(self, later: Loss) -> Loss:
        """This loss and *later*, which follows it, as one; both stay as they are."""
        loss = Loss(
            self.sink, self.after, later.position, self.cause, self.revision + 1
        )
        for part in (self, later):
            loss.rows += part.rows
            loss.spans.add(part.spans.encoded())
            loss.keep(part.facts.values())
        return loss

    def gaps(self, detected_ns: int) -> list[Gap]:
        """What the sink is told instead of the rows.

        Of trimmed rows only a summary is left, without their facts, so their ids
        are one range; else the facts say what is missing between the runs.
        """
        if self.cause in (LATE_SINK, RESTORED):
            return self.spans.whole_gaps(
                cause=self.cause,
                sink=self.sink,
                detected_ns=detected_ns,
                after=self.after,
            )
        return self.spans.gaps(
            cause=self.cause,
            sink=self.sink,
            detected_ns=detected_ns,
            revision=self.revision,
        )

    def encoded_facts(self) -> bytes:
        """The facts as a payload."""
        return encode(list(self.facts.values()))[1]

    @classmethod
    def restore(
        cls,
        sink: str,
        after: int,
        position: int,
        cause: str,
        revision: int,
        rows: int,
        headers: bytes,
        facts: bytes,
    ) -> Loss:
        """The loss that was stored with these values."""
        loss = cls(sink, after, position, cause, revision, rows)
        loss.spans.add(headers)
        loss.keep(decode(facts))
        return loss


def report_loss(loss: Loss) -> None:
    """Say in the sink's log that it will not get these rows."""
    if loss.gaps(0):
        _logger(loss.sink).warning(
            "about %d rows of the journal are out of its reach (%s); gaps tell of them",
            loss.rows,
            loss.cause,
        )


def report_damage(sink: str, rows: int) -> None:
    """Say in the sink's log that rows which it is given cannot be read."""
    _logger(sink).warning(
        "%d rows of the journal cannot be read (%s); gaps tell what is known of them",
        rows,
        DAMAGE,
    )


def _logger(sink: str) -> logging.Logger:
    return logging.getLogger(f"tapeline.sink.{sink}")


def told_part(losses: Sequence[Loss], detected_ns: int) -> Part:
    """What the sink is given in place of all the rows in *losses*, in order."""
    records: list[Record] = []
    for loss in losses:
        records += loss.gaps(detected_ns)
        records += loss.facts.values()
    return Part(losses[-1].position, tuple(records))
