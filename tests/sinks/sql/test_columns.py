"""Decimals stay exact and times sort."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import make_url

from tapeline.model import datetime_from_ns
from tapeline_sql import ExactDecimal, UtcTimestamp, timestamp_text

POSTGRES = make_url("postgresql://").get_dialect()()
NS = st.integers(min_value=-2_000_000_000 * 10**9, max_value=9_000_000_000 * 10**9)


def test_a_time_is_written_in_full() -> None:
    """Always six digits, always UTC."""
    assert timestamp_text(1_700_000_000 * 10**9) == "2023-11-14 22:13:20.000000+00:00"
    assert timestamp_text(1_999) == "1970-01-01 00:00:00.000001+00:00"


@given(NS, NS)
def test_texts_of_times_sort_like_the_times(one: int, other: int) -> None:
    """So ORDER BY and BETWEEN are right in SQLite."""
    by_time = one // 1000 <= other // 1000
    assert (timestamp_text(one) <= timestamp_text(other)) == by_time


@given(NS)
def test_the_text_of_a_time_reads_back_as_the_model_says(ns: int) -> None:
    """The writer's text and the reader's type agree."""
    found = UtcTimestamp().process_result_value(timestamp_text(ns), sqlite.dialect())
    assert found == datetime_from_ns(ns)


@given(NS)
def test_a_datetime_binds_as_the_text_that_is_stored(ns: int) -> None:
    """A repository that asks for a time finds the row."""
    moment = datetime_from_ns(ns).astimezone(timezone(timedelta(hours=5)))
    bound = UtcTimestamp().process_bind_param(moment, sqlite.dialect())
    assert bound == timestamp_text(ns)


def test_a_time_beyond_the_calendar_is_refused() -> None:
    """The year 10000 has no text."""
    with pytest.raises(OverflowError):
        timestamp_text(2**63 * 1000)


def test_a_datetime_without_a_zone_is_refused() -> None:
    """It would be some zone's time, and nobody knows which."""
    with pytest.raises(ValueError, match="expected an aware datetime"):
        UtcTimestamp().process_bind_param(datetime(2026, 1, 1), sqlite.dialect())


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_binds_to_its_own_text_in_sqlite(value: Decimal) -> None:
    """Exponent and trailing zeros stay."""
    column = ExactDecimal()
    bound = column.process_bind_param(value, sqlite.dialect())
    found = column.process_result_value(bound, sqlite.dialect())
    assert isinstance(bound, str)
    assert found is not None
    assert found.as_tuple() == value.as_tuple()


def test_types_pass_what_a_database_with_such_types_gives() -> None:
    """PostgreSQL's drivers know decimals and times themselves."""
    dialect = POSTGRES
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert ExactDecimal().process_bind_param(Decimal("1.0"), dialect) == Decimal("1.0")
    assert UtcTimestamp().process_bind_param(moment, dialect) == moment
    assert UtcTimestamp().process_result_value(moment, dialect) == moment
    for column in (ExactDecimal(), UtcTimestamp()):
        assert column.process_bind_param(None, dialect) is None
        assert column.process_result_value(None, dialect) is None
