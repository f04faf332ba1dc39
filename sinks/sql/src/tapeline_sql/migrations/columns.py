"""Columns as revisions write them: fixed here, whatever the models become."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, String, Text
from sqlalchemy.types import TypeEngine

from tapeline_sql.columns import ExactDecimal, UtcTimestamp

_TYPES: dict[str, Any] = {
    "text": String().with_variant(Text(collation="C"), "postgresql"),
    "integer": BigInteger(),
    "decimal": ExactDecimal(),
    "moment": UtcTimestamp(),
    "flag": Boolean(),
}
_FINITE = {
    "sqlite": "{0} NOT GLOB '*[nN]*'",
    "postgresql": "{0} > '-Infinity' AND {0} < 'Infinity'",
}


def columns(text: str) -> list[Column[Any]]:
    """Columns of lines ``name type``; with ``key`` or ``null`` after it."""
    found = []
    for line in text.strip().splitlines():
        name, kind, *rest = line.split()
        found.append(
            Column(
                name,
                _type(kind),
                primary_key="key" in rest,
                nullable="null" in rest,
                autoincrement=False,
            )
        )
    return found


def finite(text: str, dialect: str) -> list[CheckConstraint]:
    """The constraints that the decimals of such lines are numbers."""
    names = [
        name
        for name, kind, *_ in (line.split() for line in text.strip().splitlines())
        if kind == "decimal"
    ]
    return [
        CheckConstraint(_FINITE[dialect].format(name), name=f"{name}_is_finite")
        for name in names
    ]


def _type(kind: str) -> TypeEngine[Any]:
    found: TypeEngine[Any] = _TYPES[kind]
    return found
