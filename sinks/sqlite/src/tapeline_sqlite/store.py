"""The blocking half of the sink: one connection, one transaction per batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path

import attrs
from sqlalchemy.dialects import sqlite

from tapeline.clock import SystemClock
from tapeline.delivery import DeadLetter
from tapeline.errors import SinkError, SinkRejected, SinkReplaced
from tapeline.model import BACKFILL, Batch, Part
from tapeline_sql import TABLES, InsertBuilder, Row, build_rows, dead_letter_row
from tapeline_sqlite.config import SqliteConfig
from tapeline_sqlite.connection import open_connection, prepare_schema
from tapeline_sqlite.failures import (
    DATA_ERRORS,
    is_about_data,
    no_folder,
    open_failure,
    write_failure,
)

_wall_ns = SystemClock().wall_ns

Connect = Callable[[Path, SqliteConfig], sqlite3.Connection]

# A statement of many rows is one call into SQLite, and around each call the
# interpreter lock changes hands. With executemany that is one hand-over a row,
# which a busy event loop answers after up to 5 ms each.
_GROUPS = (1024, 256, 64, 16, 4, 1)

_TRADE_COLUMNS = [column.name for column in TABLES["trades"].columns]
_FIRST_ID = _TRADE_COLUMNS.index("first_id")
_LAST_ID = _TRADE_COLUMNS.index("last_id")
_SOURCE = _TRADE_COLUMNS.index("source")
_SELECT_NEXT_TRADE = (
    "SELECT first_id FROM trades WHERE exchange = ? AND market = ? AND symbol = ? "
    "AND id_kind = ? AND last_id >= ? ORDER BY last_id LIMIT 1"
)
_SELECT_CURSOR = (
    "SELECT position FROM tapeline_cursors WHERE journal_id = ? AND sink = ?"
)


@attrs.frozen
class Written:
    """What one ``write`` stored.

    Args:
        rows: name of a table → rows handed to it, those stored before included.
        unknown: name of a type without a table → records left out.
    """

    rows: Mapping[str, int] = attrs.field(factory=dict)
    unknown: Mapping[str, int] = attrs.field(factory=dict)


class Store:
    """One database file, written by one sink; every method blocks.

    Args:
        path: the database file.
        sink: name under which its cursor is kept.
        connect: opens connections; for tests that need a special one.
        now_ns: wall nanoseconds UTC, for the table of dead letters.
    """

    def __init__(
        self,
        path: Path,
        sink: str,
        config: SqliteConfig,
        connect: Connect = open_connection,
        now_ns: Callable[[], int] = _wall_ns,
    ) -> None:
        self._path = path
        self._sink = sink
        self._config = config
        self._connect = connect
        self._now_ns = now_ns
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._known: dict[str, int] = {}
        self._builder = InsertBuilder(sqlite.dialect(), config.force_update_candles)
        self._statements: dict[tuple[str, int], str] = {}
        self._groups: dict[str, tuple[int, ...]] = {}

    def open(self, journal_id: str) -> int | None:
        """Open the file, make what is missing, tell the cursor of *journal_id*.

        Raises:
            SinkUnavailable: to be tried again; any other ``SinkError`` is final.
        """
        self.close()
        self._known.clear()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise no_folder(error, self._path) from error
        try:
            connection = self._open_connection()
            position = self._cursor(connection, journal_id)
        except sqlite3.Error as error:
            self.close()
            raise open_failure(error, self._path) from error
        if position is not None:
            self._known[journal_id] = position
        return position

    def write(self, batch: Batch) -> Written:
        """Store the parts of *batch* above the cursor, and the cursor, atomically.

        Raises:
            SinkUnavailable: nothing is stored; the same batch may come again.
            SinkRejected: nothing is stored, and some record never can be.
            SinkError: the file is not the database that it was; final.
        """
        try:
            connection = self._ready(batch.journal_id)
            written = self._transaction(connection, batch)
        except SinkError:
            self.close()
            raise
        except DATA_ERRORS as error:
            failure = write_failure(error, self._path)
            if isinstance(failure, SinkRejected):
                failure = self._refusal(batch, failure)
            else:
                self.close()
            raise failure from error
        self._known[batch.journal_id] = max(
            batch.last_position, self._known.get(batch.journal_id, batch.last_position)
        )
        return written

    def close(self) -> None:
        """Release the file; what is not committed is undone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open_connection(self) -> sqlite3.Connection:
        connection = self._connect(self._path, self._config)
        try:
            prepare_schema(connection, self._path)
            limit = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
            self._file = _identity(self._path)
        except BaseException:
            connection.close()
            raise
        self._groups = {
            name: tuple(size for size in _GROUPS if size * len(table.columns) <= limit)
            for name, table in TABLES.items()
        }
        self._connection = connection
        return connection

    def _ready(self, journal_id: str) -> sqlite3.Connection:
        """The open connection, or a new one after a failure.

        A file that was deleted or replaced would take rows without a word and be
        gone with us, so it is looked at before each batch.
        """
        connection = self._connection
        if connection is not None and _identity(self._path) == self._file:
            return connection
        self.close()
        connection = self._open_connection()
        self._checked_cursor(connection, journal_id)
        return connection

    def _checked_cursor(
        self, connection: sqlite3.Connection, journal_id: str
    ) -> int | None:
        """The stored cursor, which may be further than we know, but never behind."""
        known = self._known.get(journal_id)
        found = self._cursor(connection, journal_id)
        if known is not None and (found is None or found < known):
            raise SinkReplaced(
                f"expected the database that was written up to position {known}, "
                f"found {self._path} {_how_far(found)}: it was deleted or replaced "
                "while in use; what the journal still has is written again, and what "
                "is missing is recorded as gaps"
            )
        return found

    def _cursor(self, connection: sqlite3.Connection, journal_id: str) -> int | None:
        row = connection.execute(_SELECT_CURSOR, (journal_id, self._sink)).fetchone()
        return None if row is None else int(row[0])

    def _transaction(self, connection: sqlite3.Connection, batch: Batch) -> Written:
        connection.execute("BEGIN IMMEDIATE")
        # A copy may have been restored into the very file that we hold open.
        cursor = self._checked_cursor(connection, batch.journal_id)
        parts = [
            part for part in batch.parts if cursor is None or part.position > cursor
        ]
        if not parts:
            connection.execute("ROLLBACK")
            return Written()
        rows = build_rows(batch.journal_id, parts, self._sink)
        for table, table_rows in rows.tables.items():
            if table == "trades":
                self._insert_trades(connection, table_rows)
            else:
                self._insert(connection, table, table_rows)
        position = (batch.journal_id, self._sink, parts[-1].position)
        self._insert(connection, "tapeline_cursors", [position])
        connection.execute("COMMIT")
        return Written(
            {table: len(table_rows) for table, table_rows in rows.tables.items()},
            rows.unknown,
        )

    def _insert_trades(
        self, connection: sqlite3.Connection, rows: Sequence[Row]
    ) -> None:
        """Store trades; fetched ones only where no stored trade has their ids.

        The journal sees to that. But when its end was lost, it asks again for fills
        that are stored here already, inside a trade of several.
        """
        for fetched, run in groupby(rows, key=_is_fetched):
            if not fetched:
                self._insert(connection, "trades", list(run))
                continue
            new = [row for row in run if not _is_covered(connection, row)]
            self._insert(connection, "trades", new)

    def _insert(
        self, connection: sqlite3.Connection, table: str, rows: Sequence[Row]
    ) -> None:
        start = 0
        for size in self._groups[table]:
            while len(rows) - start >= size:
                end = start + size
                values = list(chain.from_iterable(rows[start:end]))
                connection.execute(self._statement(table, size), values)
                start = end

    def _statement(self, table: str, rows: int) -> str:
        statement = self._statements.get((table, rows))
        if statement is None:
            statement = self._builder.insert_many(table, rows)
            self._statements[table, rows] = statement
        return statement

    def _refusal(self, batch: Batch, failure: SinkError) -> SinkError:
        """The error that names what of *batch* the database refuses."""
        connection = self._connection
        if connection is None:
            return failure
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            refused = self._refused(connection, batch)
            self._bury(connection, batch.journal_id, refused)
        except sqlite3.Error as error:
            self.close()
            return write_failure(error, self._path)
        if not refused:
            self.close()
            return SinkError(f"expected a batch that can be stored, found {failure}")
        first = refused[0]
        return SinkRejected(
            f"{self._path}: {len(refused)} of {len(batch)} records cannot be stored; "
            f"the first is at position {first.position}, ordinal {first.ordinal}: "
            f"{first.reason}",
            [(letter.position, letter.ordinal) for letter in refused],
        )

    def _bury(
        self,
        connection: sqlite3.Connection,
        journal_id: str,
        letters: Sequence[DeadLetter],
    ) -> None:
        """Keep what is refused in the table of dead letters."""
        now_ns = self._now_ns()
        rows = [
            dead_letter_row(journal_id, self._sink, letter, now_ns)
            for letter in letters
        ]
        connection.execute("BEGIN IMMEDIATE")
        self._insert(connection, "tapeline_dead_letters", rows)
        connection.execute("COMMIT")

    def _refused(
        self, connection: sqlite3.Connection, batch: Batch
    ) -> list[DeadLetter]:
        """What fails when it is stored alone."""
        refused: list[DeadLetter] = []
        connection.execute("BEGIN IMMEDIATE")
        try:
            for position, ordinal, record in batch.records():
                alone = (Part(position, (record,)),)
                try:
                    rows = build_rows(batch.journal_id, alone, self._sink)
                    for table, table_rows in rows.tables.items():
                        self._insert(connection, table, table_rows)
                except DATA_ERRORS as error:
                    if not is_about_data(error):
                        raise
                    reason = f"{type(record).__name__}: {error}"
                    refused.append(DeadLetter(position, ordinal, record, reason))
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return refused


def _is_fetched(row: Row) -> bool:
    return row[_SOURCE] == BACKFILL


def _is_covered(connection: sqlite3.Connection, row: Row) -> bool:
    """Whether a stored trade of the same stream has one of the ids of *row*."""
    found = connection.execute(
        _SELECT_NEXT_TRADE, (*row[:4], row[_FIRST_ID])
    ).fetchone()
    return found is not None and found[0] <= row[_LAST_ID]


def _how_far(position: int | None) -> str:
    return "new" if position is None else f"at position {position}"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
