"""``INSERT … ON CONFLICT`` as text, built once per dialect from the tables.

Each table has one answer to a row whose key is stored already, and the answers
make storing a row twice the same as storing it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs
from sqlalchemy import ColumnElement, Dialect, Table, case
from sqlalchemy.dialects import postgresql, sqlite

from tapeline_sql.tables import TABLES

OnConflict = Literal["keep", "higher-revision", "replace", "extend"]
"""What happens to a stored row when one with its key comes.

To extend is to replace, but for a ``first_id`` that was moved up since: rows below it
were deleted on purpose, and coverage does not promise them again.
"""

ON_CONFLICT: Mapping[str, OnConflict] = MappingProxyType(
    {
        "trades": "keep",
        "market_data": "higher-revision",
        "gaps": "higher-revision",
        "coverage": "extend",
        "tickers": "keep",
        "order_books": "keep",
        "balances": "keep",
        "raw_trades": "keep",
        "tapeline_cursors": "replace",
        "tapeline_dead_letters": "keep",
        "tapeline_schema": "keep",
    }
)
"""Name of a table → what its INSERT does on conflict."""


@attrs.frozen
class InsertBuilder:
    """Builds the INSERT statements of one database.

    Args:
        dialect: SQLAlchemy's, for SQLite or PostgreSQL.
        force_update_candles: whether a candle of equal revision replaces the
            stored one; a higher revision always does.
    """

    dialect: Dialect
    force_update_candles: bool = False

    def insert(self, table_name: str) -> str:
        """INSERT of one row, parameters in column order and the dialect's style."""
        return str(self.statement(table_name).compile(dialect=self.dialect))

    def statement(self, table_name: str) -> Any:
        """The same as SQLAlchemy executes it, with values by column name."""
        return self._with_conflict(self._insert(TABLES[table_name]), table_name)

    def insert_many(self, table_name: str, rows: int) -> str:
        """INSERT of *rows* rows in one statement; needs a dialect with ``?``."""
        group = f"({', '.join('?' * len(TABLES[table_name].columns))})"
        head, found, tail = self.insert(table_name).partition(group)
        if not found:
            raise ValueError(
                f"expected a dialect with ? parameters, found {self.dialect.name}"
            )
        return head + ", ".join([group] * rows) + tail

    def _insert(self, table: Table) -> Any:
        if self.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)

    def _with_conflict(self, statement: Any, table_name: str) -> Any:
        table = TABLES[table_name]
        policy = ON_CONFLICT[table_name]
        key = list(table.primary_key.columns)
        if policy == "keep":
            return statement.on_conflict_do_nothing(index_elements=key)
        offered = statement.excluded
        where: ColumnElement[bool] | None = None
        if policy == "higher-revision":
            where = (
                offered.revision >= table.c.revision
                if table_name == "market_data" and self.force_update_candles
                else offered.revision > table.c.revision
            )
        values = {
            column.name: offered[column.name]
            for column in table.columns
            if not column.primary_key
        }
        if policy == "extend":
            moved_up = table.c.first_id > offered.first_id
            values["first_id"] = case(
                (moved_up, table.c.first_id), else_=offered.first_id
            )
        return statement.on_conflict_do_update(
            index_elements=key, set_=values, where=where
        )
