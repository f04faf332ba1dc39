"""How the journal uses SQLite: its tables, its durability, its errors."""

from __future__ import annotations

import sqlite3
from pathlib import Path

VERSION = 1
PAGE_BYTES = 4_096

SCHEMA = {
    "meta": "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT, crc INTEGER)",
    "outbox": (
        "CREATE TABLE outbox(position INTEGER PRIMARY KEY, nbytes INTEGER, "
        "wall_ns INTEGER, head_crc INTEGER, crc INTEGER, headers BLOB, payload BLOB)"
    ),
    "cursors": (
        "CREATE TABLE cursors(sink TEXT PRIMARY KEY, position INTEGER, crc INTEGER)"
    ),
    "checkpoints": (
        "CREATE TABLE checkpoints(name TEXT PRIMARY KEY, position INTEGER, "
        "payload BLOB, crc INTEGER)"
    ),
    "bans": "CREATE TABLE bans(scope TEXT PRIMARY KEY, until_ns INTEGER, crc INTEGER)",
    "trimmed": (
        "CREATE TABLE trimmed(last_position INTEGER PRIMARY KEY, "
        "first_position INTEGER, nrows INTEGER, headers BLOB, crc INTEGER)"
    ),
    "given_up": (
        "CREATE TABLE given_up(sink TEXT, after INTEGER, position INTEGER, "
        "cause TEXT, revision INTEGER, nrows INTEGER, headers BLOB, facts BLOB, "
        "crc INTEGER, PRIMARY KEY(sink, position))"
    ),
    "dead_letters": (
        "CREATE TABLE dead_letters(sink TEXT, position INTEGER, ordinal INTEGER, "
        "gap_id INTEGER, reason TEXT, failed_ns INTEGER, payload BLOB, "
        "retry_position INTEGER, crc INTEGER, PRIMARY KEY(sink, position, ordinal))"
    ),
}
LATER_TABLES = ("dead_letters",)
"""Tables that a journal of an earlier version has not yet; they are made."""
ROW_COLUMNS = "position, nbytes, wall_ns, head_crc, crc, headers, payload"


class DamagedFile(Exception):
    """The file is not a journal that we wrote; it has to be salvaged."""


def is_corrupt(error: Exception) -> bool:
    """True when SQLite is sure that the file's content is bad."""
    if isinstance(error, UnicodeError):
        return True
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_refusal(error: BaseException) -> bool:
    """True when the disk or the system refuses; the content may be good."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_INTERRUPT,
    )


def connect(path: Path, max_file_bytes: int | None = None) -> sqlite3.Connection:
    """A connection with our durability: WAL, and every commit on the disk."""
    connection = sqlite3.connect(
        path, timeout=5.0, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        if max_file_bytes is not None:
            pages = max(1, max_file_bytes // PAGE_BYTES)
            connection.execute(f"PRAGMA max_page_count={pages}")
    except BaseException:
        connection.close()
        raise
    return connection


class Transaction:
    """``BEGIN IMMEDIATE`` … ``COMMIT``, rolled back on any error."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        # SQLite has rolled back already after some errors; the first one counts.
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                return
