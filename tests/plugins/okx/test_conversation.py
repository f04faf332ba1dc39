"""The session and the simulated venue talk to each other, in memory."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

from tapeline.clock import Now
from tapeline.hookspecs import SimFrame
from tapeline.model import (
    Acked,
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Gap,
    LoggedIn,
    Malformed,
    Rejected,
    Request,
    Response,
    Secret,
    Send,
    Ticker,
    Trade,
)
from tapeline.testing import START_NS, Ledger, Market
from tapeline_okx.simulator import OkxSimulator
from tapeline_okx.simulator_account import DEFAULT_KEY

D = Decimal
SECOND = 10**9


@attrs.define
class Talk:
    """One session on one simulated socket."""

    adapter: Any
    config: Any
    route: Any
    ledger: Ledger = attrs.field(factory=Ledger)
    items: list[Any] = attrs.field(factory=list)
    now_ns: int = START_NS + 60 * SECOND
    venue: Any = attrs.field(init=False)
    session: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        market = Market(1, rate_hz=20.0, ledger=self.ledger)
        self.venue = OkxSimulator(market)
        self.session = self.adapter.session(self.config, {}, self.route)
        url = urlsplit(self.session.connect(self.now, None).url)
        assert self.venue.open(1, url.path, {}, self.now_ns) is None
        self.do(self.session.opened(self.now))

    @property
    def now(self) -> Now:
        return Now(self.now_ns, self.now_ns, self.now_ns)

    def do(self, actions: Any) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.venue.receive(1, action.frame, self.now_ns)
        for output in self.venue.outputs():
            assert isinstance(output, SimFrame)
            found = list(self.session.parse(output.frame, self.now_ns))
            self.items += found
            self.do([item for item in found if isinstance(item, Send)])

    def run(self, seconds: int) -> None:
        for _ in range(seconds * 10):
            self.now_ns += SECOND // 10
            self.venue.advance(self.now_ns)
            self.do(self.session.tick(self.now).actions)

    def fetch(self, request: Request) -> Response:
        url = urlsplit(request.url)
        target = f"{url.path}?{url.query}" if url.query else url.path
        self.now_ns += SECOND
        answer = self.venue.request(
            request.method, target, request.headers, self.now_ns
        )
        return Response(
            request, answer.status, answer.headers, answer.body, self.now_ns
        )

    def of(self, kind: type[Any]) -> list[Any]:
        return [item for item in self.items if isinstance(item, kind)]


@pytest.fixture
def talk(adapter: Any, streams: Any) -> Any:
    """Starts talking, on the socket that a channel needs."""

    def start(channel: str, **options: Any) -> Talk:
        config = adapter.config(
            ws_url="ws://127.0.0.1:1/ws/v5", rest_url="http://127.0.0.1:1", **options
        )
        return Talk(adapter, config, adapter.route(config, None, streams(channel)))

    return start


def test_public_streams_are_acknowledged_and_understood(
    talk: Any, streams: Any
) -> None:
    found = talk("trades")
    names = ("trades", "tickers", "books5", "books", "bbo-tbt")
    wanted = [
        streams(name, inst_id)
        for name in names
        for inst_id in ("BTC-USDT", "BTC-USDT-SWAP")
    ]
    found.do(found.session.subscribe(wanted, found.now))
    found.run(20)
    assert [ack.subscription for ack in found.of(Acked)] == wanted
    assert not found.of(Malformed)
    assert not found.of(Rejected)
    for stream in wanted:
        events = [e for e in found.items if getattr(e, "stream", None) == stream]
        assert len(events) > 1
        kind = {"trade": Trade, "ticker": Ticker}.get(stream.data_type)
        expected = (kind,) if kind else (BookSnapshot, BookDelta)
        assert all(isinstance(event, expected) for event in events)
    for trades in (wanted[0], wanted[1]):
        rows = [t for t in found.of(Trade) if t.stream == trades][1:]
        for before, after in pairwise(rows):
            assert after.first_id == before.last_id + 1
    for books in (wanted[6], wanted[7]):
        chain = [e for e in found.items if getattr(e, "stream", None) == books]
        for before, after in pairwise(chain):
            assert after.link_id == before.last_id


def test_candles_close_on_the_business_socket(talk: Any, streams: Any) -> None:
    found = talk("candle1s")
    found.do(found.session.subscribe([streams("candle1s")], found.now))
    found.run(5)
    candles = found.of(Candle)
    assert len(candles) >= 4
    assert {candle.state for candle in candles} == {"complete"}
    assert not found.of(Malformed)


def test_one_unknown_instrument_leaves_the_others_alone(
    talk: Any, streams: Any
) -> None:
    found = talk("trades")
    good, bad = streams("trades"), streams("trades", "NOPE-USDT")
    found.do(found.session.subscribe([bad, good], found.now))
    found.run(3)
    assert [item.subscription for item in found.of(Rejected)] == [bad]
    assert [item.subscription for item in found.of(Acked)] == [good]


def test_a_resync_brings_a_new_snapshot(talk: Any, streams: Any) -> None:
    found = talk("books")
    found.do(found.session.subscribe([streams("books")], found.now))
    found.run(2)
    assert len(found.of(BookSnapshot)) == 1
    found.do(found.session.resync(streams("books"), found.now))
    found.run(2)
    assert len(found.of(BookSnapshot)) == 2


def test_balances_come_after_a_login(talk: Any, streams: Any) -> None:
    found = talk(
        "account",
        api_key=Secret(DEFAULT_KEY.key),
        api_secret=Secret(DEFAULT_KEY.secret),
        passphrase=Secret(DEFAULT_KEY.passphrase),
    )
    found.do(found.session.subscribe([streams("account", "")], found.now))
    found.run(10)
    assert found.of(LoggedIn) == [LoggedIn()]
    assert any(balance.snapshot for balance in found.of(Balance))
    assert not found.of(Malformed)


def test_instruments_and_the_clock_are_read(talk: Any) -> None:
    found = talk("trades")
    adapter, config = found.adapter, found.config
    for market in "spot", "swap":
        response = found.fetch(adapter.instruments(config, market).request)
        assert adapter.classify(response).kind.value == "ok"
        assert {i.market for i in adapter.read_instruments(response)} == {market}
    response = found.fetch(adapter.server_time(config).request)
    assert abs(adapter.read_server_time(response) - found.now_ns) < SECOND


def test_backfill_finds_every_fill_that_the_ledger_has(talk: Any, streams: Any) -> None:
    found = talk("trades")
    stream = streams("trades")
    found.do(found.session.subscribe([stream], found.now))
    found.run(40)
    newest = found.adapter.probe(found.config, stream)
    newest_id, _ = found.adapter.read_probe(found.fetch(newest.request))
    low, high = newest_id - 250, newest_id - 20
    gap = Gap(stream, 1, 0, low, high, None, None, "disconnect", 0)
    backfill = found.adapter.backfill(found.config, gap)
    trades = []
    while (fetch := backfill.next()) is not None:
        trades += backfill.read(found.fetch(fetch.request)).trades
    expected = {
        fill.id: (D(fill.price), D(fill.size), fill.side, fill.exchange_ns)
        for fill in found.ledger.fills
        if (fill.market, fill.symbol) == ("spot", "BTC-USDT") and low <= fill.id <= high
    }
    assert len(trades) == len(expected) > 200
    assert expected == {
        trade.last_id: (trade.price, trade.size, trade.side, trade.exchange_ns)
        for trade in trades
    }
    assert found.venue.police.total == 0
