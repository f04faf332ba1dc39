"""What every repository can do: select, write, count, retain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import Dialect, Table, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from tapeline_sql.database import Database, TableStatistics
from tapeline_sql.operations import operation
from tapeline_sql.rows import Row
from tapeline_sql.selection import Moment, Selection, before, since
from tapeline_sql.statements import InsertBuilder
from tapeline_sql.tables import TABLES
from tapeline_sql.values import typed_values

RowT = TypeVar("RowT", bound=SQLModel)

_DELETE_ROWS = 10_000
_WRITE_ROWS = 2_000
_DIALECTS: Mapping[bool, Any] = {True: sqlite, False: postgresql}


class Repository(Generic[RowT]):
    """Typed access to one table; the base of all repositories.

    Each call is one transaction: committed at its end, rolled back when it fails.
    Whatever goes wrong is a ``DatabaseOperationError`` that names the operation, the
    table and the cause.

    Args:
        row: the rows' class.
        database: a ``Database`` to share, or the address of one of its own, which
            ``close`` releases.
    """

    def __init__(self, row: type[RowT], database: Database | str | Path) -> None:
        self._row = row
        self._owned = not isinstance(database, Database)
        self.database = (
            database if isinstance(database, Database) else Database(database)
        )
        self.name = str(row.__tablename__)

    async def __aenter__(self) -> Self:
        await self.database.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Release the database, unless it is shared; safe twice."""
        if self._owned:
            await self.database.close()

    async def statistics(self) -> TableStatistics:
        """How many rows there are, and of which time; counts every row."""
        return await self.database.table_statistics(self.name)

    async def delete_before(self, moment: Moment) -> int:
        """Retention: delete what is older than *moment*; returns how many rows.

        In slices, so that a sink that writes meanwhile is not kept waiting.
        """
        key = list(self._table.primary_key.columns)
        some = select(*key).where(before(self._table, moment)).limit(_DELETE_ROWS)
        chosen = tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some)
        statement = delete(self._table).where(chosen)
        deleted = 0
        while True:
            async with self.database.connection("delete", self.name) as connection:
                count = (await connection.execute(statement)).rowcount
            deleted += count
            if count < _DELETE_ROWS:
                return deleted

    @property
    def _table(self) -> Table:
        return TABLES[self.name]

    @property
    def _dialect(self) -> Dialect:
        dialect: Dialect = _DIALECTS[self.database.is_sqlite].dialect()
        return dialect

    def _selection(
        self,
        equal: Mapping[str, object],
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Selection[RowT]:
        """Rows with those values, None for any, from *start* on and before *end*."""
        table = self._table
        conditions = [
            table.c[name] == value for name, value in equal.items() if value is not None
        ]
        if start is not None:
            conditions.append(since(table, start))
        if end is not None:
            conditions.append(before(table, end))
        return Selection(self.database, self._row, table, tuple(conditions))

    async def _write(self, rows: Sequence[Row], *, force: bool = False) -> None:
        """Upsert *rows* in one transaction, by the rule that the sinks have."""
        statement = InsertBuilder(self._dialect, force).statement(self.name)
        with operation("upsert", self.name):
            values = [typed_values(self.name, row) for row in rows]
        if not values:
            return
        async with self.database.connection("upsert", self.name) as connection:
            for begin in range(0, len(values), _WRITE_ROWS):
                await connection.execute(statement, values[begin : begin + _WRITE_ROWS])
