"""What can be said of an event without knowing the venue."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import attrs

from tapeline.model import (
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    MarketDataPoint,
    Subscription,
    Ticker,
    Trade,
)
from tapeline.testing.conformance.play import RECEIVED_NS

LARGEST_ID = 2**63 - 1
"""Identities are stored as 64-bit integers."""

_LATEST_NS = 4_102_444_800 * 10**9
_LONGEST_DIGITS = 100


def problem_with(event: MarketDataPoint, wanted: Collection[Subscription]) -> str:
    """What is wrong with *event* whatever its frame was; empty when nothing."""
    stream = getattr(event, "stream", None)
    if stream is not None and stream not in wanted:
        return f"{_named(event)} of {stream}, which was not subscribed"
    for name in ("received_ns", "exchange_ns"):
        value = getattr(event, name, None)
        if value is not None and not _is_time(value):
            return f"{_named(event)} with {name} {value!r}"
    received_ns = getattr(event, "received_ns", RECEIVED_NS)
    if received_ns != RECEIVED_NS:
        return f"{_named(event)} received at {received_ns}, not when its frame was"
    for kind, check in _CHECKS:
        if isinstance(event, kind):
            found: str = check(event)
            return f"{_named(event)} with {found}" if found else ""
    return ""


def invented(found: Sequence[Any], intact: Sequence[Any]) -> str:
    """What *found* events of a damaged frame claim that the intact frame did not.

    A field may have become None or empty: not to know is honest. Any other value
    that differs was made up.
    """
    for event in found:
        if event in intact:
            continue
        same = [other for other in intact if type(other) is type(event)]
        claims = [_claims(event, other) for other in same]
        if not claims:
            return f"{_named(event)} where the whole frame gives none"
        fewest = min(claims, key=len)
        if fewest:
            return f"{_named(event)} with {fewest[0]}"
    return ""


def _claims(event: Any, other: Any) -> list[str]:
    if not attrs.has(type(event)):
        return [] if event is other else ["other data"]
    found = []
    for field in attrs.fields(type(event)):
        value, known = getattr(event, field.name), getattr(other, field.name)
        if value == known or value is None or field.name == "raw":
            continue
        if isinstance(value, tuple | list) and _is_part(value, known):
            continue
        found.append(f"{field.name} {value!r} instead of {known!r}")
    return found


def _is_part(levels: Sequence[Any], known: Sequence[Any]) -> bool:
    """Whether *levels* are all among *known*, by price and size."""
    pairs = {tuple(level[:2]) for level in known}
    return all(tuple(level[:2]) in pairs for level in levels)


def _named(event: MarketDataPoint) -> str:
    return type(event).__name__


def _is_time(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LATEST_NS


def _is_id(value: object) -> bool:
    return type(value) is int and -1 <= value <= LARGEST_ID


def _is_number(value: object, *, least: int | None = 0) -> bool:
    if type(value) is not Decimal or not value.is_finite():
        return False
    if len(value.as_tuple().digits) > _LONGEST_DIGITS or abs(value.adjusted()) > 100:
        return False
    return least is None or value >= least


def _trade(event: Trade) -> str:
    if not _is_id(event.first_id) or not _is_id(event.last_id):
        return f"ids {event.first_id!r} to {event.last_id!r}"
    if event.first_id > event.last_id:
        return f"the empty range of ids {event.first_id} to {event.last_id}"
    if event.side not in ("buy", "sell"):
        return f"side {event.side!r}"
    if type(event.fills) is not int or event.fills < 1:
        return f"{event.fills!r} fills"
    if not _is_number(event.price, least=None):
        return f"price {str(event.price)[:40]}"
    return "" if _is_number(event.size) else f"size {str(event.size)[:40]}"


def _book(event: BookSnapshot | BookDelta) -> str:
    if event.last_id is not None and not _is_id(event.last_id):
        return f"last_id {event.last_id!r}"
    for level in (*event.bids, *event.asks):
        text = [*level[:2]]
        if len(text) < 2 or not all(type(item) is str for item in text):
            return f"level {level!r}, which is not (price, size) in text"
        try:
            numbers = [Decimal(item) for item in text]
        except InvalidOperation:
            return f"level {str(level)[:60]}, which is no number"
        if not (_is_number(numbers[0], least=None) and _is_number(numbers[1])):
            return f"level {str(level)[:60]}"
    return ""


def _candle(event: Candle) -> str:
    return _numbers(event, ("open", "high", "low", "close", "volume"))


def _ticker(event: Ticker) -> str:
    names = (field.name for field in attrs.fields(Ticker))
    times = ("stream", "exchange_ns", "received_ns", "raw")
    return _numbers(event, (name for name in names if name not in times))


def _balance(event: Balance) -> str:
    return _numbers(event, ("total", "free", "locked"))


def _numbers(event: object, names: Iterable[str]) -> str:
    for name in names:
        value = getattr(event, name)
        if value is not None and not _is_number(value, least=None):
            return f"{name} {str(value)[:40]}"
    return ""


_CHECKS: tuple[tuple[type | tuple[type, ...], Any], ...] = (
    (Trade, _trade),
    ((BookSnapshot, BookDelta), _book),
    (Candle, _candle),
    (Ticker, _ticker),
    (Balance, _balance),
)
