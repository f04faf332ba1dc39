"""Trades: what was bought and sold, with the identity that makes them countable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import attrs

from tapeline.model.points import DataType, MarketDataPoint, datetime_from_ns
from tapeline.model.subscriptions import Subscription

LIVE = "live"
BACKFILL = "backfill"
REPLAY = "replay"


@attrs.frozen
class Trade(MarketDataPoint):
    """One trade message: the fills ``first_id..last_id`` of one id kind.

    Args:
        stream: the subscription it belongs to.
        trade_id: the venue's text.
        first_id, last_id: range of ids that it covers, both inclusive.
        fills: number of fills in it.
        side: ``buy`` or ``sell``: the aggressor's (taker's).
        price: exact, in quote units.
        size: exact, in venue units (base, or contracts for derivatives).
        exchange_ns, received_ns: nanoseconds UTC.
        source: ``live``, ``backfill`` or ``replay``.
        raw: the venue's own object when it was kept.
    """

    stream: Subscription
    trade_id: str
    first_id: int
    last_id: int
    fills: int
    side: str
    price: Decimal
    size: Decimal
    exchange_ns: int
    received_ns: int
    source: str = LIVE
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
    def id_kind(self) -> str:
        """What its ids count: ``fill``, ``aggregate`` or ``block``."""
        return self.stream.id_kind

    @property
    def timestamp(self) -> datetime:
        return datetime_from_ns(self.exchange_ns)

    @property
    def data_type(self) -> DataType | str:
        return DataType.TRADE

    @property
    def data(self) -> Mapping[str, object]:
        return {
            "trade_id": self.trade_id,
            "first_id": self.first_id,
            "last_id": self.last_id,
            "id_kind": self.id_kind,
            "fills": self.fills,
            "side": self.side,
            "price": self.price,
            "size": self.size,
            "market": self.market,
            "exchange_ns": self.exchange_ns,
            "received_ns": self.received_ns,
            "source": self.source,
        }
