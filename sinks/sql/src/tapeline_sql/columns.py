"""Column types that keep prices exact and times in UTC on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import TIMESTAMP, Dialect, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from tapeline.model import datetime_from_ns

_SECOND_NS = 10**9


@lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    moment = datetime_from_ns(second * _SECOND_NS)
    return moment.isoformat(sep=" ", timespec="seconds")[:19]


def timestamp_text(ns: int) -> str:
    """*ns* UTC as ``YYYY-MM-DD HH:MM:SS.ffffff+00:00``; sorts like the times do.

    Raises:
        OverflowError: *ns* is not a time between the years 1 and 9999.
    """
    second, rest = divmod(ns, _SECOND_NS)
    return f"{_second_text(second)}.{rest // 1_000:06d}+00:00"


class ExactDecimal(TypeDecorator[Decimal]):
    """A ``Decimal``: NUMERIC where that is exact, in SQLite its own text."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text in SQLite, whose NUMERIC is a float; NUMERIC elsewhere."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """The value as the driver takes it."""
        if value is None or dialect.name != "sqlite":
            return value
        return str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """The value as it was given."""
        return None if value is None else Decimal(value)


class UtcTimestamp(TypeDecorator[datetime]):
    """An aware UTC datetime: timestamptz, in SQLite text that sorts by time."""

    impl = TIMESTAMP
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text in SQLite, which has no type for times; timestamptz elsewhere."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """The moment as the driver takes it; refuses one without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected an aware datetime, found {value!r}")
        value = value.astimezone(UTC)
        if dialect.name != "sqlite":
            return value
        return value.isoformat(sep=" ", timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """The moment, aware."""
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(UTC)
