"""What a replay read and stored, as figures."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs

from tapeline.model import Subscription, Trade


@attrs.define
class TradeTotals:
    """Sums over the stored trades of one stream."""

    trades: int = 0
    fills: int = 0
    first_id: int | None = None
    last_id: int | None = None
    size: Decimal = Decimal(0)
    quote: Decimal = Decimal(0)
    buys: int = 0

    def add(self, trade: Trade) -> None:
        """Count *trade*."""
        self.trades += 1
        self.fills += trade.fills
        self.size += trade.size
        self.quote += trade.price * trade.size
        self.buys += trade.side == "buy"
        if self.first_id is None or trade.first_id < self.first_id:
            self.first_id = trade.first_id
        if self.last_id is None or trade.last_id > self.last_id:
            self.last_id = trade.last_id

    def as_dict(self) -> dict[str, object]:
        """JSON-ready; sums as exact text."""
        return {
            "trades": self.trades,
            "fills": self.fills,
            "first_id": self.first_id,
            "last_id": self.last_id,
            "sum_size": format(self.size, "f"),
            "sum_price_x_size": format(self.quote, "f"),
            "taker_buys": self.buys,
            "taker_sells": self.trades - self.buys,
        }


@attrs.define
class ReplayReport:
    """What a replay read and stored.

    Args:
        frames: direction → lines.
        events: data type → events that were accepted.
        malformed: reason → frames or items that could not be used.
        held: ``(market, symbol)`` of all streams that the frames tell of, wanted or
            not.
    """

    frames: dict[str, int] = attrs.field(factory=dict)
    events: dict[str, int] = attrs.field(factory=dict)
    malformed: dict[str, int] = attrs.field(factory=dict)
    held: set[tuple[str, str]] = attrs.field(factory=set)
    trades: dict[Subscription, TradeTotals] = attrs.field(factory=dict)
    streams: dict[str, Any] = attrs.field(factory=dict)
    books: dict[str, Any] = attrs.field(factory=dict)
    stored: int = 0
    unanswered_fetches: int = 0

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "frames": dict(sorted(self.frames.items())),
            "events": dict(sorted(self.events.items())),
            "malformed": dict(sorted(self.malformed.items())),
            "records_stored": self.stored,
            "duplicates": sum(s.get("duplicates", 0) for s in self.streams.values()),
            "trades": {str(s): t.as_dict() for s, t in self.trades.items()},
            "books": self.books,
            "streams": self.streams,
            "unanswered_fetches": self.unanswered_fetches,
        }
