"""Records that no table takes: kept exactly, and shown to people."""

from __future__ import annotations

import base64
import binascii

from tapeline.delivery import DeadLetter
from tapeline.errors import DatabaseOperationError, JournalError
from tapeline.journal import codec
from tapeline.model import Record
from tapeline_sql.rows import Row

_MAX_SHOWN = 2_000


def dead_letter_row(
    journal_id: str, sink: str, letter: DeadLetter, failed_ns: int
) -> Row:
    """A row of ``tapeline_dead_letters``; every database takes it."""
    record = letter.record
    stream = getattr(record, "stream", None)
    _, payload = codec.encode([record])
    return (
        journal_id,
        sink,
        letter.position,
        letter.ordinal,
        storable(getattr(stream, "exchange", "")),
        storable(getattr(stream, "market", "")),
        storable(getattr(stream, "symbol", "")),
        storable(getattr(stream, "data_type", "")),
        storable(letter.reason),
        storable(repr(record))[:_MAX_SHOWN],
        base64.b64encode(payload).decode(),
        failed_ns,
    )


def read_payload(payload: str) -> Record:
    """The record of a row of ``tapeline_dead_letters``, as it was refused.

    Raises:
        DatabaseOperationError: the row is of another version, or damaged.
    """
    try:
        [record] = codec.decode(base64.b64decode(payload, validate=True))
    except (JournalError, ValueError, binascii.Error) as error:
        raise DatabaseOperationError("decode", "tapeline_dead_letters", error) from None
    return record


def storable(value: object) -> str:
    """*value* as text without what a database refuses in a text."""
    text = str(value).encode("utf-8", "backslashreplace").decode()
    return text.replace("\0", "\\0")
