"""What the tests of the Binance adapter share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest

from tapeline.clock import Now
from tapeline.model import (
    Action,
    Fetch,
    Malformed,
    MarketDataPoint,
    Request,
    Response,
    Secret,
    Send,
    Subscription,
)
from tapeline_binance import BinanceAdapter, BinanceConfig

RECEIVED_NS = 1_700_000_000_000_000_123


def at(seconds: float = 0.0) -> Now:
    """A moment *seconds* after the start of a test."""
    ns = int(seconds * 10**9)
    return Now(RECEIVED_NS + ns, RECEIVED_NS + ns, ns)


def compact(value: object) -> str:
    """JSON without spaces, as the venue writes it and the fast way expects it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def stream_of(
    adapter: BinanceAdapter, channel: str, symbol: str, market: str
) -> Subscription:
    """The subscription of *channel*."""
    found = adapter.capabilities.channel(channel)
    assert found is not None
    return Subscription(
        "binance",
        market,
        symbol,
        found.data_type,
        channel,
        found.id_kind,
        found.timeframe,
    )


@attrs.define
class Connection:
    """One session, and the habits of the venue on the other side."""

    adapter: BinanceAdapter
    config: BinanceConfig
    first: Subscription
    session: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        route = self.adapter.route(self.config, None, self.first)
        self.session = self.adapter.session(self.config, {}, route)

    def subscribe(self, *wanted: Subscription, seconds: float = 0.0) -> list[Action]:
        """What the session sends to subscribe *wanted*."""
        return list(self.session.subscribe(wanted, at(seconds)))

    def parse(self, frame: object) -> list[Any]:
        """What the session makes of *frame*, text, bytes or an object for JSON."""
        text = frame if isinstance(frame, str | bytes) else compact(frame)
        return list(self.session.parse(text, RECEIVED_NS))

    def tick(self, seconds: float) -> list[Action]:
        """Actions of a tick at *seconds*."""
        return list(self.session.tick(at(seconds)).actions)

    def acknowledge(self, *actions: object) -> list[Any]:
        """Answer every request in *actions* as the venue does: as a whole."""
        replies = []
        for action in actions:
            assert isinstance(action, Send)
            number = json.loads(action.frame)["id"]
            replies += self.parse({"result": None, "id": number})
        return replies

    def answer(self, fetch: Fetch, body: object, seconds: float = 0.0) -> list[Any]:
        """What the session makes of *body* as the answer to *fetch*."""
        data = body if isinstance(body, bytes) else compact(body).encode()
        now = at(seconds)
        response = Response(fetch.request, 200, {}, data, now.wall_ns, fetch.tag)
        return list(self.session.respond(response, now))


@pytest.fixture
def adapter() -> BinanceAdapter:
    return BinanceAdapter()


@pytest.fixture
def now() -> Callable[[float], Now]:
    return at


@pytest.fixture
def streams(adapter: BinanceAdapter) -> Callable[..., Subscription]:
    """Makes subscriptions by channel."""

    def make(
        channel: str, symbol: str = "BTC-USDT", market: str = "spot"
    ) -> Subscription:
        return stream_of(adapter, channel, symbol, market)

    return make


@pytest.fixture
def keys() -> Mapping[str, Secret]:
    """The key of the reference's signature vectors."""
    return {"api_key": Secret("test-key"), "api_secret": Secret("test-secret")}


@pytest.fixture
def connect(adapter: BinanceAdapter) -> Callable[..., Connection]:
    """Makes connections on the socket of a stream."""

    def make(first: Subscription | None = None, **options: Any) -> Connection:
        stream = first or stream_of(adapter, "aggTrade", "BTC-USDT", "spot")
        return Connection(adapter, BinanceConfig(**options), stream)

    return make


@pytest.fixture
def following(
    connect: Callable[..., Connection], streams: Callable[..., Subscription]
) -> Callable[..., Connection]:
    """Makes connections on which one channel is subscribed and acknowledged."""

    def make(
        channel: str, symbol: str = "BTC-USDT", market: str = "spot", **options: Any
    ) -> Connection:
        stream = streams(channel, symbol, market)
        connection = connect(stream, **options)
        connection.acknowledge(*connection.subscribe(stream))
        return connection

    return make


@pytest.fixture
def wrap() -> Callable[..., dict[str, Any]]:
    """Makes combined frames."""

    def make(name: str, data: object) -> dict[str, Any]:
        return {"stream": name, "data": data}

    return make


def _event(defaults: Mapping[str, object]) -> Callable[..., dict[str, Any]]:
    def make(**changes: object) -> dict[str, Any]:
        row = {**defaults, **changes}
        return {key: value for key, value in row.items() if value is not None}

    return make


AGG_TRADE = {
    "e": "aggTrade",
    "E": 1672515782136,
    "s": "BTCUSDT",
    "a": 12345,
    "p": "0.001",
    "q": "100",
    "f": 100,
    "l": 105,
    "T": 1672515782135,
    "m": True,
    "M": True,
}
TRADE = {
    "e": "trade",
    "E": 1672515782136,
    "s": "BTCUSDT",
    "t": 12345,
    "p": "0.001",
    "q": "100",
    "T": 1672515782135,
    "m": False,
    "M": True,
}
DEPTH = {
    "e": "depthUpdate",
    "E": 1672515782136,
    "s": "BTCUSDT",
    "U": 157,
    "u": 160,
    "b": [["0.0024", "10"]],
    "a": [["0.0026", "100"]],
}
TICKER = {
    "e": "24hrTicker",
    "E": 1672515782136,
    "s": "BTCUSDT",
    "p": "0.0015",
    "P": "250.00",
    "w": "0.0018",
    "x": "0.0009",
    "c": "0.0025",
    "Q": "10",
    "b": "0.0024",
    "B": "10",
    "a": "0.0026",
    "A": "100",
    "o": "0.0010",
    "h": "0.0026",
    "l": "0.0011",
    "v": "10000",
    "q": "18",
    "O": 0,
    "C": 86400000,
    "F": 0,
    "L": 18150,
    "n": 18151,
}
BOOK_TICKER = {
    "u": 400900217,
    "s": "BTCUSDT",
    "b": "25.35190000",
    "B": "31.21000000",
    "a": "25.36520000",
    "A": "40.66000000",
}
KLINE = {
    "t": 1672515780000,
    "T": 1672515839999,
    "s": "BTCUSDT",
    "i": "1m",
    "f": 100,
    "L": 200,
    "o": "0.0010",
    "c": "0.0020",
    "h": "0.0025",
    "l": "0.0009",
    "v": "1000",
    "n": 100,
    "x": True,
    "q": "1.0000",
    "V": "500",
    "Q": "0.500",
    "B": "123456",
}
PARTIAL = {"lastUpdateId": 160, "bids": [["0.0024", "10"]], "asks": [["0.0026", "100"]]}


@pytest.fixture
def agg_trade() -> Callable[..., dict[str, Any]]:
    return _event(AGG_TRADE)


@pytest.fixture
def trade() -> Callable[..., dict[str, Any]]:
    return _event(TRADE)


@pytest.fixture
def depth() -> Callable[..., dict[str, Any]]:
    return _event(DEPTH)


@pytest.fixture
def ticker() -> Callable[..., dict[str, Any]]:
    return _event(TICKER)


@pytest.fixture
def book_ticker() -> Callable[..., dict[str, Any]]:
    return _event(BOOK_TICKER)


@pytest.fixture
def partial() -> Callable[..., dict[str, Any]]:
    return _event(PARTIAL)


@pytest.fixture
def kline() -> Callable[..., dict[str, Any]]:
    """Makes kline events, with changes inside."""

    def make(**changes: object) -> dict[str, Any]:
        whole = {"e": "kline", "E": 1672515782136, "s": "BTCUSDT"}
        return {**whole, "k": _event(KLINE)(**changes)}

    return make


CHANNELS: tuple[str, ...] = (
    "aggTrade",
    "trade",
    "depth@100ms",
    "depth20@100ms",
    "ticker",
    "bookTicker",
    "kline_1m",
)


@pytest.fixture
def golden_frames(
    agg_trade: Any,
    trade: Any,
    depth: Any,
    partial: Any,
    ticker: Any,
    book_ticker: Any,
    kline: Any,
) -> Sequence[str]:
    """One combined frame of every kind of channel, as the guide shows them."""
    events = (agg_trade, trade, depth, partial, ticker, book_ticker, kline)
    return [
        compact({"stream": f"btcusdt@{channel}", "data": make()})
        for channel, make in zip(CHANNELS, events, strict=True)
    ]


@pytest.fixture
def everything(
    connect: Callable[..., Connection], streams: Callable[..., Subscription]
) -> Callable[..., Connection]:
    """Makes connections on which the channels of all golden frames are subscribed."""

    def make(**options: Any) -> Connection:
        connection = connect(**options)
        wanted = [streams(channel) for channel in CHANNELS]
        connection.acknowledge(*connection.subscribe(*wanted))
        return connection

    return make


@pytest.fixture
def events() -> Callable[[Sequence[object]], list[Any]]:
    """Picks the events out of what a session gave."""

    def pick(items: Sequence[object]) -> list[Any]:
        assert not [item for item in items if isinstance(item, Malformed)]
        return [item for item in items if isinstance(item, MarketDataPoint)]

    return pick


@pytest.fixture
def respond() -> Callable[..., Response]:
    """Makes REST answers."""

    def make(
        body: object = "",
        status: int = 200,
        url: str = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT",
        **headers: str,
    ) -> Response:
        data = body if isinstance(body, bytes) else compact(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Response(Request("GET", url), status, named, data, RECEIVED_NS)

    return make
