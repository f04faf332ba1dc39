"""Reading a database without touching it: one snapshot of all tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar, overload

import asyncpg
from anyio.from_thread import start_blocking_portal
from sqlalchemy import Dialect, Select
from sqlalchemy.dialects import postgresql

from tapeline.errors import DatabaseOperationError, UsageError
from tapeline_postgres.addresses import shown_address
from tapeline_postgres.config import PostgresConfig
from tapeline_postgres.connection import Connection, close, schema_version
from tapeline_postgres.failures import TRANSPORT_ERRORS, open_failure, reason
from tapeline_sql import (
    RECORD_TABLES,
    SCHEMA_VERSION,
    select_count,
    select_rows,
)

Result = TypeVar("Result")

_ROWS_AT_ONCE = 2_000
# A sort of a large table takes its time before the first row.
_READ_S = 900.0
_DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def _text(statement: Select[Any]) -> str:
    compiled = statement.compile(
        dialect=_DIALECT, compile_kwargs={"literal_binds": True}
    )
    return str(compiled)


class TableRows(Sequence[Mapping[str, Any]]):
    """The rows of one table, read as they are asked for."""

    def __init__(self, reader: PostgresReader, table: str) -> None:
        self._reader = reader
        self._table = table

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        call = self._reader.call
        connection = self._reader.connection
        text = _text(select_rows(self._table))
        cursor = call(self._table, lambda: connection.cursor(text))
        while True:
            rows = call(self._table, lambda: cursor.fetch(_ROWS_AT_ONCE))
            for row in rows:
                yield dict(row)
            if len(rows) < _ROWS_AT_ONCE:
                return

    def __len__(self) -> int:
        return int(self._fetch(select_count(self._table))[0]["count_1"])

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
            return self._fetch(
                select_rows(self._table).offset(start).limit(max(0, stop - start))
            )
        place = index + len(self) if index < 0 else index
        if place >= 0:
            for row in self._fetch(select_rows(self._table).offset(place).limit(1)):
                return row
        raise IndexError(f"expected one of {len(self)} rows, found index {index}")

    def _fetch(self, statement: Select[Any]) -> list[Mapping[str, Any]]:
        connection = self._reader.connection
        text = _text(statement)
        rows = self._reader.call(self._table, lambda: connection.fetch(text))
        return [dict(row) for row in rows]


class PostgresReader:
    """A ``DatabaseReader`` of one database: read-only, one moment for all tables.

    What is written after it was opened is not seen. Decimals are exact, times are
    aware UTC datetimes. It may be used inside and outside of a running loop: the
    driver has a loop of its own.

    Raises:
        UsageError: it cannot be reached, or is not a database of tapeline.
    """

    def __init__(self, config: PostgresConfig) -> None:
        self._config = config
        self._place = shown_address(config.dsn)
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            self.connection: Connection = self._connected()
            stack.callback(self._portal.call, close, self.connection)
            self.call("tapeline_schema", self._begin)
            self._check_ours()
            self._stack = stack.pop_all()

    def trades(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``trades``, ordered by stream and ``last_id``."""
        return TableRows(self, "trades")

    def gaps(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``gaps``, ordered by ``gap_id``."""
        return TableRows(self, "gaps")

    def coverage(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``coverage``, ordered by stream and ``started_ns``."""
        return TableRows(self, "coverage")

    def candles(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``market_data``, ordered by key."""
        return TableRows(self, "market_data")

    def rows(self, table: str) -> Sequence[Mapping[str, Any]]:
        """Rows of any table, ordered by its key."""
        return TableRows(self, table)

    def counts(self) -> Mapping[str, int]:
        """Name of each table of records → number of its rows."""
        return {table: len(self.rows(table)) for table in RECORD_TABLES}

    def cursors(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``tapeline_cursors``."""
        return TableRows(self, "tapeline_cursors")

    def close(self) -> None:
        """Release the database; safe twice."""
        self._stack.close()

    def call(self, table: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do *work* on the driver's loop.

        Raises:
            DatabaseOperationError: the server does not answer, or refuses.
        """

        async def run() -> Result:
            return await work()

        try:
            return self._portal.call(run)
        except TRANSPORT_ERRORS as error:
            raise DatabaseOperationError("read", table, reason(error)) from error

    def _connected(self) -> Connection:
        async def connect() -> Connection:
            return await asyncpg.connect(
                self._config.dsn.reveal(),
                timeout=self._config.connect_timeout_s,
                command_timeout=_READ_S,
                server_settings={"timezone": "UTC"},
            )

        try:
            return self._portal.call(connect)
        except TRANSPORT_ERRORS as error:
            raise UsageError(str(open_failure(error, self._config.dsn))) from error

    async def _begin(self) -> None:
        # Its first statement fixes the moment that all later ones see.
        transaction = self.connection.transaction(
            isolation="repeatable_read", readonly=True
        )
        await transaction.start()

    def _check_ours(self) -> None:
        version = self.call("tapeline_schema", lambda: schema_version(self.connection))
        if version is None:
            raise UsageError(
                f"expected a database of tapeline, found {self._place} without its "
                "tables; check the address"
            )
        if version > SCHEMA_VERSION:
            raise UsageError(
                f"expected a database of schema version {SCHEMA_VERSION} or older, "
                f"found version {version} in {self._place}; upgrade tapeline-postgres"
            )
