"""Opening the database file: pragmas, tables, views, version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy.dialects import sqlite

from tapeline.errors import SinkError
from tapeline_sql import (
    SCHEMA_VERSION,
    TABLES,
    create_table_statements,
    real_view_statements,
)
from tapeline_sqlite.config import SqliteConfig

_WAL_LIMIT_BYTES = 64 * 1024 * 1024


def open_connection(path: Path, config: SqliteConfig) -> sqlite3.Connection:
    """A connection to *path* that writes durably, in explicit transactions.

    Raises:
        sqlite3.Error: the file cannot be opened or is no database.
        SinkError: its file system cannot hold a write-ahead log.
    """
    connection = sqlite3.connect(
        path,
        timeout=config.busy_timeout_s,
        isolation_level=None,
        # One worker at a time uses it, but not always the same thread.
        check_same_thread=False,
    )
    try:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise SinkError(
                f"expected a disk that can hold a write-ahead log, found {path} in "
                f"journal mode {mode!r}; put the database on a local disk"
            )
        connection.execute(f"PRAGMA synchronous={config.synchronous}")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def table_names(connection: sqlite3.Connection) -> frozenset[str]:
    """Names of the tables that are there."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return frozenset(name for (name,) in rows)


def prepare_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty database; bring those of an older one up to date.

    Raises:
        sqlite3.Error: the database refuses.
        SinkError: the tables are another program's, or a newer version's.
    """
    if "tapeline_schema" in table_names(connection):
        if _checked_version(connection, path) < SCHEMA_VERSION:
            _upgrade(connection)
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Looked at again under the lock: another process may have been faster.
        names = table_names(connection)
        if "tapeline_schema" not in names:
            _refuse_foreign(names, path)
            for statement in create_table_statements(sqlite.dialect()):
                connection.execute(statement)
            for statement in real_view_statements():
                connection.execute(statement)
            connection.execute(
                "INSERT INTO tapeline_schema (version) VALUES (?)", (SCHEMA_VERSION,)
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    _checked_version(connection, path)


def _upgrade(connection: sqlite3.Connection) -> None:
    # Needed once in the life of a database: not worth an import at every start.
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import StaticPool

    from tapeline_sql.migrations import upgrade

    # The driver's connection is lent: it is ours before and after.
    engine = create_engine(
        "sqlite://", creator=lambda: connection, poolclass=StaticPool
    )
    try:
        with engine.connect() as bound:
            # Before anything is looked at: another process may be doing the same.
            connection.execute("BEGIN IMMEDIATE")
            upgrade(bound)
            bound.commit()
    except DBAPIError as error:
        raise error.orig if isinstance(error.orig, sqlite3.Error) else error from None


def _refuse_foreign(names: frozenset[str], path: Path) -> None:
    foreign = sorted(names & set(TABLES))
    if foreign:
        raise SinkError(
            f"expected an empty database or one of tapeline, found {path} with a "
            f"table {foreign[0]!r} that is another program's; choose another path"
        )


def _checked_version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute(
        "SELECT max(version) FROM tapeline_schema"
    ).fetchone()
    if version is None or version > SCHEMA_VERSION:
        raise SinkError(
            f"expected a database of schema version {SCHEMA_VERSION} or older, found "
            f"version {version} in {path}; upgrade tapeline-sqlite or choose another "
            "path"
        )
    return int(version)
