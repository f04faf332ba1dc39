"""Records that a sink can never store: told apart, counted, recorded as gaps."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Iterator, Sequence

import attrs

from tapeline.model import (
    CLOSED,
    UNRECOVERABLE,
    Batch,
    Gap,
    KeptLetter,
    Part,
    Record,
    Subscription,
    Trade,
)

QUARANTINE = "quarantine"
_MAX_TRIALS = 256
_GAP_ID_BASE = 1 << 62


@attrs.frozen
class DeadLetter:
    """A record that a sink refused, and why."""

    position: int
    ordinal: int
    record: Record
    reason: str


class DeadLetters:
    """The newest refused records, and how many there were in all."""

    def __init__(self, keep: int) -> None:
        self._letters: deque[DeadLetter] = deque(maxlen=keep)
        self.count = 0

    def add(self, letter: DeadLetter) -> None:
        """Count *letter* and keep it while there is room."""
        self.count += 1
        self._letters.append(letter)

    def newest(self) -> Sequence[DeadLetter]:
        """Those that are kept, the oldest first."""
        return tuple(self._letters)


def quarantine(
    record: Record, journal_id: str, position: int, ordinal: int, sink: str, at_ns: int
) -> Gap | None:
    """The gap that stands for a refused event; None for a fact."""
    stream = getattr(record, "stream", None)
    exchange_ns = getattr(record, "exchange_ns", None)
    if stream is None or exchange_ns is None:
        return None
    trade = record if isinstance(record, Trade) else None
    return Gap(
        stream=stream,
        gap_id=quarantine_id(journal_id, position, ordinal, sink),
        revision=1,
        from_id=None if trade is None else trade.first_id,
        to_id=None if trade is None else trade.last_id,
        from_ns=exchange_ns,
        to_ns=exchange_ns,
        cause=QUARANTINE,
        detected_ns=at_ns,
        state=UNRECOVERABLE,
        for_sink=sink,
    )


def quarantine_id(journal_id: str, position: int, ordinal: int, sink: str) -> int:
    """The id of the gap in the place of a refused record; always the same."""
    text = f"{journal_id}\0{sink}\0{position}\0{ordinal}"
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return _GAP_ID_BASE | (int.from_bytes(digest) >> 2)


def marker(letter: KeptLetter, at_ns: int) -> Gap:
    """The closed gap that stands behind a record that comes again."""
    record = letter.record
    trade = record if isinstance(record, Trade) else None
    stream = getattr(record, "stream", None)
    if stream is None:
        # A point of a collector of the user's own belongs to no stream of ours.
        exchange, symbol = record.exchange, record.symbol  # type: ignore[union-attr]
        stream = Subscription(exchange, "", symbol, str(record.data_type), "")  # type: ignore[union-attr]
    exchange_ns = getattr(record, "exchange_ns", None)
    return Gap(
        stream=stream,
        gap_id=letter.gap_id,
        revision=2,
        from_id=None if trade is None else trade.first_id,
        to_id=None if trade is None else trade.last_id,
        from_ns=exchange_ns,
        to_ns=exchange_ns,
        cause=QUARANTINE,
        detected_ns=at_ns,
        state=CLOSED,
        recovered_count=0 if trade is None else trade.last_id - trade.first_id + 1,
        for_sink=letter.sink,
    )


def without(
    batch: Batch, refused: Collection[tuple[int, int]], sink: str, at_ns: int
) -> Batch:
    """*batch* with a gap in the place of each refused event.

    The other records keep their ordinals. What is a gap of ours already, or no
    event, is left out.
    """
    parts = []
    for part in batch.parts:
        position = part.position
        kept: list[Record] = []
        for ordinal, record in enumerate(part.records):
            if (position, ordinal) not in refused:
                kept.append(record)
                continue
            gap = quarantine(record, batch.journal_id, position, ordinal, sink, at_ns)
            if gap is not None:
                kept.append(gap)
        parts.append(Part(position, kept))
    return Batch(batch.journal_id, parts)


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """The two halves of a batch of several parts."""
    middle = len(batch.parts) // 2
    return (
        Batch(batch.journal_id, batch.parts[:middle]),
        Batch(batch.journal_id, batch.parts[middle:]),
    )


def suspects(part: Part) -> Iterator[Collection[tuple[int, int]]]:
    """Sets of records of one part to try without: the smallest first, all last.

    A part is stored whole or not at all, because its position is the cursor, so
    the culprits cannot be found by storing half of it.
    """
    count = len(part.records)
    size = max(1, -(-count // _MAX_TRIALS))
    while True:
        for start in range(0, count, size):
            end = min(count, start + size)
            yield {(part.position, ordinal) for ordinal in range(start, end)}
        if size >= count:
            return
        size = min(count, size * 2)
