"""Candles of a simulated instrument, folded from its fills."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter

import attrs

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS

_open_ns = attrgetter("open_ns")


@attrs.define
class SimBar:
    """One bar in whole ticks and lots; ``notional`` is the sum of ticks times lots."""

    open_ns: int
    open: int
    high: int
    low: int
    close: int
    lots: int = 0
    notional: int = 0
    buy_lots: int = 0
    buy_notional: int = 0
    fills: int = 0
    first_id: int = -1
    last_id: int = -1


class BarSeries:
    """Second and minute bars of bounded number; wider ones are folded on demand."""

    def __init__(
        self, start_tick: int, max_seconds: int = 7_200, max_minutes: int = 20_000
    ) -> None:
        self._seconds: list[SimBar] = []
        self._minutes: list[SimBar] = []
        self._max_seconds = max_seconds
        self._max_minutes = max_minutes
        self._start_tick = start_tick

    def add(
        self,
        at_ns: int,
        tick: int,
        lots: int,
        buy: bool,
        fills: int,
        first_id: int,
        last_id: int,
    ) -> None:
        """Count one execution; times never go back."""
        for bars, width, limit in (
            (self._seconds, SECOND_NS, self._max_seconds),
            (self._minutes, MINUTE_NS, self._max_minutes),
        ):
            open_ns = at_ns - at_ns % width
            if not bars or bars[-1].open_ns != open_ns:
                if len(bars) >= 2 * limit:
                    del bars[:limit]
                bars.append(SimBar(open_ns, tick, tick, tick, tick, first_id=first_id))
            bar = bars[-1]
            if tick > bar.high:
                bar.high = tick
            elif tick < bar.low:
                bar.low = tick
            bar.close = tick
            bar.lots += lots
            bar.notional += lots * tick
            if buy:
                bar.buy_lots += lots
                bar.buy_notional += lots * tick
            bar.fills += fills
            bar.last_id = last_id

    def bar(self, open_ns: int, width_ns: int) -> SimBar:
        """The bar of ``[open_ns, open_ns + width_ns)``; flat when nothing traded."""
        bars = self._seconds if width_ns < MINUTE_NS else self._minutes
        first = bisect_left(bars, open_ns, key=_open_ns)
        last = bisect_left(bars, open_ns + width_ns, lo=first, key=_open_ns)
        if first == last:
            close = bars[first - 1].close if first else self._start_tick
            return SimBar(open_ns, close, close, close, close)
        if last - first == 1 and bars[first].open_ns == open_ns:
            return bars[first]
        parts = bars[first:last]
        return SimBar(
            open_ns,
            parts[0].open,
            max(part.high for part in parts),
            min(part.low for part in parts),
            parts[-1].close,
            sum(part.lots for part in parts),
            sum(part.notional for part in parts),
            sum(part.buy_lots for part in parts),
            sum(part.buy_notional for part in parts),
            sum(part.fills for part in parts),
            parts[0].first_id,
            parts[-1].last_id,
        )

    def open_since(self, at_ns: int) -> int:
        """Tick of the first fill of the minute of *at_ns* or later; else the last."""
        minutes = self._minutes
        first = bisect_left(minutes, at_ns, key=_open_ns)
        if first < len(minutes):
            return minutes[first].open
        return minutes[-1].close if minutes else self._start_tick

    def oldest_ns(self, width_ns: int) -> int | None:
        """Open time of the oldest kept bar that can be folded to *width_ns*."""
        bars = self._seconds if width_ns < MINUTE_NS else self._minutes
        return bars[0].open_ns if bars else None


class DayStats:
    """Rolling 24 hour figures, kept per minute."""

    def __init__(self, start_tick: int) -> None:
        self._minutes: list[SimBar] = []
        self._start_tick = start_tick
        self.lots = 0
        self.notional = 0
        self.fills = 0
        self._high: int | None = None
        self._low: int | None = None

    def add(
        self, at_ns: int, tick: int, lots: int, fills: int, first_id: int = -1
    ) -> None:
        """Count one execution; times never go back."""
        minutes = self._minutes
        open_ns = at_ns - at_ns % MINUTE_NS
        if not minutes or minutes[-1].open_ns != open_ns:
            minutes.append(SimBar(open_ns, tick, tick, tick, tick, first_id=first_id))
            self._expire(open_ns - DAY_NS)
        bar = minutes[-1]
        bar.close = tick
        bar.high = max(bar.high, tick)
        bar.low = min(bar.low, tick)
        bar.lots += lots
        bar.notional += lots * tick
        bar.fills += fills
        self.lots += lots
        self.notional += lots * tick
        self.fills += fills
        if self._high is None or tick > self._high:
            self._high = tick
        if self._low is None or tick < self._low:
            self._low = tick

    def _expire(self, before_ns: int) -> None:
        count = bisect_right(self._minutes, before_ns, key=_open_ns)
        if not count:
            return
        for bar in self._minutes[:count]:
            self.lots -= bar.lots
            self.notional -= bar.notional
            self.fills -= bar.fills
        del self._minutes[:count]
        self._high = max(bar.high for bar in self._minutes)
        self._low = min(bar.low for bar in self._minutes)

    @property
    def first_id(self) -> int:
        """Id of the first fill within the day; -1 when there is none."""
        return self._minutes[0].first_id if self._minutes else -1

    @property
    def open(self) -> int:
        """Tick of the first fill within the day."""
        return self._minutes[0].open if self._minutes else self._start_tick

    @property
    def high(self) -> int:
        """Highest tick of the day."""
        return self._start_tick if self._high is None else self._high

    @property
    def low(self) -> int:
        """Lowest tick of the day."""
        return self._start_tick if self._low is None else self._low
