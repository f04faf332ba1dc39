"""Data frames, when the user has the library for them."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from sqlalchemy import BigInteger, Boolean, Table

from tapeline_sql.columns import ExactDecimal, UtcTimestamp
from tapeline_sql.operations import failure


def pandas_frame(table: Table, columns: dict[str, list[Any]]) -> Any:
    """A pandas frame; integers may be missing, times are aware."""
    pandas = _library("pandas", table.name)
    frame = pandas.DataFrame(columns, columns=list(table.columns.keys()))
    for column in table.columns:
        if isinstance(column.type, BigInteger):
            kind = "Int64" if column.nullable else "int64"
            frame[column.name] = frame[column.name].astype(kind)
        elif isinstance(column.type, UtcTimestamp):
            frame[column.name] = pandas.to_datetime(frame[column.name], utc=True)
    return frame


def polars_frame(table: Table, columns: dict[str, list[Any]], exact: bool) -> Any:
    """A polars frame; exact decimals are of as many digits as its type has."""
    polars = _library("polars", table.name)
    schema = {}
    for column in table.columns:
        if isinstance(column.type, BigInteger):
            schema[column.name] = polars.Int64
        elif isinstance(column.type, Boolean):
            schema[column.name] = polars.Boolean
        elif isinstance(column.type, UtcTimestamp):
            schema[column.name] = polars.Datetime("us", "UTC")
        elif isinstance(column.type, ExactDecimal):
            schema[column.name] = (
                polars.Decimal(38, _scale(columns[column.name]))
                if exact
                else polars.Float64
            )
        else:
            schema[column.name] = polars.String
    return polars.DataFrame(columns, schema=schema)


def _scale(values: list[Any]) -> int:
    """Digits behind the point that hold every one of *values*."""
    exponents = [value.as_tuple().exponent for value in values if value is not None]
    return max((-min(exponents, default=0)), 0)


def _library(name: str, table: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise failure(
            "frame",
            table,
            f"expected {name} to be installed, found it is not; run "
            f"'pip install {name}'",
        ) from None
