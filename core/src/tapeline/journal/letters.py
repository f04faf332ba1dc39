"""Dead letters as rows of the journal."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from tapeline.errors import JournalError
from tapeline.journal.codec import decode, encode
from tapeline.journal.rows import text_crc
from tapeline.model import KeptLetter, LetterKey

MAX_LETTERS = 10_000
"""Of one sink; beyond it the oldest are forgotten, their gaps stay."""

LetterRow = tuple[str, int, int, int, str, int, bytes, int | None]
"""``sink, position, ordinal, gap_id, reason, failed_ns, payload, retry_position``."""


def letter_row(letter: KeptLetter) -> LetterRow:
    """*letter* as it is stored."""
    # A driver refuses half of a surrogate pair, which a reason may quote.
    reason = letter.reason.encode("utf-8", "backslashreplace").decode()
    return (
        letter.sink,
        letter.position,
        letter.ordinal,
        letter.gap_id,
        reason,
        letter.failed_ns,
        encode([letter.record])[1],
        letter.retry_position,
    )


def read_letter(row: tuple[Any, ...]) -> KeptLetter:
    """The letter of a stored row.

    Raises:
        JournalError: its record cannot be read.
    """
    sink, position, ordinal, gap_id, reason, failed_ns, payload, retry_position = row
    [record] = decode(payload)
    return KeptLetter(
        sink, position, ordinal, gap_id, reason, failed_ns, record, retry_position
    )


def keep(connection: sqlite3.Connection, rows: Sequence[LetterRow]) -> None:
    """Store *rows*; of each sink the newest ``MAX_LETTERS`` stay."""
    for row in rows:
        connection.execute(
            "INSERT OR REPLACE INTO dead_letters VALUES (?,?,?,?,?,?,?,?,?)",
            (*row, text_crc(*row)),
        )
    for sink in {row[0] for row in rows}:
        connection.execute(
            "DELETE FROM dead_letters WHERE rowid IN (SELECT rowid FROM dead_letters "
            "WHERE sink=? ORDER BY position DESC, ordinal DESC LIMIT -1 OFFSET ?)",
            (sink, MAX_LETTERS),
        )


def read(connection: sqlite3.Connection, sink: str) -> list[KeptLetter]:
    """The letters of *sink* that can be read, the oldest first."""
    found = []
    for *row, crc in connection.execute(
        "SELECT * FROM dead_letters WHERE sink=? ORDER BY position, ordinal", (sink,)
    ):
        if text_crc(*row) == crc:
            with contextlib.suppress(JournalError):
                found.append(read_letter(tuple(row)))
    return found


def drop(connection: sqlite3.Connection, keys: Sequence[LetterKey]) -> None:
    """Forget these letters."""
    connection.executemany(
        "DELETE FROM dead_letters WHERE sink=? AND position=? AND ordinal=?", keys
    )


def note_retry(connection: sqlite3.Connection, key: LetterKey, position: int) -> None:
    """The letter *key*, if it is still there, comes again at *position*."""
    place = "WHERE sink=? AND position=? AND ordinal=?"
    found = connection.execute(f"SELECT * FROM dead_letters {place}", key).fetchone()
    if found is not None:
        crc = text_crc(*found[:7], position)
        connection.execute(
            f"UPDATE dead_letters SET retry_position=?, crc=? {place}",
            (position, crc, *key),
        )
