"""Rows as SQLAlchemy takes them: by column, decimals and times as such."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from tapeline_sql.columns import ExactDecimal, UtcTimestamp
from tapeline_sql.rows import Row
from tapeline_sql.tables import TABLES


def typed_values(table: str, row: Row) -> dict[str, object]:
    """Column → value of a row of *table*.

    Raises:
        ArithmeticError, ValueError: a text that is no decimal, or no time.
    """
    columns = TABLES[table].columns
    values: dict[str, object] = dict(zip(columns.keys(), row, strict=True))
    for column in columns:
        value = values[column.name]
        if value is None:
            continue
        if isinstance(column.type, ExactDecimal):
            values[column.name] = Decimal(str(value))
        elif isinstance(column.type, UtcTimestamp):
            values[column.name] = datetime.fromisoformat(str(value))
    return values
