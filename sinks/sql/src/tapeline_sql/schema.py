"""DDL as text, built from the table definitions for one dialect."""

from __future__ import annotations

from sqlalchemy import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from tapeline_sql.tables import TABLES, decimal_columns


def create_table_statements(dialect: Dialect) -> tuple[str, ...]:
    """``CREATE … IF NOT EXISTS`` for every table and its indexes."""
    tables: list[ExecutableDDLElement] = [
        CreateTable(table, if_not_exists=True) for table in TABLES.values()
    ]
    indexes: list[ExecutableDDLElement] = [
        CreateIndex(index, if_not_exists=True)
        for table in TABLES.values()
        for index in sorted(table.indexes, key=lambda index: str(index.name))
        if index.dialect_options["postgresql"]["using"] in (False, "btree")
        or dialect.name == "postgresql"
    ]
    return tuple(
        str(each.compile(dialect=dialect)).strip() for each in (*tables, *indexes)
    )


def real_view_statements() -> tuple[str, ...]:
    """``CREATE VIEW`` of the ``*_real`` views, for SQLite.

    They show the tables that hold decimals with those cast to floating point, for
    tools that add and average; what they show is rounded.
    """
    statements = []
    for name, table in TABLES.items():
        decimals = decimal_columns(table)
        if not decimals:
            continue
        columns = ", ".join(
            f'CAST("{column.name}" AS REAL) AS "{column.name}"'
            if column.name in decimals
            else f'"{column.name}"'
            for column in table.columns
        )
        statements.append(
            f"CREATE VIEW IF NOT EXISTS {name}_real AS SELECT {columns} FROM {name}"
        )
    return tuple(statements)
