"""What a simulated market trades."""

from __future__ import annotations

from decimal import Decimal

import attrs


@attrs.frozen
class SimInstrument:
    """One instrument of a simulated market, spelled without any venue's habits.

    Args:
        tick_size, lot_size, min_size: steps in price and size.
        settle: currency that a derivative is settled in; empty for spot.
        contract_unit: currency that *contract_size* counts.
        symbol: canonical, e.g. ``BTC-USDT``; with *market* it names the instrument.
        contract_size: amount of *contract_unit* in one contract; None when sizes
            are in the base currency already.
        start_price: of the first order, in quote units.
        rate_hz: mean fills per second; None takes the market's rate.
    """

    market: str
    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_size: Decimal
    start_price: Decimal
    settle: str = ""
    contract_size: Decimal | None = None
    contract_unit: str = ""
    rate_hz: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        """``(market, symbol)``."""
        return (self.market, self.symbol)


def spot(symbol: str, tick: str, lot: str, price: str) -> SimInstrument:
    """A spot instrument whose smallest order is 1000 lots of *lot*."""
    base, _, quote = symbol.partition("-")
    return SimInstrument(
        market="spot",
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        min_size=Decimal(lot) * 1000,
        start_price=Decimal(price),
    )


def linear_swap(
    symbol: str, tick: str, lot: str, price: str, contract: str
) -> SimInstrument:
    """A perpetual settled in its quote currency, sizes in contracts."""
    base, _, quote = symbol.partition("-")
    return SimInstrument(
        market="swap",
        symbol=symbol,
        base=base,
        quote=quote,
        settle=quote,
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        min_size=Decimal(lot),
        start_price=Decimal(price),
        contract_size=Decimal(contract),
        contract_unit=base,
    )


DEFAULT_INSTRUMENTS = (
    spot("BTC-USDT", "0.1", "0.00000001", "64000"),
    spot("ETH-USDT", "0.01", "0.000001", "3100"),
    spot("SOL-USDT", "0.01", "0.000001", "150"),
    linear_swap("BTC-USDT", "0.1", "0.01", "64010", "0.01"),
    linear_swap("ETH-USDT", "0.01", "0.01", "3101", "0.1"),
)
"""Three spot pairs and two perpetuals."""
