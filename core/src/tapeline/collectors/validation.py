"""Checks of one bar that a user's own collector built."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from tapeline.errors import DataValidationError, UnknownTimeframe, did_you_mean
from tapeline.model import TIMEFRAMES, OHLCVData

_PRICES = ("open", "high", "low", "close")


def validate_ohlcv_data(
    data: Mapping[str, object], symbol: str, timeframe: str
) -> OHLCVData:
    """The bar in *data*, exact and checked.

    Args:
        data: ``timestamp`` (aware datetime, or ms since the epoch), ``open``,
            ``high``, ``low``, ``close``, ``volume`` (text, int or Decimal) and
            optionally ``trades_count``.

    Raises:
        DataValidationError: every violation is named in its ``violations``.
    """
    found: list[str] = []
    numbers: dict[str, Decimal] = {}
    for key in (*_PRICES, "volume"):
        number = _number(data, key, found)
        if number is not None:
            numbers[key] = number
    moment = _moment(data.get("timestamp"), found)
    count = _count(data.get("trades_count"), found)
    if timeframe not in TIMEFRAMES:
        found.append(str(UnknownTimeframe(timeframe, tuple(TIMEFRAMES))))
    _check_order(numbers, found)
    if found or moment is None:
        raise DataValidationError(
            f"expected a true {timeframe} bar of {symbol}, found: {'; '.join(found)}",
            found,
        )
    return OHLCVData(
        symbol,
        timeframe,
        moment,
        numbers["open"],
        numbers["high"],
        numbers["low"],
        numbers["close"],
        numbers["volume"],
        count,
    )


def _number(data: Mapping[str, object], key: str, found: list[str]) -> Decimal | None:
    if key not in data:
        close = did_you_mean(key, data)
        found.append(f"{key} is missing{close}")
        return None
    value = data[key]
    if isinstance(value, float):
        # A float was rounded before it came here; its repr is what was meant.
        value = repr(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        found.append(f"{key} is {value!r}, expected a number")
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        found.append(f"{key} is {value!r}, expected a number")
        return None
    if not number.is_finite():
        found.append(f"{key} is {value!r}, expected a finite number")
        return None
    if number < 0 or (key != "volume" and number == 0):
        bound = "at least 0" if key == "volume" else "above 0"
        found.append(f"{key} is {number}, expected {bound}")
        return None
    return number


def _moment(value: object, found: list[str]) -> datetime | None:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            found.append(f"timestamp {value.isoformat()} has no time zone")
            return None
        return value.astimezone(UTC)
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value // 1000, UTC).replace(
                microsecond=value % 1000 * 1000
            )
        except (ValueError, OverflowError, OSError):
            found.append(f"timestamp {value} is not in milliseconds since the epoch")
            return None
    found.append(f"timestamp is {value!r}, expected an aware datetime or milliseconds")
    return None


def _count(value: object, found: list[str]) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        found.append(f"trades_count is {value!r}, expected a count or None")
        return None
    return value


def _check_order(numbers: Mapping[str, Decimal], found: list[str]) -> None:
    high, low = numbers.get("high"), numbers.get("low")
    if high is not None and low is not None and high < low:
        found.append(f"high {high} is below low {low}")
    for key in ("open", "close"):
        price = numbers.get(key)
        if price is None:
            continue
        if high is not None and price > high:
            found.append(f"{key} {price} is above high {high}")
        if low is not None and price < low:
            found.append(f"{key} {price} is below low {low}")
