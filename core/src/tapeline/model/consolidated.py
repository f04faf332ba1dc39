"""What several exchanges make together: trades and candles of one symbol."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal

import attrs

from tapeline.model.candles import Candle
from tapeline.model.trades import Trade

CONSOLIDATED_EXCHANGE = "consolidated"
"""What consolidated rows and events have as their exchange."""

_RATIOS = Context(prec=28, traps=[])
_SHARE_STEP = Decimal("0.000001")


@attrs.frozen
class ConsolidatedTrade(Trade):
    """A trade of one venue in the consolidated stream; ``size`` is in base units.

    It is given to live consumers only: table ``trades`` holds the venue's own.

    Args:
        venue: exchange that it happened on.
        quote_size: price times size, in the quote currency.
        original: the venue's trade, in the venue's units.
    """

    venue: str = ""
    quote_size: Decimal = Decimal(0)
    original: Trade | None = None

    @property
    def data(self) -> Mapping[str, object]:
        return {
            **super().data,
            "venue": self.venue,
            "quote_size": self.quote_size,
        }


@attrs.frozen
class ConsolidatedCandle(Candle):
    """One bar over several venues, as live consumers get it; sinks store the bar.

    ``volume`` and ``taker_buy_volume`` are in base units.

    Args:
        volumes: venue → its part of ``volume``.
        states: venue → state of its bar; ``missing`` without any.
    """

    volumes: Mapping[str, Decimal] = attrs.field(factory=dict)
    states: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def vwap(self) -> Decimal | None:
        """Volume-weighted price, of 28 digits; None without volume."""
        if not self.volume or self.quote_volume is None:
            return None
        return _RATIOS.divide(self.quote_volume, self.volume)

    @property
    def shares(self) -> Mapping[str, Decimal]:
        """Venue → its share of the volume, of six decimals; 0 without volume."""
        total = self.volume
        return {
            venue: _RATIOS.divide(volume, total).quantize(_SHARE_STEP)
            if total
            else Decimal(0)
            for venue, volume in self.volumes.items()
        }

    @property
    def data(self) -> Mapping[str, object]:
        return {
            **super().data,
            "vwap": self.vwap,
            "shares": self.shares,
            "states": self.states,
        }

    def plain(self) -> Candle:
        """The bar alone, as it is stored."""
        return Candle(
            self.stream,
            self.timeframe,
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
            self.state,
            self.revision,
            self.source,
            self.received_ns,
        )
