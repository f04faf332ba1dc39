"""What SQLite's errors mean for the batch: again later, never, or stop."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tapeline.errors import SinkError, SinkRejected, SinkUnavailable

# https://www.sqlite.org/rescode.html; the low byte is the primary code.
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_REJECTED = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
    }
)

DATA_ERRORS = (
    sqlite3.Error,
    OverflowError,
    TypeError,
    ValueError,
    AttributeError,
)
"""What a record that no database can hold raises on its way into a row."""


def primary_code(error: BaseException) -> int | None:
    """SQLite's primary result code, None when Python itself raised."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_about_data(error: BaseException) -> bool:
    """Whether *error* says that a record cannot be stored, now or ever."""
    code = primary_code(error)
    return code is None or code in _REJECTED


def write_failure(error: Exception, path: Path) -> SinkError:
    """The error to raise instead of *error*, met while writing to *path*."""
    if is_about_data(error):
        return SinkRejected(f"{path}: {error}")
    if primary_code(error) in _UNAVAILABLE:
        return SinkUnavailable(f"{path}: {error}")
    return open_failure(error, path)


def open_failure(error: Exception, path: Path) -> SinkError:
    """The error to raise instead of *error*, met while opening *path*."""
    code = primary_code(error)
    if code == sqlite3.SQLITE_NOTADB:
        return SinkError(
            f"expected a SQLite database, found {path} with other content; "
            "choose another path"
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return SinkError(
            f"expected a sound database, found {path} damaged ({error}); move it "
            "away and start again, or restore a copy"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return SinkError(
            f"expected a database file that can be opened, found {path} that cannot "
            f"({error}); check the path and its permissions"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return SinkError(
            f"expected a database that can be written, found {path} read-only; "
            "check its permissions and those of its folder"
        )
    if code in _UNAVAILABLE:
        return SinkUnavailable(f"{path}: {error}")
    return SinkError(f"expected the tables of tapeline in {path}, found: {error}")


def no_folder(error: OSError, path: Path) -> SinkError:
    """The error for a database whose folder cannot be made."""
    return SinkError(
        f"expected a folder for {path} that can be made, found {error.strerror} "
        f"at {error.filename}; choose another path"
    )
