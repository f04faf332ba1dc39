"""Which records a sink is given."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.model import Batch, Coverage, Gap, Part, RawMessage, Record


class Filter:
    """Data types that a sink takes; facts always pass, unless for another sink.

    Args:
        accepts: data types; None for all.
    """

    def __init__(self, name: str, accepts: Sequence[str] | None) -> None:
        self._name = name
        self._accepts = None if accepts is None else frozenset(map(str, accepts))

    def records(self, records: Sequence[Record]) -> Sequence[Record]:
        """Those of *records* that the sink is given, in order."""
        wanted = self._wants
        kept = [record for record in records if wanted(record)]
        return records if len(kept) == len(records) else kept

    def batch(self, batch: Batch) -> Batch:
        """*batch* without what is not wanted; its last position always stays."""
        parts: list[Part] = []
        last = len(batch.parts) - 1
        for at, part in enumerate(batch.parts):
            records = self.records(part.records)
            if records is part.records:
                parts.append(part)
            elif records or at == last:
                parts.append(Part(part.position, records))
        return Batch(batch.journal_id, parts)

    def _wants(self, record: Record) -> bool:
        kind = type(record)
        if kind is Gap:
            return record.for_sink in ("", self._name)  # type: ignore[union-attr]
        if self._accepts is None or kind is Coverage:
            return True
        if kind is RawMessage:
            stream = record.stream  # type: ignore[union-attr]
            return stream.data_type in self._accepts
        return str(record.data_type) in self._accepts  # type: ignore[union-attr]
