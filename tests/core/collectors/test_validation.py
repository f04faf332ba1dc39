"""Every violation of a bar is named."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tapeline.collectors import validate_ohlcv_data
from tapeline.errors import DataValidationError

GOOD: dict[str, Any] = {
    "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
    "open": "10",
    "high": "12.5",
    "low": "9.5",
    "close": "11",
    "volume": "3.25",
    "trades_count": 7,
}


def test_a_true_bar_is_kept_exactly() -> None:
    bar = validate_ohlcv_data(GOOD, "BTC-USDT", "1m")

    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == tuple(
        Decimal(text) for text in ("10", "12.5", "9.5", "11", "3.25")
    )
    assert (bar.symbol, bar.timeframe, bar.trades_count) == ("BTC-USDT", "1m", 7)
    assert bar.timestamp == GOOD["timestamp"]


def test_milliseconds_are_a_timestamp_too() -> None:
    bar = validate_ohlcv_data({**GOOD, "timestamp": 1767225600123}, "BTC-USDT", "1m")

    assert bar.timestamp == datetime(2026, 1, 1, microsecond=123_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"high": "9"}, "high 9 is below low"),
        ({"open": "13"}, "open 13 is above high"),
        ({"close": "1"}, "close 1 is below low"),
        ({"volume": "-1"}, "volume is -1"),
        ({"low": "0"}, "low is 0"),
        ({"open": "NaN"}, "finite"),
        ({"open": "ten"}, "open is 'ten'"),
        ({"open": True}, "open is True"),
        ({"timestamp": datetime(2026, 1, 1)}, "no time zone"),
        ({"timestamp": "now"}, "timestamp is 'now'"),
        ({"timestamp": 10**30}, "milliseconds"),
        ({"trades_count": -1}, "trades_count is -1"),
    ],
)
def test_each_violation_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(DataValidationError, match=named):
        validate_ohlcv_data({**GOOD, **change}, "BTC-USDT", "1m")


def test_all_violations_are_named_at_once() -> None:
    bad = {**GOOD, "open": "x", "volume": "-1", "timestamp": None}
    del bad["close"]

    with pytest.raises(DataValidationError) as caught:
        validate_ohlcv_data(bad, "BTC-USDT", "7m")

    assert len(caught.value.violations) == 5


def test_what_is_there_is_compared_even_when_something_else_is_missing() -> None:
    bad = {**GOOD, "open": "13", "high": "9", "close": "x"}
    del bad["volume"]

    with pytest.raises(DataValidationError) as caught:
        validate_ohlcv_data(bad, "BTC-USDT", "1m")

    assert list(caught.value.violations) == [
        "close is 'x', expected a number",
        "volume is missing",
        "high 9 is below low 9.5",
        "open 13 is above high 9",
    ]


@pytest.mark.parametrize("key", ["open", "high", "low", "close", "volume", "timestamp"])
def test_whatever_is_missing_is_named(key: str) -> None:
    bad = {name: value for name, value in GOOD.items() if name != key}

    with pytest.raises(DataValidationError, match=key):
        validate_ohlcv_data(bad, "BTC-USDT", "1m")
