"""Bars while they are being made: mutable, exact, merged by trade id."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, getcontext, setcontext

import msgspec

from tapeline.model import FROM_TRADES, Candle, Subscription, Trade

EXACT = Context(prec=200, traps=[])
"""Wide enough that sums of market data never round, whatever the caller's own
decimal context is."""

BUY = "buy"

_FEW = 4
"""Below it, changing the decimal context costs more than it saves."""

_ZERO = Decimal(0)
_add = EXACT.add
_multiply_add = EXACT.fma


class Bar(msgspec.Struct, array_like=True, eq=False):
    """One interval of one timeframe; a struct, so that a checkpoint is one encode.

    Args:
        open_ns, end_ns: the interval, end exclusive.
        first_id, last_id: id range of its trades; None while it has none.
        sent_revision: revision of the candle given out last, -1 for none.
        sent_state: its state.
        lost: a hole that touches it was given up.
        closed: folded into the wider timeframes.
        changed: differs from the candle given out last.
    """

    open_ns: int
    end_ns: int
    open: Decimal = _ZERO
    high: Decimal = _ZERO
    low: Decimal = _ZERO
    close: Decimal = _ZERO
    volume: Decimal = _ZERO
    quote_volume: Decimal = _ZERO
    taker_buy_volume: Decimal = _ZERO
    trades_count: int = 0
    first_id: int | None = None
    last_id: int | None = None
    received_ns: int = 0
    sent_revision: int = -1
    sent_state: str = ""
    was_gap: bool = False
    lost: bool = False
    closed: bool = False
    changed: bool = False

    def add(self, trade: Trade) -> None:
        """Merge *trade*, which may have come out of order."""
        price, size = trade.price, trade.size
        if self.first_id is None or self.last_id is None:
            self.open = self.high = self.low = self.close = price
            self.first_id, self.last_id = trade.first_id, trade.last_id
            # Sums of nothing have no digits of their own.
            self.volume = size
            self.quote_volume = EXACT.multiply(price, size)
            self.taker_buy_volume = size if trade.side == BUY else _ZERO
        else:
            if price > self.high:
                self.high = price
            elif price < self.low:
                self.low = price
            if trade.first_id < self.first_id:
                self.first_id = trade.first_id
                self.open = price
            if trade.last_id > self.last_id:
                self.last_id = trade.last_id
                self.close = price
            self.volume = _add(self.volume, size)
            self.quote_volume = _multiply_add(price, size, self.quote_volume)
            if trade.side == BUY:
                self.taker_buy_volume = _add(self.taker_buy_volume, size)
        self.trades_count += trade.fills
        if trade.received_ns > self.received_ns:
            self.received_ns = trade.received_ns

    def add_in_order(self, trades: Sequence[Trade]) -> None:
        """Merge *trades* that follow the bar's last one in order of their ids.

        The bar must not be empty.
        """
        if len(trades) < _FEW:
            for trade in trades:
                self.add(trade)
            return
        # hot path
        # Trades of one price and side in a row are one product and one comparison.
        trades_count = self.trades_count
        high, low = self.high, self.low
        volume, bought = self.volume, self.taker_buy_volume
        quote_volume = self.quote_volume
        rest = iter(trades)
        trade = next(rest)
        price, side, size = trade.price, trade.side, trade.size
        trades_count += trade.fills
        callers = getcontext()
        setcontext(EXACT)
        try:
            for trade in rest:
                trades_count += trade.fills
                if trade.side == side and trade.price == price:
                    size += trade.size
                    continue
                volume += size
                quote_volume = _multiply_add(price, size, quote_volume)
                if side == BUY:
                    bought += size
                if price > high:
                    high = price
                elif price < low:
                    low = price
                price, side, size = trade.price, trade.side, trade.size
            self.volume = volume + size
            self.quote_volume = _multiply_add(price, size, quote_volume)
            self.taker_buy_volume = bought + size if side == BUY else bought
            self.high = max(high, price)
            self.low = min(low, price)
        finally:
            setcontext(callers)
        self.close = trade.price
        self.trades_count = trades_count
        self.last_id = trade.last_id
        if trade.received_ns > self.received_ns:
            self.received_ns = trade.received_ns

    def merge(self, bar: Bar) -> None:
        """Merge *bar*, whose interval lies inside this one."""
        if bar.lost:
            self.lost = True
        if bar.first_id is None or bar.last_id is None:
            return
        if self.first_id is None or self.last_id is None:
            self.open, self.close = bar.open, bar.close
            self.high, self.low = bar.high, bar.low
            self.first_id, self.last_id = bar.first_id, bar.last_id
            self.volume = bar.volume
            self.quote_volume = bar.quote_volume
            self.taker_buy_volume = bar.taker_buy_volume
        else:
            if bar.high > self.high:
                self.high = bar.high
            if bar.low < self.low:
                self.low = bar.low
            if bar.first_id < self.first_id:
                self.first_id = bar.first_id
                self.open = bar.open
            if bar.last_id > self.last_id:
                self.last_id = bar.last_id
                self.close = bar.close
            self.volume = _add(self.volume, bar.volume)
            self.quote_volume = _add(self.quote_volume, bar.quote_volume)
            self.taker_buy_volume = _add(self.taker_buy_volume, bar.taker_buy_volume)
        self.trades_count += bar.trades_count
        if bar.received_ns > self.received_ns:
            self.received_ns = bar.received_ns

    def flatten(self, price: Decimal, received_ns: int) -> None:
        """Make it a bar without trades at *price*."""
        self.open = self.high = self.low = self.close = price
        self.received_ns = received_ns

    def candle(
        self, stream: Subscription, timeframe: str, state: str, revision: int
    ) -> Candle:
        """The event that tells of it."""
        return Candle(
            stream,
            timeframe,
            self.open_ns,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.quote_volume,
            self.taker_buy_volume,
            self.trades_count,
            self.first_id,
            self.last_id,
            state,
            revision,
            FROM_TRADES,
            self.received_ns,
        )
