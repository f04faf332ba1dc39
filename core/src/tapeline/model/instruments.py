"""What can be traded: symbols, steps and contract sizes."""

from __future__ import annotations

import enum
from decimal import Decimal

import attrs


class Market(str, enum.Enum):
    """The kind of market; with the symbol it names an instrument."""

    SPOT = "spot"
    """Currency against currency."""
    SWAP = "swap"
    """Perpetual contracts."""
    FUTURE = "future"
    """Dated contracts."""
    OPTION = "option"
    """Options."""

    def __str__(self) -> str:
        return self.value


@attrs.frozen
class Instrument:
    """One instrument of one venue.

    Args:
        settle: currency that a derivative is settled in; empty for spot.
        symbol: canonical, e.g. ``BTC-USDT``, ``BTC-USD-260327``.
        venue_symbol: as the venue spells it; never leaves the adapter otherwise.
        tick_size, lot_size, min_size: steps in price and size; None if unknown.
        contract_size: amount of *contract_unit* in one contract; None when sizes
            are in the base currency already.
        contract_unit: currency that *contract_size* counts.
        inverse: True when the contract settles in the base currency.
        state: ``live`` while it trades, whatever the venue calls that; any other
            word means that it does not, and its streams are not missed.
        expires_ns: nanoseconds UTC, None for spot and perpetual.
    """

    exchange: str
    market: str
    symbol: str
    venue_symbol: str
    base: str
    quote: str
    settle: str = ""
    tick_size: Decimal | None = None
    lot_size: Decimal | None = None
    min_size: Decimal | None = None
    contract_size: Decimal | None = None
    contract_unit: str = ""
    inverse: bool = False
    state: str = "live"
    expires_ns: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """``(market, symbol)``: the key of the mapping that sessions receive."""
        return (self.market, self.symbol)

    def base_size(self, size: Decimal, price: Decimal) -> Decimal:
        """*size* in venue units, as an amount of the base currency.

        A linear contract counts base units; an inverse one counts quote units,
        so the price of the trade is needed to convert it.
        """
        if self.contract_size is None:
            return size
        amount = size * self.contract_size
        return amount / price if self.contract_unit == self.quote else amount
