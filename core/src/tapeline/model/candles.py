"""Candles, and the checked form that users' own collectors build."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import attrs

from tapeline.model.points import (
    DataType,
    MarketDataPoint,
    datetime_from_ns,
)
from tapeline.model.subscriptions import Subscription

COMPLETE = "complete"
GAP = "gap"
REPAIRED = "repaired"
PARTIAL = "partial"

FROM_TRADES = "trades"
FROM_VENUE = "venue"
CONSOLIDATED = "consolidated"


class OHLCVData(MarketDataPoint):
    """One bar: what CANDLE callbacks receive.

    Args:
        symbol: canonical symbol.
        timeframe: one of the eleven, e.g. ``1m``.
        timestamp: open time, UTC and aware.
        open, high, low, close: exact prices.
        volume: exact, in venue units.
        trades_count: number of fills, None when unknown.
    """

    __slots__ = (
        "_close",
        "_high",
        "_low",
        "_open",
        "_timeframe",
        "_trades_count",
        "_volume",
    )

    def __init__(
        self,
        symbol: str,
        timeframe: str,
        timestamp: datetime,
        open: Decimal,
        high: Decimal,
        low: Decimal,
        close: Decimal,
        volume: Decimal,
        trades_count: int | None = None,
    ) -> None:
        super().__init__("", symbol, timestamp, DataType.CANDLE, {})
        self._timeframe = timeframe
        self._open = open
        self._high = high
        self._low = low
        self._close = close
        self._volume = volume
        self._trades_count = trades_count

    @property
    def timeframe(self) -> str:
        """One of the eleven timeframes."""
        return self._timeframe

    @property
    def open(self) -> Decimal:
        """First price."""
        return self._open

    @property
    def high(self) -> Decimal:
        """Highest price."""
        return self._high

    @property
    def low(self) -> Decimal:
        """Lowest price."""
        return self._low

    @property
    def close(self) -> Decimal:
        """Last price."""
        return self._close

    @property
    def volume(self) -> Decimal:
        """Sum of sizes, venue units."""
        return self._volume

    @property
    def trades_count(self) -> int | None:
        """Number of fills, None when unknown."""
        return self._trades_count

    @property
    def data_type(self) -> DataType | str:
        return DataType.CANDLE

    @property
    def data(self) -> Mapping[str, object]:
        return {
            "timeframe": self.timeframe,
            "open": self.open,
            "high": self.high,
            "low": self.low,
            "close": self.close,
            "volume": self.volume,
            "trades_count": self.trades_count,
        }


@attrs.frozen
class Candle(OHLCVData):
    """One bar with its provenance.

    Args:
        stream: the subscription of the trades (or of the venue's candles).
        open_ns: open time, nanoseconds UTC.
        volume: sum of sizes, venue units.
        quote_volume: sum of price times size, None when the venue gives none.
        taker_buy_volume: volume whose aggressor bought, None when unknown.
        first_id, last_id: id range of its trades, None for an empty bar.
        state: ``complete``, ``gap``, ``repaired`` or ``partial``.
        revision: rises with every change of a bar that was already given out.
        source: ``trades``, ``venue`` or ``consolidated``.
        received_ns: when the last thing that made it was received.
    """

    stream: Subscription
    timeframe: str
    open_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None
    taker_buy_volume: Decimal | None
    trades_count: int | None
    first_id: int | None
    last_id: int | None
    state: str
    revision: int
    source: str
    received_ns: int
    raw: object = None

    @property
    def exchange(self) -> str:
        return self.stream.exchange

    @property
    def market(self) -> str:
        """``spot``, ``swap``, ``future`` or ``option``."""
        return self.stream.market

    @property
    def symbol(self) -> str:
        return self.stream.symbol

    @property
    def exchange_ns(self) -> int:
        """Open time, nanoseconds UTC."""
        return self.open_ns

    @property
    def timestamp(self) -> datetime:
        return datetime_from_ns(self.open_ns)

    @property
    def data(self) -> Mapping[str, object]:
        return {
            "market": self.market,
            "timeframe": self.timeframe,
            "open": self.open,
            "high": self.high,
            "low": self.low,
            "close": self.close,
            "volume": self.volume,
            "quote_volume": self.quote_volume,
            "taker_buy_volume": self.taker_buy_volume,
            "trades_count": self.trades_count,
            "first_id": self.first_id,
            "last_id": self.last_id,
            "state": self.state,
            "revision": self.revision,
            "source": self.source,
        }
