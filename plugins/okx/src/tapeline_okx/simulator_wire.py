"""What the simulator says: OKX v5 wire objects, numbers as strings as the venue does.

https://www.okx.com/docs-v5/en/#order-book-trading-market-data
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType

import msgspec

from tapeline.testing.bars import SimBar
from tapeline.testing.book import ASK, BID
from tapeline.testing.market import Execution, Feed, Fill
from tapeline.testing.numbers import scale_of, scaled_text

TYPES: Mapping[str, str] = MappingProxyType(
    {"spot": "SPOT", "swap": "SWAP", "future": "FUTURES", "option": "OPTION"}
)
"""Canonical market → ``instType``."""

HOUR_NS = 3_600 * 10**9
_WEEK_NS = 7 * 24 * HOUR_NS
_ASIA_NS = 8 * HOUR_NS
# The epoch was a Thursday; weeks open on Monday.
_MONDAY_NS = 4 * 24 * HOUR_NS

_encoder = msgspec.json.Encoder()


def json_text(value: object) -> str:
    """*value* as compact JSON."""
    return _encoder.encode(value).decode()


def ms(ns: int) -> str:
    """Nanoseconds as the venue's text of milliseconds."""
    return str(ns // 1_000_000)


def bar_widths() -> Mapping[str, tuple[int, int]]:
    """Name of each bar → its width and the offset of its opening, nanoseconds.

    Calendar months are left out: the simulator has no history of months.
    """
    second = 10**9
    short = {"1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1_800}
    bars = {name: (seconds * second, 0) for name, seconds in short.items()}
    for hours in (1, 2, 4):
        bars[f"{hours}H"] = (hours * HOUR_NS, 0)
    for hours in (6, 12):
        bars[f"{hours}H"] = (hours * HOUR_NS, -_ASIA_NS % (hours * HOUR_NS))
        bars[f"{hours}Hutc"] = (hours * HOUR_NS, 0)
    for days in (1, 2, 3, 5):
        width = days * 24 * HOUR_NS
        bars[f"{days}D"] = (width, -_ASIA_NS % width)
        bars[f"{days}Dutc"] = (width, 0)
    bars["1W"] = (_WEEK_NS, (_MONDAY_NS - _ASIA_NS) % _WEEK_NS)
    bars["1Wutc"] = (_WEEK_NS, _MONDAY_NS)
    return MappingProxyType(bars)


BARS = bar_widths()


def bar_open_ns(at_ns: int, bar: str) -> int:
    """Open time of the bar named *bar* that holds *at_ns*."""
    width, offset = BARS[bar]
    return at_ns - (at_ns - offset) % width


class OkxInstrument:
    """One instrument in the venue's spelling, and its texts."""

    def __init__(self, feed: Feed) -> None:
        known = feed.instrument
        self.feed = feed
        self.symbol = known.symbol
        self.inst_type = TYPES[known.market]
        self.spot = known.market == "spot"
        self.inst_id = known.symbol + ("-SWAP" if known.market == "swap" else "")
        self.family = "" if self.spot else "-".join(known.symbol.split("-")[:2])
        self.state = "live"
        self.listed = True
        self.seq = 1_000_000
        contract = known.contract_size or Decimal(1)
        self._contract_units, self._contract_decimals = scale_of(contract)
        self._inverse = not self.spot and known.contract_unit == known.quote

    def row(self) -> dict[str, object]:
        """The instrument as ``instruments`` lists it, over REST and WebSocket."""
        known = self.feed.instrument
        contract = known.contract_size
        return {
            "instType": self.inst_type,
            "instId": self.inst_id,
            "baseCcy": known.base if self.spot else "",
            "quoteCcy": known.quote if self.spot else "",
            "settleCcy": "" if self.spot else known.settle or known.quote,
            "instFamily": self.family,
            "uly": self.family,
            "tickSz": format(known.tick_size, "f"),
            "lotSz": format(known.lot_size, "f"),
            "minSz": format(known.min_size, "f"),
            "ctVal": "" if contract is None else format(contract, "f"),
            "ctMult": "" if contract is None else "1",
            "ctValCcy": known.contract_unit,
            "ctType": ""
            if contract is None
            else ("inverse" if self._inverse else "linear"),
            "state": self.state,
            "listTime": "1606468572000",
            "expTime": "",
            "contTdSwTime": "",
            "openType": "",
            "lever": "10",
            "ruleType": "normal",
            "instIdCode": 1_000_000_000 + sum(self.inst_id.encode()),
            "instCategory": "1",
            "groupId": "1",
            "tradeQuoteCcyList": [known.quote],
            "upcChg": [],
            "category": "1",
            "alias": "",
            "optType": "",
            "stk": "",
        }

    def volumes(self, lots: int, notional: int) -> tuple[str, str, str]:
        """``vol``, ``volCcy`` and ``volCcyQuote`` of a candle.

        Args:
            notional: sum of ticks times lots.
        """
        feed = self.feed
        size = feed.size_text(lots)
        if self._inverse:
            quote = scaled_text(
                lots * feed.lot_units * self._contract_units,
                feed.size_decimals + self._contract_decimals,
            )
            price = Decimal(notional) / lots * feed.tick_units if lots else Decimal(1)
            price = price.scaleb(-feed.price_decimals)
            base = format((Decimal(quote) / price).quantize(Decimal("1e-8")), "f")
            return size, base, quote
        value = notional * feed.tick_units * feed.lot_units
        decimals = feed.price_decimals + feed.size_decimals
        if self.spot:
            quote = scaled_text(value, decimals)
            return size, quote, quote
        base = scaled_text(
            lots * feed.lot_units * self._contract_units,
            feed.size_decimals + self._contract_decimals,
        )
        quote = scaled_text(
            value * self._contract_units, decimals + self._contract_decimals
        )
        return size, base, quote

    def candle(self, bar: SimBar, confirm: bool) -> list[str]:
        """One candle as the nine texts of candle channels and REST."""
        price = self.feed.price_text
        return [
            ms(bar.open_ns),
            price(bar.open),
            price(bar.high),
            price(bar.low),
            price(bar.close),
            *self.volumes(bar.lots, bar.notional),
            "1" if confirm else "0",
        ]

    def level(self, tick: int, lots: int, orders: int) -> list[str]:
        """One level: price, size, a dead field, number of orders."""
        feed = self.feed
        return [feed.price_text(tick), feed.size_text(lots), "0", str(orders)]

    def levels(self, side: str, count: int) -> list[list[str]]:
        """The best *count* levels of *side* now, best first."""
        level = self.level
        return [level(*found) for found in self.feed.book.top(side, count)]

    def ticker(self, now_ns: int) -> dict[str, str]:
        """The ticker as channel and REST give it."""
        feed = self.feed
        day = feed.day
        price = feed.price_text
        ask_tick, ask_lots, _ = next(feed.book.top(ASK, 1))
        bid_tick, bid_lots, _ = next(feed.book.top(BID, 1))
        volume, other, _ = self.volumes(day.lots, day.notional)
        midnight = feed.bars.open_since(bar_open_ns(now_ns, "1Dutc"))
        midnight_asia = feed.bars.open_since(bar_open_ns(now_ns, "1D"))
        return {
            "instType": self.inst_type,
            "instId": self.inst_id,
            "last": price(feed.last_tick),
            "lastSz": feed.size_text(feed.last_lots),
            "askPx": price(ask_tick),
            "askSz": feed.size_text(ask_lots),
            "bidPx": price(bid_tick),
            "bidSz": feed.size_text(bid_lots),
            "open24h": price(day.open),
            "high24h": price(day.high),
            "low24h": price(day.low),
            "volCcy24h": other,
            "vol24h": volume,
            "ts": ms(now_ns),
            "sodUtc0": price(midnight),
            "sodUtc8": price(midnight_asia),
        }

    def trade_frame(self, execution: Execution) -> str:
        """Push of ``trades``: the fills of one taker order at one price."""
        return (
            f'{{"arg":{{"channel":"trades","instId":"{self.inst_id}"}},'
            f'"data":[{{"instId":"{self.inst_id}","tradeId":"{execution.last_id}",'
            f'"px":"{execution.price}","sz":"{execution.size}",'
            f'"side":"{execution.side}","ts":"{execution.exchange_ns // 1_000_000}",'
            f'"count":"{len(execution.fills)}","source":"0","seqId":{self.seq}}}]}}'
        )

    def fill_frame(self, fill: Fill) -> str:
        """Push of ``trades-all``: one fill."""
        return (
            f'{{"arg":{{"channel":"trades-all","instId":"{self.inst_id}"}},'
            f'"data":[{{"instId":"{self.inst_id}","tradeId":"{fill.id}",'
            f'"px":"{fill.price}","sz":"{fill.size}","side":"{fill.side}",'
            f'"source":"0","ts":"{fill.exchange_ns // 1_000_000}"}}]}}'
        )

    def fill_rows(self, fills: Iterable[Fill]) -> list[dict[str, str]]:
        """Rows of the REST trades endpoints."""
        return [
            {
                "instId": self.inst_id,
                "side": fill.side,
                "sz": fill.size,
                "source": "0",
                "px": fill.price,
                "tradeId": str(fill.id),
                "ts": ms(fill.exchange_ns),
            }
            for fill in fills
        ]


def push_frame(
    channel: str, inst_id: str, data: object, action: str | None = None
) -> str:
    """A push: echo of the subscription, perhaps an action, the data."""
    arg = {"channel": channel, "instId": inst_id}
    if action is None:
        return json_text({"arg": arg, "data": data})
    return json_text({"arg": arg, "action": action, "data": data})
