"""What the tests of the OKX adapter share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs
import pytest

from tapeline.clock import Now
from tapeline.model import (
    Acked,
    Action,
    Malformed,
    MarketDataPoint,
    Route,
    Secret,
    Send,
    Subscription,
)
from tapeline_okx import OkxAdapter, OkxConfig

RECEIVED_NS = 1_700_000_000_000_000_123


def at(seconds: float = 0.0) -> Now:
    """A moment *seconds* after the start of a test."""
    ns = int(seconds * 10**9)
    return Now(RECEIVED_NS + ns, RECEIVED_NS + ns, ns)


def compact(value: object) -> str:
    """JSON without spaces, as the venue writes it and the fast way expects it."""
    return json.dumps(value, separators=(",", ":"))


class Streams(Protocol):
    """Makes subscriptions by channel."""

    def __call__(self, channel: str, inst_id: str = "BTC-USDT") -> Subscription: ...


@attrs.define
class Connection:
    """One session, and the habits of the venue on the other side."""

    adapter: OkxAdapter
    config: OkxConfig
    route: Route
    session: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.session = self.adapter.session(self.config, {}, self.route)

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
        """Answer every argument in *actions* as the venue does."""
        replies = []
        for action in actions:
            assert isinstance(action, Send)
            request = json.loads(action.frame)
            for arg in request["args"]:
                ack = {"id": request["id"], "event": request["op"], "arg": arg}
                replies += self.parse(ack)
        return replies


@pytest.fixture
def adapter() -> OkxAdapter:
    return OkxAdapter()


@pytest.fixture
def now() -> Callable[[float], Now]:
    return at


@pytest.fixture
def streams(adapter: OkxAdapter) -> Streams:
    """Makes subscriptions by channel and OKX's own instrument id."""

    def make(channel: str, inst_id: str = "BTC-USDT") -> Subscription:
        ack = {"event": "subscribe", "arg": {"channel": channel, "instId": inst_id}}
        (found,) = adapter.recorded_subscriptions(OkxConfig(), json.dumps(ack))
        return found

    return make


@pytest.fixture
def keys() -> Mapping[str, Secret]:
    return {
        "api_key": Secret("KEY"),
        "api_secret": Secret("test-secret"),
        "passphrase": Secret("PASS"),
    }


@pytest.fixture
def connect(adapter: OkxAdapter) -> Callable[..., Connection]:
    """Makes connections: by route name, with options of the configuration."""

    def make(route: str = "public", **options: Any) -> Connection:
        private = route in ("private", "public-login")
        return Connection(adapter, OkxConfig(**options), Route(route, private=private))

    return make


@pytest.fixture
def following(
    connect: Callable[..., Connection], streams: Streams
) -> Callable[..., Connection]:
    """Makes connections on which one channel is subscribed."""

    def make(channel: str, inst_id: str = "BTC-USDT", **options: Any) -> Connection:
        connection = connect(**options)
        connection.acknowledge(*connection.subscribe(streams(channel, inst_id)))
        return connection

    return make


@pytest.fixture
def push() -> Callable[..., dict[str, Any]]:
    """Makes data frames of a channel."""

    def make(
        channel: str, *items: object, inst_id: str = "BTC-USDT", **more: object
    ) -> dict[str, Any]:
        arg = {"channel": channel, "instId": inst_id}
        return {"arg": arg, **more, "data": list(items)}

    return make


@pytest.fixture
def trade_row() -> Callable[..., dict[str, Any]]:
    """Makes items of the trades channel: those of the guide, with changes."""

    def make(**changes: object) -> dict[str, Any]:
        row = {
            "instId": "BTC-USDT",
            "tradeId": "130639474",
            "px": "42219.9",
            "sz": "0.12060306",
            "side": "buy",
            "ts": "1630048897897",
            "count": "3",
            "source": "0",
            "seqId": 1234,
        }
        return {k: v for k, v in {**row, **changes}.items() if v is not None}

    return make


@pytest.fixture
def golden_frames() -> Sequence[str]:
    """One frame of every public channel, as the guide shows them."""
    return tuple(_golden())


def _golden() -> Iterator[str]:
    arg = {"channel": "trades", "instId": "BTC-USDT"}
    yield compact(
        {
            "arg": arg,
            "data": [
                {
                    "instId": "BTC-USDT",
                    "tradeId": "130639474",
                    "px": "42219.9",
                    "sz": "0.12060306",
                    "side": "buy",
                    "ts": "1630048897897",
                    "count": "3",
                    "source": "0",
                    "seqId": 1234,
                }
            ],
        }
    )
    yield (
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{'
        '"asks":[["8476.98","415","0","13"],["8477","7","0","2"]],'
        '"bids":[["8476.97","256","0","12"],["8475.55","101","0","1"]],'
        '"ts":"1597026383085","checksum":0,"prevSeqId":-1,"seqId":123456}]}'
    )
    yield (
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{'
        '"asks":[["8477","0","0","0"]],"bids":[["8476.97","260","0","13"]],'
        '"ts":"1597026383185","checksum":0,"prevSeqId":123456,"seqId":123460}]}'
    )
    yield (
        '{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{'
        '"asks":[["111.06","55154","0","2"]],"bids":[["111.05","57745","0","2"]],'
        '"instId":"BTC-USDT","ts":"1670324386802","seqId":363996337}]}'
    )
    yield (
        '{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT",'
        '"instId":"BTC-USDT","last":"9999.99","lastSz":"0.1","askPx":"9999.99",'
        '"askSz":"11","bidPx":"8888.88","bidSz":"5","open24h":"9000",'
        '"high24h":"10000","low24h":"8888.88","volCcy24h":"2222","vol24h":"2222",'
        '"sodUtc0":"2222","sodUtc8":"2222","ts":"1597026383085"}]}'
    )
    yield (
        '{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1597026360000",'
        '"8533.02","8553.74","8527.17","8548.26","45247","529.5858061",'
        '"5529.5858061","1"]]}'
    )


@pytest.fixture
def everything(
    connect: Callable[..., Connection], streams: Streams
) -> Callable[..., Connection]:
    """Makes connections on which the channels of all golden frames are subscribed."""

    def make(**options: Any) -> Connection:
        connection = connect(**options)
        for channel in ("trades", "books", "books5", "tickers", "candle1m"):
            replies = connection.acknowledge(*connection.subscribe(streams(channel)))
            assert all(isinstance(reply, Acked) for reply in replies)
        return connection

    return make


@pytest.fixture
def events() -> Callable[[Sequence[object]], list[Any]]:
    """Picks the events out of what a session gave."""

    def pick(items: Sequence[object]) -> list[Any]:
        assert not [item for item in items if isinstance(item, Malformed)]
        return [item for item in items if isinstance(item, MarketDataPoint)]

    return pick
