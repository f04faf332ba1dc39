"""One connection to Coinbase as a pure state machine.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-overview
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import attrs
import msgspec

from tapeline.clock import Now
from tapeline.hookspecs import Instruments, Parsed, SessionBase, hookimpl
from tapeline.model import (
    SUBSCRIBE,
    UNSUBSCRIBE,
    Acked,
    Action,
    Dial,
    Fetch,
    Malformed,
    MarketDataPoint,
    Missed,
    Rejected,
    Response,
    Route,
    Send,
    SessionHealth,
    Subscription,
    Trade,
)
from tapeline_coinbase.channels import (
    HEARTBEATS,
    LEVEL2,
    PUSHED,
    SUBSCRIPTIONS,
    TICKER,
    TRADES,
    WIRE,
)
from tapeline_coinbase.config import CoinbaseConfig
from tapeline_coinbase.messages import (
    delta_from,
    snapshot_from,
    ticker_from,
    trade_from,
)
from tapeline_coinbase.numbers import Unusable, id_of, ns_of
from tapeline_coinbase.sequence import MessageSequence, Order
from tapeline_coinbase.wire import (
    UNDECODABLE,
    BookEvent,
    Envelope,
    WireTrade,
    decode_books,
    decode_envelope,
    decode_raw_books,
    decode_raw_trades,
    decode_subscriptions,
    decode_tickers,
    decode_trade,
    decode_trades,
)

Out = MarketDataPoint | Acked | Rejected | Malformed | Missed

SAMPLE_LENGTH = 200
MESSAGES = "messages"
CONNECTS = "connects"


@attrs.define
class _Stream:
    """What this socket carries.

    Args:
        last_id: time of its last book message; None asks for a snapshot first.
    """

    subscription: Subscription
    last_id: int | None = None


Key = tuple[str, str]
"""Channel as subscribed, and product."""


class CoinbaseSession(SessionBase):
    """Speaks on one of Coinbase's public sockets."""

    def __init__(
        self, config: CoinbaseConfig, instruments: Instruments, route: Route
    ) -> None:
        self._config = config
        self._instruments = instruments
        self._streams: dict[Key, _Stream] = {}
        self._asked: set[Key] = set()
        self._leaving: set[Key] = set()
        self._sequence = MessageSequence()
        self._counters: Counter[str] = Counter()
        self._readers: dict[str, Callable[[Envelope, int], list[Out]]] = {
            TRADES: self._trades,
            LEVEL2: self._books,
            TICKER: self._tickers,
        }

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        """Dial the public address; heartbeats and pings keep it open."""
        return Dial(self._config.ws_url, costs={CONNECTS: 1}, compression=False)

    @hookimpl
    def opened(self, now: Now) -> Sequence[Action]:
        """Ask for heartbeats: without a request within 5 s the venue hangs up.

        They are no stream of ours; they keep quiet streams from being closed after
        60 to 90 s, and show holes in the sequence within a second.
        """
        return [self._send(SUBSCRIBE, HEARTBEATS, (), ())]

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        """One message a channel, as Coinbase takes no more."""
        actions = []
        for channel, group in _by_channel(wanted):
            products = []
            for subscription in group:
                key = (channel, self._product(subscription))
                self._streams[key] = _Stream(subscription)
                self._asked.add(key)
                self._leaving.discard(key)
                products.append(key[1])
            actions.append(self._send(SUBSCRIBE, channel, products, group))
        return actions

    @hookimpl
    def unsubscribe(
        self, unwanted: Sequence[Subscription], now: Now
    ) -> Sequence[Action]:
        """One message a channel."""
        actions = []
        for channel, group in _by_channel(unwanted):
            keys = [(channel, self._product(one)) for one in group]
            self._leaving.update(keys)
            self._asked.difference_update(keys)
            products = [product for _, product in keys]
            actions.append(self._send(UNSUBSCRIBE, channel, products, group))
        return actions

    @hookimpl
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        """End the stream and ask for it again at once: a snapshot comes with it.

        Messages of one socket are answered in order, so what comes after the
        snapshot follows it.
        """
        channel = WIRE[subscription.channel]
        product = self._product(subscription)
        end = self._send(UNSUBSCRIBE, channel, (product,), ())
        return [end, *self.subscribe((subscription,), now)]

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Events and replies of one message."""
        # hot path
        try:
            message = decode_envelope(frame)
        except UNDECODABLE:
            return [Malformed("json", _sample(frame))]
        channel = message.channel
        out: list[Out] = []
        number = message.sequence_num
        if number >= 0:
            order = self._sequence.take(channel, number, message.timestamp)
            if order is Order.AFTER_HOLE:
                out += self._lost(channel)
            elif order is Order.LATE and PUSHED.get(channel) in (LEVEL2, TICKER):
                # What stands in it was replaced by what has come since.
                self._counters["late"] += 1
                return out
        reader = self._readers.get(PUSHED.get(channel, ""))
        if reader is not None:
            out += reader(message, received_ns)
        elif channel == SUBSCRIPTIONS:
            out += self._subscriptions(message)
        elif message.type == "error":
            # It does not say what it is about; whose ack stays away shows that.
            text = message.message[:SAMPLE_LENGTH]
            out.append(Rejected(None, "error", text, permanent=False))
        elif channel != HEARTBEATS:
            out.append(Malformed("unknown-channel", _sample(frame)))
        return out

    @hookimpl
    def health(self, now: Now) -> SessionHealth:
        """Streams, and holes in the numbering of messages."""
        counters = {
            **self._counters,
            "streams": len(self._streams),
            "sequence_holes": self._sequence.holes,
        }
        return SessionHealth(counters=counters)

    # -- asking ----------------------------------------------------------------

    def _product(self, subscription: Subscription) -> str:
        known = self._instruments.get((subscription.market, subscription.symbol))
        return subscription.symbol if known is None else known.venue_symbol

    def _send(
        self,
        kind: str,
        channel: str,
        products: Sequence[str],
        subscriptions: Sequence[Subscription],
    ) -> Send:
        request: dict[str, object] = {"type": kind, "channel": channel}
        if products:
            request["product_ids"] = list(products)
        frame = msgspec.json.encode(request).decode()
        costs = {MESSAGES: 1}
        if not subscriptions:
            return Send(frame, costs=costs)
        return Send(frame, tuple(subscriptions), kind, costs)

    # -- what came ---------------------------------------------------------------

    def _find(self, channel: str, product: str) -> _Stream | None:
        """The stream of *product*.

        Products in USDC are fed from those in USD. Unconfirmed: which of the two
        names the messages have; the other one is taken when nobody asked for it.
        """
        stream = self._streams.get((channel, product))
        if stream is None and product.endswith("-USD"):
            stream = self._streams.get((channel, product + "C"))
        return stream

    def _lost(self, channel: str) -> list[Out]:
        """Messages are missing: of one channel, or of nobody knows which."""
        lost = PUSHED.get(channel, channel) if self._sequence.by_channel else ""
        found: list[Out] = []
        for (of, _), stream in self._streams.items():
            if lost in ("", of):
                stream.last_id = None
                found.append(Missed(stream.subscription))
        return found

    def _trades(self, message: Envelope, received_ns: int) -> list[Out]:
        # hot path
        out: list[Out] = []
        trades: list[Trade] = []
        try:
            events = decode_trades(message.events)
        except UNDECODABLE:
            return self._trades_slowly(message, received_ns)
        for event in events:
            for wire in event.trades:
                self._trade(wire, received_ns, trades, out)
        # The newest comes first; ids must rise.
        trades.sort(key=_first_id)
        return [*out, *trades]

    def _trades_slowly(self, message: Envelope, received_ns: int) -> list[Out]:
        """One by one: something in the message has another form."""
        try:
            rows = [
                row
                for event in decode_raw_trades(message.events)
                for row in event.trades
            ]
        except UNDECODABLE:
            return [
                Malformed("trades", _sample(message.events)),
                *self._missed_on(TRADES),
            ]
        out: list[Out] = []
        trades: list[Trade] = []
        for row in rows:
            try:
                wire = decode_trade(row)
            except UNDECODABLE:
                out.append(Malformed("trade", _sample(row)))
                out += self._missed_on(TRADES)
                continue
            self._trade(wire, received_ns, trades, out)
        trades.sort(key=_first_id)
        return [*out, *trades]

    def _trade(
        self,
        wire: WireTrade,
        received_ns: int,
        trades: list[Trade],
        out: list[Out],
    ) -> None:
        # hot path
        stream = self._streams.get((TRADES, wire.product_id)) or self._find(
            TRADES, wire.product_id
        )
        if stream is None:
            self._counters["unasked"] += 1
            return
        try:
            trades.append(trade_from(wire, stream.subscription, received_ns))
        except Unusable as error:
            out += _unusable(error, wire, stream.subscription)

    def _missed_on(self, channel: str) -> list[Out]:
        """What a message held that cannot be read: nobody knows of which product."""
        return [
            Missed(stream.subscription, "malformed")
            for (of, _), stream in self._streams.items()
            if of == channel
        ]

    def _books(self, message: Envelope, received_ns: int) -> list[Out]:
        try:
            events = decode_books(message.events)
            exchange_ns = ns_of(message.timestamp)
        except (*UNDECODABLE, Unusable):
            return self._broken_books(message)
        out: list[Out] = []
        for event in events:
            stream = self._find(LEVEL2, event.product_id)
            if stream is None:
                self._counters["unasked"] += 1
                continue
            try:
                out.append(_book_event(event, stream, exchange_ns, received_ns))
            except Unusable as error:
                stream.last_id = None
                sample = event.product_id[:SAMPLE_LENGTH]
                out.append(Malformed(error.word, sample, stream.subscription))
                out.append(Missed(stream.subscription, "malformed"))
        return out

    def _broken_books(self, message: Envelope) -> list[Out]:
        out: list[Out] = [Malformed("book", _sample(message.events))]
        try:
            names = {event.product_id for event in decode_raw_books(message.events)}
        except UNDECODABLE:
            names = {product for of, product in self._streams if of == LEVEL2}
        for name in sorted(names):
            stream = self._find(LEVEL2, name)
            if stream is not None:
                stream.last_id = None
                out.append(Missed(stream.subscription, "malformed"))
        return out

    def _tickers(self, message: Envelope, received_ns: int) -> list[Out]:
        out: list[Out] = []
        try:
            events = decode_tickers(message.events)
            exchange_ns = ns_of(message.timestamp)
        except (*UNDECODABLE, Unusable):
            # The newest one wins: the next makes good for it.
            return [Malformed("ticker", _sample(message.events))]
        for event in events:
            for wire in event.tickers:
                stream = self._find(TICKER, wire.product_id)
                if stream is None:
                    self._counters["unasked"] += 1
                    continue
                subscription = stream.subscription
                try:
                    out.append(
                        ticker_from(wire, subscription, exchange_ns, received_ns)
                    )
                except Unusable as error:
                    sample = wire.product_id[:SAMPLE_LENGTH]
                    out.append(Malformed(error.word, sample, subscription))
        return out

    def _subscriptions(self, message: Envelope) -> list[Out]:
        """Confirm what is listed and was asked for, or is not and was ended."""
        try:
            events = decode_subscriptions(message.events)
        except UNDECODABLE:
            return [Malformed("subscriptions", _sample(message.events))]
        listed = {
            (PUSHED.get(channel, channel), product)
            for event in events
            for channel, products in event.subscriptions.items()
            for product in products
        }
        out: list[Out] = []
        for key in sorted(self._asked & listed):
            self._asked.discard(key)
            out.append(Acked(self._streams[key].subscription))
        for key in sorted(self._leaving - listed):
            self._leaving.discard(key)
            stream = self._streams.pop(key, None)
            if stream is not None:
                out.append(Acked(stream.subscription, active=False))
        return out


def _book_event(
    event: BookEvent, stream: _Stream, exchange_ns: int, received_ns: int
) -> MarketDataPoint:
    """A snapshot or a change; the chain of a stream is that of its messages."""
    subscription = stream.subscription
    if event.type == "snapshot":
        made: MarketDataPoint = snapshot_from(
            event.updates, subscription, exchange_ns, received_ns
        )
    else:
        link_id = exchange_ns - 1 if stream.last_id is None else stream.last_id
        made = delta_from(
            event.updates, subscription, link_id, exchange_ns, received_ns
        )
    stream.last_id = exchange_ns
    return made


def _unusable(error: Unusable, wire: WireTrade, stream: Subscription) -> list[Out]:
    """A trade that cannot be used: by its id where it has one, by time otherwise."""
    sample = f"{wire.trade_id} {wire.price} {wire.size}"[:SAMPLE_LENGTH]
    try:
        number = id_of(wire.trade_id)
    except Unusable:
        return [Malformed(error.word, sample, stream), Missed(stream, "malformed")]
    return [Malformed(error.word, sample, stream, number, number)]


def _first_id(trade: Trade) -> int:
    return trade.first_id


def _by_channel(
    subscriptions: Iterable[Subscription],
) -> list[tuple[str, list[Subscription]]]:
    groups: dict[str, list[Subscription]] = {}
    for subscription in subscriptions:
        groups.setdefault(WIRE[subscription.channel], []).append(subscription)
    return list(groups.items())


def _sample(frame: str | bytes | msgspec.Raw) -> str:
    if isinstance(frame, str):
        return frame[:SAMPLE_LENGTH]
    return bytes(frame)[:SAMPLE_LENGTH].decode("utf-8", "replace")
