"""What the simulator says: Binance's objects, prices as texts and times as numbers.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tapeline.errors import UsageError
from tapeline.testing.bars import DAY_NS, SimBar
from tapeline.testing.book import ASK, BID
from tapeline.testing.market import Execution, Feed, Fill
from tapeline.testing.numbers import scaled_text
from tapeline_binance.simulator_routing import FUTURES, SPOT

_SPOT_DECIMALS = 8
_encoder = msgspec.json.Encoder()

Levels = Iterable[tuple[int, int]]
"""Ticks and lots."""


def json_text(value: object) -> str:
    """*value* as compact JSON."""
    return _encoder.encode(value).decode()


def padded(text: str, decimals: int) -> str:
    """A decimal text with at least *decimals* places."""
    whole, _, fraction = text.partition(".")
    if len(fraction) >= decimals:
        return text
    return f"{whole}.{fraction.ljust(decimals, '0')}"


class BinanceInstrument:
    """One instrument in the venue's spelling, and its texts.

    Args:
        first_update_id: where the ids of its book begin.

    Raises:
        UsageError: neither spot nor settled in its quote currency.
    """

    def __init__(self, feed: Feed, first_update_id: int) -> None:
        known = feed.instrument
        if known.market not in ("spot", "swap", "future") or (
            known.settle not in ("", known.quote)
        ):
            raise UsageError(
                "expected spot instruments and linear swaps or futures, found "
                f"{known.symbol} ({known.market}) settled in {known.settle}; remove it"
            )
        self.feed = feed
        self.base, self.quote = known.base, known.quote
        self.family = SPOT if known.market == "spot" else FUTURES
        self.spot = known.market == "spot"
        self.pair = known.base + known.quote
        expiry = known.symbol.split("-")[2:]
        self.symbol = "_".join([self.pair, *expiry])
        self.expiry = expiry[0] if expiry else ""
        self.status = "TRADING"
        self.listed = True
        self.update_id = first_update_id
        self.first_step_id = first_update_id
        self.changed_ns = feed.last_ns
        self.price_decimals = feed.price_decimals
        self.size_decimals = feed.size_decimals
        if self.spot:
            self.price_decimals = max(_SPOT_DECIMALS, feed.price_decimals)
            self.size_decimals = max(_SPOT_DECIMALS, feed.size_decimals)

    # Numbers.

    def price(self, ticks: int) -> str:
        """*ticks* as a price, trailing zeros kept."""
        return padded(self.feed.price_text(ticks), self.price_decimals)

    def size(self, lots: int) -> str:
        """*lots* as a quantity, trailing zeros kept."""
        return padded(self.feed.size_text(lots), self.size_decimals)

    def value(self, notional: int) -> str:
        """A sum of ticks times lots, in the quote currency."""
        feed = self.feed
        text = scaled_text(
            notional * feed.tick_units * feed.lot_units,
            feed.price_decimals + feed.size_decimals,
        )
        return padded(text, self.price_decimals)

    def average(self, notional: int, lots: int) -> str:
        """The average price of *lots*; zero when there are none."""
        scale = 10**8
        ticks = notional * self.feed.tick_units * scale // lots if lots else 0
        decimals = self.price_decimals
        scaled = ticks * 10**decimals // (scale * 10**self.feed.price_decimals)
        return padded(scaled_text(scaled, decimals), decimals)

    def levels(self, levels: Levels) -> list[list[str]]:
        """Price levels as the venue lists them."""
        price, size = self.price, self.size
        return [[price(tick), size(lots)] for tick, lots in levels]

    def top(self, side: str, count: int) -> list[list[str]]:
        """The best *count* levels of *side* now, best first."""
        found = self.feed.book.top(side, count)
        return self.levels((tick, lots) for tick, lots, _ in found)

    # Pushes.

    def trade(self, fill: Fill, now_ns: int, unit_ns: int) -> str:
        """``trade``: one fill."""
        sold = "true" if fill.side == "sell" else "false"
        return (
            f'{{"e":"trade","E":{now_ns // unit_ns},"s":"{self.symbol}","t":{fill.id},'
            f'"p":"{padded(fill.price, self.price_decimals)}",'
            f'"q":"{padded(fill.size, self.size_decimals)}",'
            f'"T":{fill.exchange_ns // unit_ns},"m":{sold},"M":true}}'
        )

    def aggregate(self, execution: Execution, now_ns: int, unit_ns: int) -> str:
        """``aggTrade``: the fills of one taker order at one price."""
        sold = "true" if execution.side == "sell" else "false"
        size = padded(execution.size, self.size_decimals)
        extra = '"M":true' if self.spot else f'"nq":"{size}","st":1'
        return (
            f'{{"e":"aggTrade","E":{now_ns // unit_ns},"s":"{self.symbol}",'
            f'"a":{execution.aggregate_id},'
            f'"p":"{padded(execution.price, self.price_decimals)}","q":"{size}",'
            f'"f":{execution.first_id},"l":{execution.last_id},'
            f'"T":{execution.exchange_ns // unit_ns},"m":{sold},{extra}}}'
        )

    def best(self) -> tuple[int, int, int, int]:
        """Tick and lots of the best bid, then of the best ask."""
        bid, bid_lots, _ = next(self.feed.book.top(BID, 1))
        ask, ask_lots, _ = next(self.feed.book.top(ASK, 1))
        return bid, bid_lots, ask, ask_lots

    def book_ticker(self, now_ns: int, unit_ns: int) -> str:
        """``bookTicker``; on spot it carries neither type nor time."""
        bid, bid_lots, ask, ask_lots = self.best()
        body: dict[str, object] = {} if self.spot else {"e": "bookTicker"}
        body |= {"u": self.update_id, "s": self.symbol}
        if not self.spot:
            body["ps"] = self.pair
        body |= {
            "b": self.price(bid),
            "B": self.size(bid_lots),
            "a": self.price(ask),
            "A": self.size(ask_lots),
        }
        if not self.spot:
            times = {"T": self.changed_ns // unit_ns, "E": now_ns // unit_ns, "st": 1}
            body |= times
        return json_text(body)

    def depth(
        self,
        ids: tuple[int, int, int],
        bids: list[list[str]],
        asks: list[list[str]],
        now_ns: int,
        unit_ns: int,
    ) -> str:
        """``depthUpdate``; *ids* are first, last, and last of the event before."""
        first, last, before = ids
        body: dict[str, object] = {"e": "depthUpdate", "E": now_ns // unit_ns}
        if self.spot:
            body |= {"s": self.symbol, "U": first, "u": last}
        else:
            body |= {
                "T": self.changed_ns // unit_ns,
                "s": self.symbol,
                "ps": self.pair,
                "st": 1,
                "U": first,
                "u": last,
                "pu": before,
            }
        return json_text(body | {"b": bids, "a": asks})

    def partial(self, count: int, before: int, now_ns: int, unit_ns: int) -> str:
        """Partial depth: the best *count* levels, whole."""
        bids, asks = self.top(BID, count), self.top(ASK, count)
        if not self.spot:
            ids = (self.first_step_id, self.update_id, before)
            return self.depth(ids, bids, asks, now_ns, unit_ns)
        return json_text({"lastUpdateId": self.update_id, "bids": bids, "asks": asks})

    def ticker(self, now_ns: int, unit_ns: int) -> str:
        """``24hrTicker``; on futures without best bid and ask."""
        feed, day, price = self.feed, self.feed.day, self.price
        body: dict[str, object] = {
            "e": "24hrTicker",
            "E": now_ns // unit_ns,
            "s": self.symbol,
            **dict(zip("pPw", self.changes(), strict=True)),
        }
        if self.spot:
            body["x"] = price(day.open)
        body |= {"c": price(feed.last_tick), "Q": self.size(feed.last_lots)}
        if self.spot:
            bid, bid_lots, ask, ask_lots = self.best()
            body |= {
                "b": price(bid),
                "B": self.size(bid_lots),
                "a": price(ask),
                "A": self.size(ask_lots),
            }
        body |= {
            "o": price(day.open),
            "h": price(day.high),
            "l": price(day.low),
            "v": self.size(day.lots),
            "q": self.value(day.notional),
            "O": (now_ns - DAY_NS) // unit_ns,
            "C": now_ns // unit_ns,
            "F": day.first_id,
            "L": feed.next_id - 1 if day.fills else -1,
            "n": day.fills,
        }
        return json_text(body if self.spot else body | {"st": 1})

    def mini_ticker(self, now_ns: int, unit_ns: int) -> str:
        """``24hrMiniTicker``."""
        feed, day, price = self.feed, self.feed.day, self.price
        body: dict[str, object] = {
            "e": "24hrMiniTicker",
            "E": now_ns // unit_ns,
            "s": self.symbol,
            "c": price(feed.last_tick),
            "o": price(day.open),
            "h": price(day.high),
            "l": price(day.low),
            "v": self.size(day.lots),
            "q": self.value(day.notional),
        }
        return json_text(body if self.spot else body | {"st": 1})

    def changes(self) -> tuple[str, str, str]:
        """Change, change in percent, and average price of the day."""
        day = self.feed.day
        change = self.feed.last_tick - day.open
        percent = padded(scaled_text(round(change * 10**5 / day.open), 3), 3)
        return self.price(change), percent, self.average(day.notional, day.lots)

    def kline(
        self,
        bar: SimBar,
        interval: str,
        end_ns: int,
        closed: bool,
        now_ns: int,
        unit_ns: int,
    ) -> str:
        """``kline``; ids are -1 in a bar without trades."""
        price, size = self.price, self.size
        row = {
            "t": bar.open_ns // unit_ns,
            "T": end_ns // unit_ns - 1,
            "s": self.symbol,
            "i": interval,
            "f": bar.first_id,
            "L": bar.last_id,
            "o": price(bar.open),
            "c": price(bar.close),
            "h": price(bar.high),
            "l": price(bar.low),
            "v": size(bar.lots),
            "n": bar.fills,
            "x": closed,
            "q": self.value(bar.notional),
            "V": size(bar.buy_lots),
            "Q": self.value(bar.buy_notional),
            "B": "0",
        }
        return json_text(
            {"e": "kline", "E": now_ns // unit_ns, "s": self.symbol, "k": row}
        )
