"""Rows of one table that are asked for, and the ways to get them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Generic, TypeVar

import attrs
from sqlalchemy import ColumnElement, Select, Table, func, select
from sqlmodel import SQLModel

from tapeline.model import datetime_from_ns, ns_from_datetime
from tapeline_sql.database import Database, time_column
from tapeline_sql.frames import pandas_frame, polars_frame
from tapeline_sql.operations import failure
from tapeline_sql.tables import decimal_columns

Moment = datetime | int
"""An aware datetime, or nanoseconds UTC."""

RowT = TypeVar("RowT", bound=SQLModel)

PAGE_ROWS = 1_000


@attrs.frozen
class Selection(Generic[RowT]):
    """What ``select`` of a repository gives; nothing is read before it is asked for.

    Rows come in the order of time. Each call reads as of one moment, and raises
    nothing but ``DatabaseOperationError``.
    """

    database: Database = attrs.field(repr=False)
    row: type[RowT]
    table: Table = attrs.field(repr=False)
    conditions: tuple[ColumnElement[bool], ...] = attrs.field(repr=False)

    async def fetch(
        self, limit: int = PAGE_ROWS, offset: int = 0, *, newest_first: bool = False
    ) -> list[RowT]:
        """One page of them; ``iterate`` reads any number.

        Args:
            newest_first: from the end backwards.
        """
        query = self._query(self.row, newest_first=newest_first)
        query = query.limit(limit).offset(offset or None)
        async with self.database.session("select", self.table.name) as session:
            return list((await session.execute(query)).scalars().all())

    async def latest(self) -> RowT | None:
        """The newest one; None when there is none."""
        found = await self.fetch(1, newest_first=True)
        return found[0] if found else None

    async def count(self) -> int:
        """How many there are."""
        query = select(func.count()).select_from(self.table).where(*self.conditions)
        async with self.database.connection("count", self.table.name) as connection:
            return int((await connection.execute(query)).scalar_one())

    async def pages(self, rows: int = PAGE_ROWS) -> AsyncGenerator[list[RowT], None]:
        """All of them, so many at a time; never all in memory.

        The cursor and its connection are open until the last page, or ``aclose``.
        """
        query = self._query(self.row).execution_options(yield_per=rows)
        async with self.database.session("select", self.table.name) as session:
            result = await session.stream_scalars(query)
            async for page in result.partitions():
                # The session holds on to none that the caller drops.
                yield list(page)

    async def iterate(self) -> AsyncGenerator[RowT, None]:
        """One after the other; never all in memory. See ``pages``."""
        pages = self.pages()
        try:
            async for page in pages:
                for row in page:
                    yield row
        finally:
            await pages.aclose()

    async def to_pandas(self, *, exact: bool = False) -> Any:
        """A ``pandas.DataFrame`` of them; pandas must be installed.

        Args:
            exact: decimals as they are instead of floating point numbers.
        """
        return pandas_frame(self.table, await self._columns(exact))

    async def to_polars(self, *, exact: bool = False) -> Any:
        """A ``polars.DataFrame`` of them; polars must be installed.

        Args:
            exact: decimals as they are instead of floating point numbers.
        """
        return polars_frame(self.table, await self._columns(exact), exact)

    def _query(self, what: Any, *, newest_first: bool = False) -> Select[Any]:
        time = time_column(self.table.name)
        key = [
            column for column in self.table.primary_key.columns if column is not time
        ]
        order: list[Any] = [time, *key]
        if newest_first:
            order = [column.desc() for column in order]
        return select(what).where(*self.conditions).order_by(*order)

    async def _columns(self, exact: bool) -> dict[str, list[Any]]:
        query = self._query(self.table)
        async with self.database.connection("select", self.table.name) as connection:
            rows = (await connection.execute(query)).all()
        names = list(self.table.columns.keys())
        if not rows:
            return {name: [] for name in names}
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        if not exact:
            for name in decimal_columns(self.table):
                columns[name] = [
                    None if value is None else float(value) for value in columns[name]
                ]
        return columns


def before(table: Table, moment: Moment) -> ColumnElement[bool]:
    """The condition that a row is older than *moment*.

    Raises:
        DatabaseOperationError: a moment without a time zone.
    """
    column = time_column(table.name)
    return column < _time_value(table, moment)  # type: ignore[no-any-return]


def since(table: Table, moment: Moment) -> ColumnElement[bool]:
    """The condition that a row is not older than *moment*; see ``before``."""
    column = time_column(table.name)
    return column >= _time_value(table, moment)  # type: ignore[no-any-return]


def _time_value(table: Table, moment: Moment) -> object:
    """*moment* as the table holds it."""
    try:
        if str(time_column(table.name).key).endswith("_ns"):
            return ns_from_datetime(moment) if isinstance(moment, datetime) else moment
        found = moment if isinstance(moment, datetime) else datetime_from_ns(moment)
        ns_from_datetime(found)
    except (ValueError, OverflowError) as error:
        raise failure("select", table.name, error) from error
    return found
