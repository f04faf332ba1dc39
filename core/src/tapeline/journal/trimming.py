"""Removing rows that nobody needs, keeping what their headers say.

Summaries of removed rows are chunks: enough to tell a sink that comes back from
the past what it missed, and never more than a bounded number.
"""

from __future__ import annotations

import sqlite3

from tapeline.journal.rows import Chunk, Trimmed, head_is_good, text_crc
from tapeline.journal.spans import Spans

_CHUNK_ROWS = 2_000
_MAX_CHUNKS = 256


def trim(
    connection: sqlite3.Connection, upto: int, limit: int, chunks: list[Chunk]
) -> Trimmed | None:
    """Remove up to *limit* rows, oldest first; *chunks* change with them."""
    run = connection.execute
    spans = Spans()
    first = last = None
    rows = nbytes = 0
    for row in run(
        "SELECT position, nbytes, wall_ns, head_crc, crc, headers, x'' FROM outbox "
        "WHERE position <= ? ORDER BY position LIMIT ?",
        (upto, limit),
    ):
        first = row[0] if first is None else first
        last = row[0]
        rows += 1
        nbytes += row[1]
        if head_is_good(row):
            spans.add(row[5])
    if first is None or last is None:
        return None
    run("DELETE FROM outbox WHERE position <= ?", (last,))
    added = rows
    if chunks and chunks[-1].rows < _CHUNK_ROWS:
        tail = chunks.pop()
        spans.add(tail.headers)
        first = tail.first_position
        added += tail.rows
        run("DELETE FROM trimmed WHERE last_position=?", (tail.last_position,))
    chunks.append(_put(connection, Chunk(first, last, added, spans.encoded())))
    if len(chunks) > _MAX_CHUNKS:
        chunks[:2] = [_join(connection, chunks[0], chunks[1])]
    return Trimmed(last, rows, nbytes)


def _join(connection: sqlite3.Connection, older: Chunk, newer: Chunk) -> Chunk:
    spans = Spans()
    spans.add(older.headers)
    spans.add(newer.headers)
    connection.execute(
        "DELETE FROM trimmed WHERE last_position=?", (older.last_position,)
    )
    return _put(
        connection,
        Chunk(
            older.first_position,
            newer.last_position,
            older.rows + newer.rows,
            spans.encoded(),
        ),
    )


def _put(connection: sqlite3.Connection, chunk: Chunk) -> Chunk:
    values = (chunk.last_position, chunk.first_position, chunk.rows, chunk.headers)
    connection.execute(
        "INSERT OR REPLACE INTO trimmed VALUES (?,?,?,?,?)",
        (*values, text_crc(*values)),
    )
    return chunk
