"""SELECTs that every reader of these tables shares."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select

from tapeline_sql.tables import TABLES


def select_rows(table_name: str) -> Select[Any]:
    """All rows of a table in the order of its key."""
    table = TABLES[table_name]
    return select(table).order_by(*table.primary_key.columns)


def select_count(table_name: str) -> Select[Any]:
    """The number of rows of a table."""
    return select(func.count()).select_from(TABLES[table_name])


def select_schema_version() -> Select[Any]:
    """The version that the tables were made with."""
    return select(func.max(TABLES["tapeline_schema"].c.version))
