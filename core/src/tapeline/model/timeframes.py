"""The eleven timeframes; boundaries are exchange time, UTC."""

from __future__ import annotations

from types import MappingProxyType

from tapeline.errors import UnknownTimeframe

_SECOND = 10**9

TIMEFRAMES = MappingProxyType(
    {
        "1s": 1 * _SECOND,
        "5s": 5 * _SECOND,
        "10s": 10 * _SECOND,
        "15s": 15 * _SECOND,
        "30s": 30 * _SECOND,
        "1m": 60 * _SECOND,
        "5m": 300 * _SECOND,
        "15m": 900 * _SECOND,
        "1h": 3_600 * _SECOND,
        "4h": 14_400 * _SECOND,
        "1d": 86_400 * _SECOND,
    }
)
"""Name of a timeframe → its width in nanoseconds, narrow to wide."""


def width_ns(timeframe: str) -> int:
    """Width of *timeframe* in nanoseconds.

    Raises:
        UnknownTimeframe: it is not one of the eleven.
    """
    try:
        return TIMEFRAMES[timeframe]
    except KeyError:
        raise UnknownTimeframe(timeframe, tuple(TIMEFRAMES)) from None


def open_ns(exchange_ns: int, timeframe: str) -> int:
    """Open time of the bar of *timeframe* that holds *exchange_ns*."""
    width = width_ns(timeframe)
    return exchange_ns - exchange_ns % width
