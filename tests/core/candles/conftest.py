"""Trades for tests of candles, and a naive reference that shares no code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext
from typing import Any

import pytest

from tapeline.model import TIMEFRAMES, Candle, Subscription, Trade

SECOND = 10**9

Bars = dict[tuple[str, int], tuple[Any, ...]]


@pytest.fixture(scope="session")
def stream() -> Subscription:
    return Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")


@pytest.fixture(scope="session")
def trade(stream: Subscription) -> Callable[..., Trade]:
    """``trade(first, at_s, price, size, side, last)``."""

    def make(
        first: int,
        at_s: float,
        price: str = "10",
        size: str = "1",
        side: str = "buy",
        last: int | None = None,
    ) -> Trade:
        last = first if last is None else last
        at_ns = round(at_s * SECOND)
        return Trade(
            stream,
            str(last),
            first,
            last,
            last - first + 1,
            side,
            Decimal(price),
            Decimal(size),
            at_ns,
            at_ns,
        )

    return make


@pytest.fixture(scope="session")
def naive() -> Callable[[Iterable[Trade]], Bars]:
    """Bars of all timeframes by sorting and grouping: ``(name, open_ns)`` → values."""

    def reference(trades: Iterable[Trade]) -> Bars:
        groups: dict[tuple[str, int], list[Trade]] = {}
        for one in sorted(trades, key=lambda each: each.first_id):
            for name, width in TIMEFRAMES.items():
                key = (name, one.exchange_ns // width * width)
                groups.setdefault(key, []).append(one)
        with localcontext() as context:
            context.prec = 500
            return {
                key: (
                    group[0].price,
                    max(one.price for one in group),
                    min(one.price for one in group),
                    group[-1].price,
                    sum((one.size for one in group), Decimal(0)),
                    sum((one.size * one.price for one in group), Decimal(0)),
                    sum((one.size for one in group if one.side == "buy"), Decimal(0)),
                    sum(one.fills for one in group),
                    group[0].first_id,
                    group[-1].last_id,
                )
                for key, group in groups.items()
            }

    return reference


@pytest.fixture(scope="session")
def latest() -> Callable[[Iterable[Candle]], dict[tuple[str, int], Candle]]:
    """What a table would hold: the newest revision of each bar, which rise by one."""

    def table(candles: Iterable[Candle]) -> dict[tuple[str, int], Candle]:
        rows: dict[tuple[str, int], Candle] = {}
        for candle in candles:
            key = (candle.timeframe, candle.open_ns)
            before = rows.get(key)
            assert candle.revision == (0 if before is None else before.revision + 1)
            rows[key] = candle
        return rows

    return table


@pytest.fixture(scope="session")
def values() -> Callable[[Candle], tuple[Any, ...]]:
    """What the reference says of a bar, taken from a candle."""

    def of(candle: Candle) -> tuple[Any, ...]:
        return (
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.quote_volume,
            candle.taker_buy_volume,
            candle.trades_count,
            candle.first_id,
            candle.last_id,
        )

    return of
