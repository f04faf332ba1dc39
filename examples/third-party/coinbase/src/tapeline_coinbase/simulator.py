"""A simulator of Coinbase Advanced Trade: its WebSocket, its REST, its limits.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-overview

It plays the faults of ``SimulatorBase``, and ``reset-sequence``, which numbers the
messages of its connections afresh. Coinbase sends no notices and lists nothing anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qs, urlsplit

import attrs
import msgspec

from tapeline.hookspecs import SimRefusal, SimResponse
from tapeline.testing import (
    Execution,
    Fault,
    Feed,
    Fill,
    Ledger,
    Limit,
    Market,
    SimConnection,
    SimulatorBase,
)
from tapeline_coinbase.channels import (
    EXCHANGE,
    HEARTBEATS,
    LEVEL2,
    SPOT,
    SUBSCRIPTIONS,
    TICKER,
    TRADES,
)

MILLISECOND_NS = 1_000_000
SECOND_NS = 10**9
BATCH_NS = 250 * MILLISECOND_NS
"""Coinbase sends the trades of a quarter of a second together."""
FIRST_REQUEST_NS = 5 * SECOND_NS
SNAPSHOT_TRADES = 50
BOOK_LEVELS = 400
MAX_PAGE = 1_000
CHANNELS = (TRADES, LEVEL2, TICKER, HEARTBEATS)
LIMITS = (Limit("connects", 8, 1.0), Limit("messages", 8, 1.0), Limit("rest", 10, 1.0))

Levels = Sequence[Sequence[str]]
"""Price and size of each level."""

_ADDRESS = "ip"
_PRODUCTS = "/api/v3/brokerage/market/products"
_SIDES = {"buy": "BUY", "sell": "SELL"}


class _Request(msgspec.Struct):
    type: str
    channel: str
    product_ids: list[str] = []


_decode = msgspec.json.Decoder(_Request).decode


def time_text(ns: int) -> str:
    """*ns* as Coinbase writes times: as many digits as are needed."""
    moment = datetime.fromtimestamp(ns // SECOND_NS, UTC)
    fraction = f"{ns % SECOND_NS:09d}".rstrip("0")
    head = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{head}.{fraction}Z" if fraction else f"{head}Z"


@attrs.define(eq=False)
class _Client:
    """What the protocol keeps of one connection.

    Args:
        sent: messages so far, under one name or by channel.
        wants: channel → products.
    """

    sent: Counter[str] = attrs.field(factory=Counter)
    wants: dict[str, set[str]] = attrs.field(factory=dict)
    beats: int = 0


@attrs.define(eq=False)
class _Product:
    """One product: what of it was published already."""

    name: str
    feed: Feed
    trades: list[Fill] = attrs.field(factory=list)
    asks: dict[int, int] = attrs.field(factory=dict)
    bids: dict[int, int] = attrs.field(factory=dict)
    followed: bool = False
    published_ns: int = 0
    due: bool = False

    def follow(self) -> None:
        """Begin to know what changes in the book."""
        if not self.followed:
            self.followed = True
            book = self.feed.book
            book.tracking = True
            book.take_changes()
            self.asks = {tick: lots for tick, (lots, _) in book.asks.items()}
            self.bids = {tick: lots for tick, (lots, _) in book.bids.items()}

    def levels(self) -> list[dict[str, str]]:
        """The published book, bids first, each side from its best level."""
        bids = sorted(self.bids.items(), reverse=True)[:BOOK_LEVELS]
        asks = sorted(self.asks.items())[:BOOK_LEVELS]
        return [self._level("bid", *at) for at in bids] + [
            self._level("offer", *at) for at in asks
        ]

    def changes(self) -> list[dict[str, str]]:
        """What differs from the published book, which has it from now on."""
        if not self.followed:
            return []
        found = []
        asks, bids = self.feed.book.take_changes()
        for side, published, changed in (
            ("bid", self.bids, bids),
            ("offer", self.asks, asks),
        ):
            for tick, (lots, _) in changed.items():
                if published.get(tick, 0) == lots:
                    continue
                published[tick] = lots
                if not lots:
                    del published[tick]
                found.append(self._level(side, tick, lots))
        return found

    def _level(self, side: str, tick: int, lots: int) -> dict[str, str]:
        return {
            "side": side,
            "event_time": "1970-01-01T00:00:00Z",
            "price_level": self.feed.price_text(tick),
            "new_quantity": self.feed.size_text(lots),
        }

    def trade(self, fill: Fill) -> dict[str, str]:
        """One fill as Coinbase shows it."""
        return {
            "trade_id": str(fill.id),
            "product_id": self.name,
            "price": fill.price,
            "size": fill.size,
            "time": time_text(fill.exchange_ns),
            "side": _SIDES[fill.side],
        }

    def ticker(self) -> dict[str, str]:
        """The latest of the product."""
        feed = self.feed
        book = feed.book
        price, size = feed.price_text, feed.size_text
        return {
            "type": "ticker",
            "product_id": self.name,
            "price": price(feed.last_tick),
            "volume_24_h": size(feed.day.lots),
            "low_24_h": price(feed.day.low),
            "high_24_h": price(feed.day.high),
            "best_bid": price(book.best_bid),
            "best_bid_quantity": size(book.bids[book.best_bid][0]),
            "best_ask": price(book.best_ask),
            "best_ask_quantity": size(book.asks[book.best_ask][0]),
        }


class CoinbaseSimulator(SimulatorBase):
    """Coinbase in this process: a ``SimulatedExchange`` over a seeded market.

    Only the spot instruments of the market are shown.

    Args:
        by_channel: number messages by channel instead of by connection.
        cumulative: acknowledge all that is subscribed instead of the one request.
    """

    def __init__(
        self,
        market: Market,
        *,
        faults: Sequence[Fault] = (),
        ledger: Ledger | None = None,
        by_channel: bool = False,
        cumulative: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            market, EXCHANGE, faults=faults, ledger=ledger, limits=LIMITS, seed=seed
        )
        self.products = {
            symbol: _Product(symbol, feed)
            for (kind, symbol), feed in market.feeds.items()
            if kind == SPOT
        }
        self._by_channel = by_channel
        self._cumulative = cumulative
        self._clients: dict[int, _Client] = {}

    # -- connections -------------------------------------------------------------

    def accept(
        self, connection: SimConnection, headers: Mapping[str, str], now_ns: int
    ) -> SimRefusal | None:
        """Every path; who asks for nothing within 5 s is sent away."""
        self._clients[connection.id] = _Client()

        def check(_: int) -> None:
            client = self._clients.get(connection.id)
            if client is not None and not client.wants:
                self.close(connection, 1008, "no subscription")

        self.timers.at(now_ns + FIRST_REQUEST_NS, check)
        return None

    def on_gone(self, connection: SimConnection) -> None:
        """Forget what it wanted."""
        self._clients.pop(connection.id, None)

    def on_frame(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        """A request of one channel."""
        try:
            request = _decode(frame)
        except (ValueError, RecursionError):
            self._error(connection, "cannot read the message", now_ns)
            return
        if not self.police.hit("messages", _ADDRESS, now_ns):
            self._error(connection, "too many messages", now_ns)
            return
        unknown = [name for name in request.product_ids if name not in self.products]
        if request.channel not in CHANNELS or unknown:
            self._error(connection, "no such channel or product", now_ns)
            return
        client = self._clients[connection.id]
        if request.type == "subscribe":
            self._subscribe(connection, client, request, now_ns)
        elif request.type == "unsubscribe":
            gone = request.product_ids or list(self.products)
            client.wants.get(request.channel, set()).difference_update(gone)
            self._acknowledge(connection, client, request.channel, now_ns)
        else:
            self._error(connection, "no such type", now_ns)

    def _error(self, connection: SimConnection, text: str, now_ns: int) -> None:
        body = {"type": "error", "message": text}
        self.send(connection, msgspec.json.encode(body).decode(), now_ns)

    def _subscribe(
        self,
        connection: SimConnection,
        client: _Client,
        request: _Request,
        now_ns: int,
    ) -> None:
        channel = request.channel
        if channel == HEARTBEATS:
            first = HEARTBEATS not in client.wants
            client.wants.setdefault(HEARTBEATS, set())
            self._acknowledge(connection, client, channel, now_ns)
            if first:
                self.timers.at(
                    now_ns + SECOND_NS, lambda at: self._beat(connection, at)
                )
            return
        names = [
            name
            for name in request.product_ids
            if self.faults.active("no-ack", now_ns, channel, name) is None
        ]
        if not names:
            return
        client.wants.setdefault(channel, set()).update(names)
        for name in names:
            connection.muted.discard((channel, name))
            if self.faults.active("ack-and-mute", now_ns, channel, name) is not None:
                connection.muted.add((channel, name))
        self._acknowledge(connection, client, channel, now_ns)
        for name in names:
            self._greet(connection, channel, self.products[name], now_ns)

    def _acknowledge(
        self, connection: SimConnection, client: _Client, channel: str, now_ns: int
    ) -> None:
        shown = client.wants if self._cumulative else {channel: client.wants[channel]}
        listed = {name: sorted(products) for name, products in shown.items()}
        frame = self._message(
            client, SUBSCRIPTIONS, [{"subscriptions": listed}], now_ns
        )
        self.send(connection, frame, now_ns)

    def _greet(
        self, connection: SimConnection, channel: str, product: _Product, now_ns: int
    ) -> None:
        if channel == TRADES:
            fills = product.feed.fills[-SNAPSHOT_TRADES:]
            pending = {fill.id for fill in product.trades}
            rows = [product.trade(f) for f in fills[::-1] if f.id not in pending]
            event: dict[str, object] = {"type": "snapshot", "trades": rows}
        elif channel == LEVEL2:
            if not product.followed:
                product.follow()
            else:
                self._publish(product, now_ns)
            event = {
                "type": "snapshot",
                "product_id": product.name,
                "updates": product.levels(),
            }
        else:
            event = {"type": "snapshot", "tickers": [product.ticker()]}
        self._push(connection, channel, product.name, [event], now_ns)

    def _beat(self, connection: SimConnection, now_ns: int) -> None:
        client = self._clients.get(connection.id)
        if client is None:
            return
        client.beats += 1
        event = {
            "current_time": time_text(now_ns),
            "heartbeat_counter": str(client.beats),
        }
        self._push(connection, HEARTBEATS, "", [event], now_ns)
        self.timers.at(now_ns + SECOND_NS, lambda at: self._beat(connection, at))

    # -- messages ----------------------------------------------------------------

    def _message(
        self, client: _Client, channel: str, events: Sequence[object], now_ns: int
    ) -> str:
        counted = channel if self._by_channel else ""
        number = client.sent[counted]
        client.sent[counted] += 1
        body = {
            "channel": "l2_data" if channel == LEVEL2 else channel,
            "client_id": "",
            "timestamp": time_text(now_ns),
            "sequence_num": number,
            "events": events,
        }
        return msgspec.json.encode(body).decode()

    def _push(
        self,
        connection: SimConnection,
        channel: str,
        product: str,
        events: Sequence[object],
        now_ns: int,
    ) -> None:
        # What is never sent has no number.
        if connection.silent or (channel, product) in connection.muted:
            return
        client = self._clients[connection.id]
        frame = self._message(client, channel, events, now_ns)
        self.push(connection, channel, product, frame, now_ns)

    def _push_all(
        self, product: _Product, channel: str, events: Sequence[object], now_ns: int
    ) -> None:
        for conn, client in list(self._clients.items()):
            connection = self.connections.get(conn)
            if connection and product.name in client.wants.get(channel, ()):
                self._push(connection, channel, product.name, events, now_ns)

    def on_executions(self, executions: Sequence[Execution]) -> None:
        """Gather trades and changes; they are sent a quarter of a second later."""
        for execution in executions:
            product = self.products.get(execution.feed.instrument.symbol)
            if product is None or execution.feed is not product.feed:
                continue
            product.trades += execution.fills
            if not product.due:
                product.due = True
                at_ns = execution.exchange_ns + BATCH_NS
                self.timers.at(at_ns, partial(self._publish, product))

    def _publish(self, product: _Product, now_ns: int) -> None:
        product.due = False
        fills, product.trades = product.trades, []
        if fills:
            rows = [product.trade(fill) for fill in reversed(fills)]
            event = {"type": "update", "trades": rows}
            self._push_all(product, TRADES, [event], now_ns)
        changes = product.changes()
        if changes:
            product.published_ns = now_ns
            update = {"type": "update", "product_id": product.name, "updates": changes}
            self._push_all(product, LEVEL2, [update], now_ns)
        if fills:
            latest = {"type": "update", "tickers": [product.ticker()]}
            self._push_all(product, TICKER, [latest], now_ns)

    def on_fault(
        self, fault: Fault, connections: Sequence[SimConnection], now_ns: int
    ) -> None:
        """Only ``reset-sequence`` is Coinbase's own."""
        if fault.kind == "reset-sequence":
            for connection in connections:
                self._clients[connection.id].sent.clear()

    def book_now(self, market: str, symbol: str) -> tuple[int, Levels, Levels] | None:
        """The published book; its id is the time of the last message about it."""
        product = self.products.get(symbol)
        if product is None or market != SPOT or not product.published_ns:
            return None
        sides: dict[str, list[list[str]]] = {"bid": [], "offer": []}
        for level in product.levels():
            sides[level["side"]].append([level["price_level"], level["new_quantity"]])
        return product.published_ns, sides["bid"], sides["offer"]

    # -- REST --------------------------------------------------------------------

    def elsewhere(self, target: str) -> str:
        """The same page as it was a minute ago."""
        if "/ticker" not in target:
            return target
        head = target.partition("?")[0]
        end_s = self.market.now_ns // SECOND_NS - 60
        return f"{head}?limit={MAX_PAGE}&end={end_s}"

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], now_ns: int
    ) -> SimResponse:
        """Products, the last trades of one, the clock."""
        if not self.police.hit("rest", _ADDRESS, now_ns):
            return _answer(429, {"error": "rate limit exceeded"})
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/api/v3/brokerage/time":
            millis = now_ns // MILLISECOND_NS
            body = {
                "iso": time_text(millis * MILLISECOND_NS),
                "epochSeconds": str(millis // 1_000),
                "epochMillis": str(millis),
            }
            return _answer(200, body)
        if parts.path == _PRODUCTS:
            rows = [_row(product) for product in self.products.values()]
            return _answer(200, {"products": rows, "num_products": len(rows)})
        name = parts.path.removeprefix(_PRODUCTS + "/").removesuffix("/ticker")
        product = self.products.get(name)
        if product is None or not parts.path.endswith("/ticker"):
            return _answer(404, {"error": "NOT_FOUND"})
        stale = self.faults.rest("stale", target, now_ns)
        as_of_ns = now_ns if stale is None else now_ns - int(stale.lag_s * 1e9)
        return self._last_trades(product, query, as_of_ns)

    def _last_trades(
        self, product: _Product, query: Mapping[str, str], as_of_ns: int
    ) -> SimResponse:
        try:
            limit = min(int(query["limit"]), MAX_PAGE)
            end_ns = int(query.get("end", 2**33)) * SECOND_NS
            start_ns = int(query.get("start", 0)) * SECOND_NS
        except (KeyError, ValueError):
            return _answer(400, {"error": "INVALID_ARGUMENT"})
        fills = product.feed.fills_before_ns(end_ns, limit, as_of_ns)
        rows = [product.trade(fill) for fill in fills if fill.exchange_ns >= start_ns]
        book = product.feed.book
        price = product.feed.price_text
        best = {"best_bid": price(book.best_bid), "best_ask": price(book.best_ask)}
        return _answer(200, {"trades": rows, **best})


def _row(product: _Product) -> dict[str, object]:
    known = product.feed.instrument
    return {
        "product_id": known.symbol,
        "price": product.feed.price_text(product.feed.last_tick),
        "base_increment": f"{known.lot_size:f}",
        "quote_increment": f"{known.tick_size:f}",
        "price_increment": f"{known.tick_size:f}",
        "base_min_size": f"{known.min_size:f}",
        "base_currency_id": known.base,
        "quote_currency_id": known.quote,
        "status": "online",
        "is_disabled": False,
        "trading_disabled": product.feed.halted_ns is not None,
        "product_type": "SPOT",
    }


def _answer(status: int, body: object) -> SimResponse:
    headers = {"content-type": "application/json"}
    return SimResponse(status, msgspec.json.encode(body), headers)
