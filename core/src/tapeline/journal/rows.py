"""Rows of the journal's file and what stands in them, with their checksums."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import attrs

from tapeline.journal.losses import Loss
from tapeline.model import LetterKey, Record

ROW_OVERHEAD = 64
"""Bytes that a row costs besides its headers and payload."""

RowTuple = tuple[int, int, int, int, int, bytes, bytes]
"""``position, nbytes, wall_ns, head_crc, crc, headers, payload``."""


def head_crc(position: int, wall_ns: int, headers: bytes) -> int:
    """Checksum of what tells what a row is about."""
    return zlib.crc32(headers, zlib.crc32(b"%d %d" % (position, wall_ns)))


def text_crc(*values: object) -> int:
    """Checksum of a small row's values."""
    return zlib.crc32(repr(values).encode("utf-8", "backslashreplace"))


def row_tuple(position: int, wall_ns: int, headers: bytes, payload: bytes) -> RowTuple:
    """The row as it is stored."""
    head = head_crc(position, wall_ns, headers)
    return (
        position,
        len(headers) + len(payload) + ROW_OVERHEAD,
        wall_ns,
        head,
        zlib.crc32(payload, head),
        headers,
        payload,
    )


def head_is_good(row: RowTuple) -> bool:
    """True when position and headers are what was written."""
    position, nbytes, wall_ns, head, _, headers, _ = row
    return (
        type(position) is int
        and type(nbytes) is int
        and type(wall_ns) is int
        and type(headers) is bytes
        and head_crc(position, wall_ns, headers) == head
    )


def payload_is_good(row: RowTuple) -> bool:
    """True when the payload is what was written; asked after the head."""
    return type(row[6]) is bytes and zlib.crc32(row[6], row[3]) == row[4]


@attrs.frozen
class Chunk:
    """What was trimmed: the rows ``first_position..last_position``."""

    first_position: int
    last_position: int
    rows: int
    headers: bytes


@attrs.frozen
class StoredPart:
    """One row as read back: its records, or what was lost of it.

    Args:
        records: the row's; gaps made from its headers when its payload is damaged.
        damaged: True when not all of it could be read.
    """

    position: int
    nbytes: int
    records: Sequence[Record]
    damaged: bool = False


@attrs.frozen
class Commit:
    """What one transaction changes besides the rows it adds.

    Args:
        trim_to: remove rows up to here, at most *trim_rows* of them.
        bans: scope → nanoseconds UTC; 0 lifts it.
        forget_checkpoints: names that nobody keeps up any more.
        losses: all that a sink lost and was not told yet.
        forget: sinks whose cursors are dropped.
        retries: dead letters, and the position at which each comes again.
    """

    cursors: Mapping[str, int] = attrs.field(factory=dict)
    checkpoints: Mapping[str, tuple[int, bytes]] = attrs.field(factory=dict)
    bans: Mapping[str, int] = attrs.field(factory=dict)
    forget_checkpoints: Sequence[str] = ()
    losses: Mapping[str, Sequence[Loss]] = attrs.field(factory=dict)
    forget: Sequence[str] = ()
    retries: Mapping[LetterKey, int] = attrs.field(factory=dict)
    trim_to: int | None = None
    trim_rows: int = 2_000


@attrs.frozen
class Trimmed:
    """What a commit removed."""

    position: int
    rows: int
    nbytes: int


@attrs.frozen
class State:
    """What the file knew when it was opened."""

    journal_id: str
    started: int
    floor: int
    last: int
    clean: bool
    cursors: Mapping[str, int]
    checkpoints: Mapping[str, tuple[int, bytes]]
    bans: Mapping[str, int]
    losses: Mapping[str, Sequence[Loss]]
    chunks: Sequence[Chunk]
    sizes: Sequence[tuple[int, int, int]] = attrs.field(repr=False)
