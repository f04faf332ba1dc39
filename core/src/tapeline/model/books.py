"""Order book events; levels stay the strings that the venue sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import attrs

from tapeline.model.points import DataType, MarketDataPoint, datetime_from_ns
from tapeline.model.subscriptions import Subscription

RawLevel = Sequence[str]
"""``(price, size, …)`` as the venue wrote them; further items are its own."""

RawLevels = Sequence[RawLevel]


def decimal_levels(levels: RawLevels) -> list[tuple[Decimal, Decimal]]:
    """``(price, size)`` of *levels*, exact."""
    return [(Decimal(level[0]), Decimal(level[1])) for level in levels]


@attrs.frozen
class BookSnapshot(MarketDataPoint):
    """A whole book, or its top, at one moment; it replaces what was known.

    Args:
        bids: best (highest) first.
        asks: best (lowest) first.
        last_id: the venue's sequence, None when it gives none.
        checksum: the venue's, None when absent or retired.
    """

    stream: Subscription
    bids: RawLevels
    asks: RawLevels
    last_id: int | None
    exchange_ns: int
    received_ns: int
    checksum: int | None = None
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
        return DataType.ORDERBOOK

    @property
    def data(self) -> Mapping[str, object]:
        return {
            "market": self.market,
            "bids": decimal_levels(self.bids),
            "asks": decimal_levels(self.asks),
            "last_id": self.last_id,
            "exchange_ns": self.exchange_ns,
            "received_ns": self.received_ns,
        }


@attrs.frozen
class BookDelta(MarketDataPoint):
    """A change of a book: levels with size zero are gone.

    Live consumers get one only if it follows what they got before of the same
    stream: a snapshot, or the change it is linked to. After a break they get
    nothing until the next snapshot.

    Args:
        checksum: the venue's, None when absent or retired.
        link_id: the sequence this change follows: a venue's "previous sequence", or
            the first id of the change minus 1.
        last_id: the sequence after it.
    """

    stream: Subscription
    bids: RawLevels
    asks: RawLevels
    link_id: int | None
    last_id: int | None
    exchange_ns: int
    received_ns: int
    checksum: int | None = None
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
        return DataType.ORDERBOOK

    @property
    def data(self) -> Mapping[str, object]:
        return {
            "market": self.market,
            "bids": decimal_levels(self.bids),
            "asks": decimal_levels(self.asks),
            "link_id": self.link_id,
            "last_id": self.last_id,
            "exchange_ns": self.exchange_ns,
            "received_ns": self.received_ns,
        }
