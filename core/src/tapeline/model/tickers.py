"""Tickers: the latest of a market; the newest one wins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import attrs

from tapeline.model.points import DataType, MarketDataPoint, datetime_from_ns
from tapeline.model.subscriptions import Subscription


@attrs.frozen
class Ticker(MarketDataPoint):
    """Best prices and 24 hour figures; None where the venue left it empty.

    Sizes and volumes are in venue units; ``quote_volume_24h`` is what the venue
    gives as the other volume (quote for spot, base for derivatives).

    Args:
        last, last_size: price and size of the newest trade.
        bid, bid_size: best price to sell at, and the size there.
        ask, ask_size: best price to buy at, and the size there.
        open_24h, high_24h, low_24h: prices of the last 24 hours.
        volume_24h, quote_volume_24h: traded in the last 24 hours.
    """

    stream: Subscription
    last: Decimal | None
    last_size: Decimal | None
    bid: Decimal | None
    bid_size: Decimal | None
    ask: Decimal | None
    ask_size: Decimal | None
    open_24h: Decimal | None
    high_24h: Decimal | None
    low_24h: Decimal | None
    volume_24h: Decimal | None
    quote_volume_24h: Decimal | None
    exchange_ns: int
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
    def timestamp(self) -> datetime:
        return datetime_from_ns(self.exchange_ns)

    @property
    def data_type(self) -> DataType | str:
        return DataType.TICKER

    @property
    def data(self) -> Mapping[str, object]:
        return {
            "market": self.market,
            "last": self.last,
            "last_size": self.last_size,
            "bid": self.bid,
            "bid_size": self.bid_size,
            "ask": self.ask,
            "ask_size": self.ask_size,
            "open_24h": self.open_24h,
            "high_24h": self.high_24h,
            "low_24h": self.low_24h,
            "volume_24h": self.volume_24h,
            "quote_volume_24h": self.quote_volume_24h,
            "exchange_ns": self.exchange_ns,
            "received_ns": self.received_ns,
        }
