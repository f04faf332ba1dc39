"""Kline intervals of the simulator, in UTC or shifted by whole hours.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#klinecandlestick-streams-for-utc
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
# The epoch was a Thursday; weeks open on Monday.
_MONDAY_NS = 4 * DAY_NS

WIDTHS: Mapping[str, int] = MappingProxyType(
    {
        "1s": SECOND_NS,
        "1m": 60 * SECOND_NS,
        "3m": 180 * SECOND_NS,
        "5m": 300 * SECOND_NS,
        "15m": 900 * SECOND_NS,
        "30m": 1_800 * SECOND_NS,
        "1h": 3_600 * SECOND_NS,
        "2h": 7_200 * SECOND_NS,
        "4h": 14_400 * SECOND_NS,
        "6h": 21_600 * SECOND_NS,
        "8h": 28_800 * SECOND_NS,
        "12h": 43_200 * SECOND_NS,
        "1d": DAY_NS,
        "3d": 3 * DAY_NS,
        "1w": 7 * DAY_NS,
        "1M": 0,
    }
)
"""Interval → width in nanoseconds; 0 for calendar months."""


def bar_span(at_ns: int, interval: str, shift_ns: int = 0) -> tuple[int, int]:
    """Open time and end (exclusive) of the bar that holds *at_ns*.

    Args:
        shift_ns: how far ahead of UTC the day begins.
    """
    width = WIDTHS[interval]
    if not width:
        local = datetime.fromtimestamp((at_ns + shift_ns) // SECOND_NS, tz=UTC).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        later = local.replace(
            year=local.year + local.month // 12, month=local.month % 12 + 1
        )
        return (
            int(local.timestamp()) * SECOND_NS - shift_ns,
            int(later.timestamp()) * SECOND_NS - shift_ns,
        )
    offset = (_MONDAY_NS if interval == "1w" else 0) - shift_ns
    open_ns = at_ns - (at_ns - offset) % width
    return open_ns, open_ns + width
