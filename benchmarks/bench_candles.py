"""Candles of all eleven timeframes, as a ratio to one naive timeframe and to the parse.

The floor is one timeframe of 1 s made the plain way: a method that compares the trade's
time with the end of the bar and adds exact decimals, for every column of
``market_data``. The goal is that all eleven together, which also know what is missing
and give each closed bar out as an event, cost at most that. A naive bar with half of
the columns (no quote volume, no taker volume, no ids) stands beside it.

In recordings of busy pairs six to seven trades of ten have the price and the side of
the one before; one table has none of these.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

from harness import compare

from tapeline.candles import CandleAggregator
from tapeline.clock import Now
from tapeline.model import TIMEFRAMES, Candle, Subscription, Trade
from tapeline.plugins import bind_session
from tapeline_okx import OkxAdapter, OkxConfig

TRADES = 10_000
START_MS = 1_700_000_000_000
EXACT = Context(prec=200)


def trade_frames(
    step_ms: int, repeats: float, count: int = TRADES, seed: int = 1
) -> list[bytes]:
    """Trades as OKX sends them, *step_ms* apart, each following the one before.

    Args:
        repeats: share of trades with the price and side of the one before.
    """
    chance = random.Random(seed)
    frames: list[bytes] = []
    ticks, side = 422_199, "buy"
    last_id = 130_639_474
    for number in range(count):
        if chance.random() >= repeats:
            ticks += chance.choice((-2, -1, 1, 2))
            side = chance.choice(("buy", "sell"))
        fills = chance.choice((1, 1, 1, 2, 3))
        last_id += fills
        frames.append(
            (
                '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{'
                f'"instId":"BTC-USDT","tradeId":"{last_id}",'
                f'"px":"{ticks // 10}.{ticks % 10}","sz":"{chance.random():.8f}",'
                f'"side":"{side}",'
                f'"ts":"{START_MS + number * step_ms}","count":"{fills}"}}]}}'
            ).encode()
        )
    return frames


class NaiveBar:
    """One bar of the plain way."""

    __slots__ = (
        "bought",
        "close",
        "end_ns",
        "first_id",
        "high",
        "last_id",
        "low",
        "open",
        "open_ns",
        "quote",
        "trades",
        "volume",
    )

    def __init__(self, open_ns: int, end_ns: int, trade: Trade) -> None:
        self.open_ns, self.end_ns = open_ns, end_ns
        self.open = self.high = self.low = self.close = trade.price
        self.volume = trade.size
        self.quote = trade.price * trade.size
        self.bought = trade.size if trade.side == "buy" else Decimal(0)
        self.trades = trade.fills
        self.first_id, self.last_id = trade.first_id, trade.last_id


class NaiveTimeframe:
    """One timeframe, every column; what comes out of order is not even looked at."""

    def __init__(self, width_ns: int) -> None:
        self.width_ns = width_ns
        self.bar: NaiveBar | None = None
        self.closed: list[NaiveBar] = []

    def add(self, trade: Trade) -> None:
        """Count *trade*."""
        bar = self.bar
        at_ns = trade.exchange_ns
        if bar is None or at_ns >= bar.end_ns:
            if bar is not None:
                self.closed.append(bar)
            open_ns = at_ns - at_ns % self.width_ns
            self.bar = NaiveBar(open_ns, open_ns + self.width_ns, trade)
            return
        price, size = trade.price, trade.size
        if price > bar.high:
            bar.high = price
        elif price < bar.low:
            bar.low = price
        bar.close = price
        bar.volume += size
        bar.quote += price * size
        if trade.side == "buy":
            bar.bought += size
        bar.trades += trade.fills
        bar.last_id = trade.last_id


class NaiveHalf(NaiveTimeframe):
    """One timeframe with price, volume and count only."""

    def add(self, trade: Trade) -> None:
        """Count *trade*."""
        bar = self.bar
        at_ns = trade.exchange_ns
        if bar is None or at_ns >= bar.end_ns:
            super().add(trade)
            return
        price = trade.price
        if price > bar.high:
            bar.high = price
        elif price < bar.low:
            bar.low = price
        bar.close = price
        bar.volume += trade.size
        bar.trades += 1


def parsed(
    frames: Sequence[bytes], step_ms: int
) -> tuple[list[Trade], Callable[[], None]]:
    """The trades of *frames*, and a call that parses them once more."""
    adapter = OkxAdapter()
    config = OkxConfig()
    channel = adapter.channel(config, "trade", "")
    stream = Subscription(
        "okx", "spot", "BTC-USDT", "trade", channel.name, channel.id_kind
    )
    now = Now(0, 0, 0)

    def parser() -> Callable[[bytes, int], Sequence[Any]]:
        bound = bind_session(
            adapter.session(config, {}, adapter.route(config, None, stream))
        )
        bound.connect(now, None)
        bound.subscribe([stream], now)
        return bound.parse

    parse = parser()
    received_ns = START_MS * 10**6
    trades = [
        event
        for at, frame in enumerate(frames)
        for event in parse(frame, received_ns + at * step_ms * 10**6)
    ]

    def again() -> None:
        parse = parser()
        for frame in frames:
            parse(frame, 1)

    return trades, again


def measure(title: str, step_ms: int, repeats: float = 0.6) -> None:
    """Print one table, for trades that are *step_ms* apart."""
    frames = trade_frames(step_ms, repeats)
    trades, parse = parsed(frames, step_ms)
    clock_every = max(1, 250 // step_ms)

    def naive(made: Callable[[int], NaiveTimeframe]) -> Callable[[], None]:
        def run() -> None:
            with localcontext(EXACT):
                add = made(TIMEFRAMES["1s"]).add
                for trade in trades:
                    add(trade)

        return run

    def naive_eleven() -> None:
        with localcontext(EXACT):
            adds = [NaiveTimeframe(width).add for width in TIMEFRAMES.values()]
            for trade in trades:
                for add in adds:
                    add(trade)

    def ours(names: Sequence[str]) -> Callable[[], None]:
        def run() -> None:
            aggregator = CandleAggregator(trades[0].stream, names)
            add = aggregator.add
            out: list[Candle] = []
            for at, trade in enumerate(trades):
                add(trade, out)
                if at % clock_every == 0:
                    # As the engine does, four times a second.
                    aggregator.advance(trade.exchange_ns, out)
            aggregator.flush(out)

        return run

    compare(
        title,
        {
            "one naive timeframe, all columns (floor)": naive(NaiveTimeframe),
            "one naive timeframe, half of the columns": naive(NaiveHalf),
            "eleven naive timeframes": naive_eleven,
            "all eleven of ours": ours(list(TIMEFRAMES)),
            "session.parse of the same frames": parse,
        },
        len(trades),
    )


def main() -> None:
    """Print the tables."""
    measure("Candles, 1,000 trades a second", 1)
    measure("Candles, 50 trades a second", 20)
    measure("Candles, 5 trades a second", 200)
    measure("Candles, 1,000 trades a second, no price twice in a row", 1, 0.0)


if __name__ == "__main__":
    main()
