"""Bars of several venues into one: exact sums, and one price over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal

import attrs
import msgspec

from tapeline.candles.bars import EXACT
from tapeline.model import COMPLETE, GAP, PARTIAL, REPAIRED, Candle, Instrument

MISSING = "missing"
"""State of a part that has no bar, and of which nobody knows whether it traded."""

WHOLE = frozenset({COMPLETE, REPAIRED})
_RANK = {COMPLETE: 0, REPAIRED: 1, PARTIAL: 2, MISSING: 2, GAP: 3}
_STATES = (COMPLETE, REPAIRED, PARTIAL, GAP)
_RATIOS = Context(prec=28, traps=[])
_MORE_DIGITS = 4
_ZERO = Decimal(0)


@attrs.frozen
class Units:
    """What the sizes of one instrument count.

    Args:
        contract_size: base or quote units in one contract; None for base units.
        in_quote: contracts are amounts of the quote currency.
    """

    contract_size: Decimal | None = None
    in_quote: bool = False

    @classmethod
    def of(cls, instrument: Instrument) -> Units:
        """Those of *instrument*."""
        in_quote = instrument.contract_unit == instrument.quote
        return cls(instrument.contract_size, in_quote)

    def trade(self, price: Decimal, size: Decimal) -> tuple[Decimal, Decimal]:
        """``(base, quote)`` of a trade; base of quote contracts has 28 digits."""
        contract = self.contract_size
        if contract is None:
            return size, EXACT.multiply(price, size)
        amount = EXACT.multiply(size, contract)
        if self.in_quote:
            return _RATIOS.divide(amount, price), amount
        return amount, EXACT.multiply(price, amount)


class PartBar(msgspec.Struct, array_like=True):
    """One venue's bar, in that venue's units."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    taker_buy_volume: Decimal | None
    trades_count: int | None
    traded: bool
    state: str
    received_ns: int

    @classmethod
    def of(cls, candle: Candle) -> PartBar:
        """What counts of *candle*."""
        return cls(
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.quote_volume or _ZERO,
            candle.taker_buy_volume,
            candle.trades_count,
            bool(candle.volume),
            candle.state,
            candle.received_ns,
        )

    def converted(self, units: Units) -> tuple[Decimal, Decimal, Decimal | None]:
        """Volume in base units, in quote units, and bought volume in base units.

        Contracts of a quote amount become base units at the bar's mean price, to 28
        digits; all else is exact.
        """
        contract, taker = units.contract_size, self.taker_buy_volume
        if contract is None:
            return self.volume, self.quote_volume, taker
        amount = EXACT.multiply(self.volume, contract)
        bought = None if taker is None else EXACT.multiply(taker, contract)
        if not units.in_quote:
            return amount, EXACT.multiply(self.quote_volume, contract), bought
        if not self.volume:
            return _ZERO, _ZERO, None if taker is None else _ZERO
        price = _RATIOS.divide(self.quote_volume, self.volume)
        return (
            _RATIOS.divide(amount, price),
            amount,
            None if bought is None else _RATIOS.divide(bought, price),
        )


class Merged(msgspec.Struct, array_like=True):
    """The figures of a consolidated bar; equal ones are no news."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None
    taker_buy_volume: Decimal | None
    trades_count: int | None
    state: str

    @classmethod
    def of(cls, candle: Candle) -> Merged:
        """Those of a bar that was given out."""
        return cls(
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.quote_volume,
            candle.taker_buy_volume,
            candle.trades_count,
            candle.state,
        )


def worst(states: Iterable[str]) -> str:
    """The state of a bar whose parts have *states*."""
    return _STATES[max(_RANK.get(state, _RANK[GAP]) for state in states)]


def merge(
    parts: Sequence[tuple[PartBar, Units]], states: Sequence[str]
) -> tuple[Merged, list[Decimal]]:
    """The consolidated bar, and the base volume of each of *parts*.

    High and low are those of all venues. Open and close are the venues' means by
    volume, rounded half to even at four digits more than their prices have.

    Args:
        parts: one at least, in the order of the exchanges.
        states: of all parts, also of those without a bar.
    """
    figures = [bar.converted(units) for bar, units in parts]
    volumes = [base for base, _, _ in figures]
    traded = [
        (bar, base)
        for (bar, _), base in zip(parts, volumes, strict=True)
        if bar.traded and base
    ]
    # Flat bars only say that nothing was traded: the first venue's price stands.
    priced = traded or [(parts[0][0], _ZERO)]
    bars = [bar for bar, _ in priced]
    takers = [taker for _, _, taker in figures if taker is not None]
    counts = [bar.trades_count for bar, _ in parts if bar.trades_count is not None]
    merged = Merged(
        _mean([(bar.open, base) for bar, base in priced]),
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        _mean([(bar.close, base) for bar, base in priced]),
        _sum(volumes),
        _sum(quote for _, quote, _ in figures),
        _sum(takers) if len(takers) == len(parts) else None,
        sum(counts) if len(counts) == len(parts) else None,
        worst(states),
    )
    return merged, volumes


def _sum(values: Iterable[Decimal]) -> Decimal:
    total: Decimal | None = None
    for value in values:
        total = value if total is None else EXACT.add(total, value)
    return _ZERO if total is None else total


def _mean(prices: Sequence[tuple[Decimal, Decimal]]) -> Decimal:
    """The mean of prices by weight; a price that all share stays as it is."""
    first = prices[0][0]
    if all(price == first for price, _ in prices):
        return first
    value = _sum(EXACT.multiply(price, weight) for price, weight in prices)
    mean = EXACT.divide(value, _sum(weight for _, weight in prices))
    finest = min(int(price.as_tuple().exponent) for price, _ in prices)
    step = Decimal(1).scaleb(finest - _MORE_DIGITS)
    return mean.quantize(step, ROUND_HALF_EVEN, EXACT)
