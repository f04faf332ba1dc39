"""Reading a database without touching it: one snapshot of all tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from sqlalchemy import Connection, Select, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from tapeline.errors import DatabaseOperationError, UsageError
from tapeline_sql import (
    RECORD_TABLES,
    SCHEMA_VERSION,
    select_count,
    select_rows,
    select_schema_version,
)
from tapeline_sqlite.connection import table_names
from tapeline_sqlite.failures import primary_code

_URL_PREFIX = "sqlite:///"
_ROWS_AT_ONCE = 1_000


def path_of(url: str) -> Path | None:
    """The file that *url* names; None when it is another kind of database.

    Raises:
        UsageError: a SQLite URL without a file.
    """
    if url.startswith("sqlite:"):
        path = url.removeprefix(_URL_PREFIX)
        if path == url or not path:
            raise UsageError(
                f"expected sqlite:///PATH, found {url!r}; name a database file"
            )
        return Path(path)
    if "://" in url:
        return None
    return Path(url)


class TableRows(Sequence[Mapping[str, Any]]):
    """The rows of one table, read as they are asked for."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._connection = connection
        self._table = table

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        result = self._execute(select_rows(self._table))
        try:
            for row in result:
                yield row._mapping
        except DBAPIError as error:
            raise DatabaseOperationError("read", self._table, error.orig) from error
        finally:
            result.close()

    def __len__(self) -> int:
        return int(self._execute(select_count(self._table)).scalar_one())

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(
        self, index: int | slice
    ) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return list(self)[index]
            page = select_rows(self._table).offset(start).limit(max(0, stop - start))
            return [row._mapping for row in self._execute(page)]
        place = index + len(self) if index < 0 else index
        if place >= 0:
            one = select_rows(self._table).offset(place).limit(1)
            for row in self._execute(one):
                mapping: Mapping[str, Any] = row._mapping
                return mapping
        raise IndexError(f"expected one of {len(self)} rows, found index {index}")

    def _execute(self, statement: Select[Any]) -> Any:
        try:
            return self._connection.execute(statement)
        except DBAPIError as error:
            raise DatabaseOperationError("read", self._table, error.orig) from error


class SqliteReader:
    """A ``DatabaseReader`` of one file: read-only, and one moment for all tables.

    What is written after it was opened is not seen. Decimals are exact, times are
    aware UTC datetimes.

    Raises:
        UsageError: there is no such file, or it is not a database of tapeline.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        driver = _open_read_only(path)
        try:
            _check_ours(driver, path)
        except BaseException:
            driver.close()
            raise
        self._driver = driver
        # The driver's connection is lent; the engine only compiles and converts.
        self._engine = create_engine(
            "sqlite://", creator=lambda: driver, poolclass=StaticPool
        )
        self._connection = self._engine.connect()
        self._connection.execution_options(yield_per=_ROWS_AT_ONCE)
        # The first read inside it fixes the moment that all later reads see.
        driver.execute("BEGIN")
        driver.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def trades(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``trades``, ordered by stream and ``last_id``."""
        return TableRows(self._connection, "trades")

    def gaps(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``gaps``, ordered by ``gap_id``."""
        return TableRows(self._connection, "gaps")

    def coverage(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``coverage``, ordered by stream and ``started_ns``."""
        return TableRows(self._connection, "coverage")

    def candles(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``market_data``, ordered by key."""
        return TableRows(self._connection, "market_data")

    def rows(self, table: str) -> Sequence[Mapping[str, Any]]:
        """Rows of any table, ordered by its key."""
        return TableRows(self._connection, table)

    def counts(self) -> Mapping[str, int]:
        """Name of each table of records → number of its rows."""
        return {table: len(self.rows(table)) for table in RECORD_TABLES}

    def cursors(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``tapeline_cursors``."""
        return TableRows(self._connection, "tapeline_cursors")

    def close(self) -> None:
        """Release the database; safe twice."""
        self._connection.close()
        self._engine.dispose()
        self._driver.close()


def _open_read_only(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise UsageError(
            f"expected a database file, found {'a folder' if path.is_dir() else 'none'}"
            f" at {path}; check the path"
        )
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        try:
            return _connect(uri)
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_CANTOPEN or _has_log(path):
                raise
            # On read-only media SQLite cannot make its shared memory file; without
            # a log beside the database nobody writes to it: read it as it is.
            return _connect(f"{uri}&immutable=1")
    except sqlite3.Error as error:
        raise UsageError(
            f"expected a SQLite database that can be read, found {path} that cannot "
            f"({error}); check the path"
        ) from error


def _has_log(path: Path) -> bool:
    return path.with_name(f"{path.name}-wal").exists()


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _check_ours(driver: sqlite3.Connection, path: Path) -> None:
    if "tapeline_schema" not in table_names(driver):
        raise UsageError(
            f"expected a database of tapeline, found {path} without its tables; "
            "check the path"
        )
    statement = str(select_schema_version())
    (version,) = driver.execute(statement).fetchone()
    if version is None or version > SCHEMA_VERSION:
        raise UsageError(
            f"expected a database of schema version {SCHEMA_VERSION} or older, found "
            f"version {version} in {path}; upgrade tapeline-sqlite"
        )
