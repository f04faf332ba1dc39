"""``docs/schema.md`` against the tables."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import BigInteger, Boolean, Column

from tapeline_sql import TABLES, ExactDecimal, UtcTimestamp

PAGE = Path(__file__).parents[3] / "docs" / "schema.md"
NAMES = {
    BigInteger: "integer",
    Boolean: "boolean",
    ExactDecimal: "decimal",
    UtcTimestamp: "timestamp",
}


def documented() -> dict[str, list[tuple[str, ...]]]:
    """Table → its rows, without the meanings."""
    found = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        name, _, text = part.partition("\n")
        lines = [line for line in text.splitlines() if line.startswith("| `")]
        cells = [re.split(r"(?<!\\)\|", line)[1:5] for line in lines]
        found[name.strip("`")] = [
            tuple(cell.strip(" `") for cell in row) for row in cells
        ]
    return found


def type_name(column: Column[object]) -> str:
    """What the page calls the type of *column*."""
    # SQLModel decorates text of its own.
    if type(column.type).__name__ == "AutoString":
        return "text"
    return NAMES[type(column.type)]


def test_every_table_and_column_is_documented_as_it_is() -> None:
    """Names, order, types, nullability and keys."""
    expected = {
        name: [
            (
                column.name,
                type_name(column),
                "yes" if column.nullable else "no",
                "yes" if column.primary_key else "no",
            )
            for column in table.columns
        ]
        for name, table in TABLES.items()
    }
    assert documented() == expected
