"""The session and the simulated venue talk to each other, in memory."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

from tapeline.clock import Now
from tapeline.hookspecs import SimFrame, SimPing
from tapeline.integrity import BookChange, LocalBook
from tapeline.model import (
    Acked,
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Fetch,
    Gap,
    LoggedIn,
    Malformed,
    MarketDataPoint,
    Rejected,
    Request,
    Response,
    Secret,
    Send,
    Ticker,
    Trade,
)
from tapeline.testing import START_NS, Ledger, Market
from tapeline_binance.simulator import BinanceSimulator
from tapeline_binance.simulator_account import DEFAULT_KEY
from tapeline_binance.simulator_habits import Habits

D = Decimal
SECOND = 10**9


@attrs.define
class Talk:
    """One session on one simulated socket; REST answers a moment later."""

    adapter: Any
    config: Any
    route: Any
    habits: Habits
    ledger: Ledger = attrs.field(factory=Ledger)
    items: list[Any] = attrs.field(factory=list)
    sent: list[str] = attrs.field(factory=list)
    waiting: list[tuple[int, Fetch]] = attrs.field(factory=list)
    now_ns: int = START_NS + 60 * SECOND
    venue: Any = attrs.field(init=False)
    session: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        market = Market(1, rate_hz=20.0, ledger=self.ledger)
        self.venue = BinanceSimulator(market, habits=self.habits)
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
                self.sent.append(action.frame)
                self.venue.receive(1, action.frame, self.now_ns)
            elif isinstance(action, Fetch):
                self.waiting.append((self.now_ns + SECOND // 3, action))
        for output in self.venue.outputs():
            if isinstance(output, SimPing):
                self.venue.pong(1, output.payload, self.now_ns)
                continue
            assert isinstance(output, SimFrame)
            self.take(self.session.parse(output.frame, self.now_ns))

    def take(self, found: Any) -> None:
        self.items += found
        self.do([item for item in found if isinstance(item, Send | Fetch)])

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.now_ns += SECOND // 10
            self.venue.advance(self.now_ns)
            self.do(self.session.tick(self.now).actions)
            due = [fetch for at_ns, fetch in self.waiting if at_ns <= self.now_ns]
            self.waiting = [w for w in self.waiting if w[0] > self.now_ns]
            for fetch in due:
                response = attrs.evolve(self.send(fetch.request), tag=fetch.tag)
                if self.adapter.classify(response).kind.value == "ok":
                    self.take(self.session.respond(response, self.now))

    def send(self, request: Request) -> Response:
        signed = request
        if request.private:
            signed = self.adapter.sign(self.config, request, self.now)
        url = urlsplit(signed.url)
        target = f"{url.path}?{url.query}" if url.query else url.path
        answer = self.venue.request("GET", target, signed.headers, self.now_ns)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(request, answer.status, headers, answer.body, self.now_ns)

    def of(self, kind: type[Any], stream: Any = None) -> list[Any]:
        found = [item for item in self.items if isinstance(item, kind)]
        return found if stream is None else [i for i in found if i.stream == stream]


@pytest.fixture
def talk(adapter: Any) -> Any:
    """Starts talking, on the socket that a stream needs."""

    def start(stream: Any, habits: Habits | None = None, **options: Any) -> Talk:
        config = adapter.config(
            ws_url="ws://127.0.0.1:1", rest_url="http://127.0.0.1:1", **options
        )
        route = adapter.route(config, None, stream)
        return Talk(adapter, config, route, habits or Habits())

    return start


KINDS = {"trade": Trade, "ticker": Ticker, "candle": Candle}


@pytest.mark.parametrize(
    ("market", "channels"),
    [
        (
            "spot",
            (
                "aggTrade",
                "trade",
                "ticker",
                "bookTicker",
                "depth20@100ms",
                "depth@100ms",
                "kline_1s",
            ),
        ),
        ("swap", ("depth5@100ms", "depth@100ms", "bookTicker")),
        ("swap", ("aggTrade", "ticker")),
    ],
)
def test_public_streams_are_acknowledged_and_understood(
    talk: Any, streams: Any, market: str, channels: tuple[str, ...]
) -> None:
    wanted = [
        streams(channel, symbol, market)
        for channel in channels
        for symbol in ("BTC-USDT", "ETH-USDT")
    ]
    found = talk(wanted[0])
    found.do(found.session.subscribe(wanted, found.now))
    found.run(20)
    assert [ack.subscription for ack in found.of(Acked)] == wanted
    assert not found.of(Malformed)
    assert not found.of(Rejected)
    for stream in wanted:
        events = found.of(MarketDataPoint, stream)
        assert len(events) > 1, stream
        kind = KINDS.get(stream.data_type)
        expected = (kind,) if kind else (BookSnapshot, BookDelta)
        assert all(isinstance(event, expected) for event in events)
        if kind is Trade:
            for before, after in pairwise(events):
                assert after.first_id == before.last_id + 1


@pytest.mark.parametrize("market", ["spot", "swap"])
@pytest.mark.parametrize("lag_s", [0.0, 0.4, 2.0])
def test_a_book_of_changes_is_the_venues_book(
    talk: Any, streams: Any, market: str, lag_s: float
) -> None:
    """Also when snapshots are older than the first change, and are asked for again."""
    stream = streams("depth@100ms", "BTC-USDT", market)
    found = talk(stream, Habits(depth_lag_s=lag_s))
    found.do(found.session.subscribe([stream], found.now))
    found.run(20)
    book = LocalBook(stream)
    events = [e for e in found.items if isinstance(e, BookDelta | BookSnapshot)]
    changes = [book.apply(event) for event in events]
    assert BookChange.BROKEN not in changes
    assert book.valid
    found.venue.habits = Habits()
    whole = found.adapter.session(found.config, {}, found.route)
    whole.subscribe([stream], found.now)
    (_, fetch) = whole.parse('{"result":null,"id":1}', found.now_ns)
    (snapshot,) = whole.respond(
        attrs.evolve(found.send(fetch.request), tag=fetch.tag), found.now
    )
    if lag_s == 0.0:
        assert book.last_id == snapshot.last_id
        bids, asks = book.top(20)
        assert bids == list(snapshot.bids[:20])
        assert asks == list(snapshot.asks[:20])


def test_a_resync_brings_a_new_snapshot(talk: Any, streams: Any) -> None:
    stream = streams("depth@100ms")
    found = talk(stream)
    found.do(found.session.subscribe([stream], found.now))
    found.run(2)
    assert len(found.of(BookSnapshot)) == 1
    found.do(found.session.resync(stream, found.now))
    found.run(2)
    assert len(found.of(BookSnapshot)) == 2


def test_an_unknown_symbol_is_acknowledged_and_silent(talk: Any, streams: Any) -> None:
    """Silence is for core to judge: the venue never says that there is no such."""
    good, bad = streams("aggTrade"), streams("aggTrade", "NOPE-USDT")
    found = talk(good)
    found.do(found.session.subscribe([bad, good], found.now))
    found.run(5)
    assert {item.subscription for item in found.of(Acked)} == {bad, good}
    assert not found.of(Trade, bad)
    assert found.of(Trade, good)


@pytest.mark.parametrize("flat", [False, True])
def test_where_the_venue_does_say_so_the_others_are_left_alone(
    talk: Any, streams: Any, flat: bool
) -> None:
    bad = streams("aggTrade", "NOPE-USDT")
    good = [streams("aggTrade", s) for s in ("BTC-USDT", "ETH-USDT", "SOL-USDT")]
    found = talk(bad, Habits(unknown_streams="error", flat_errors=flat))
    found.do(found.session.subscribe([*good, bad], found.now))
    found.run(5)
    assert [item.subscription for item in found.of(Rejected)] == [bad]
    assert {item.subscription for item in found.of(Acked)} == set(good)
    assert all(found.of(Trade, stream) for stream in good)


def test_hundreds_of_streams_go_in_frames_that_the_venue_reads(
    talk: Any, streams: Any
) -> None:
    """A frame above 4096 bytes would not even be answered."""
    wanted = [streams("aggTrade", f"LONGNAME{i}-USDT") for i in range(450)]
    found = talk(wanted[0])
    found.do(found.session.subscribe(wanted, found.now)[:3])
    found.run(1)
    assert all(len(frame) <= 4_000 for frame in found.sent)
    assert 300 < len(found.of(Acked)) < 450


def test_balances_come_from_the_account_and_its_events(talk: Any, streams: Any) -> None:
    stream = streams("userDataStream", "*")
    key = {
        "api_key": Secret(DEFAULT_KEY.key),
        "api_secret": Secret(DEFAULT_KEY.secret),
    }
    found = talk(stream, Habits(account_s=1.0), **key)
    found.run(1)
    assert found.of(LoggedIn) == [LoggedIn()]
    found.do(found.session.subscribe([stream], found.now))
    found.run(10)
    assert [ack.subscription for ack in found.of(Acked)] == [stream]
    balances = found.of(Balance)
    assert {balance.snapshot for balance in balances} == {True, False}
    for balance in balances:
        assert balance.total == balance.free + balance.locked
    times: dict[str, int] = {}
    for balance in balances:
        assert balance.exchange_ns >= times.get(balance.asset, 0)
        times[balance.asset] = balance.exchange_ns
    assert not found.of(Malformed)
    assert found.session.health(found.now).ok


def test_a_wrong_key_is_refused_for_good(talk: Any, streams: Any) -> None:
    stream = streams("userDataStream", "*")
    key = {"api_key": Secret("no-such-key"), "api_secret": Secret("no-such-secret")}
    found = talk(stream, **key)
    found.run(1)
    (refusal,) = found.of(Rejected)
    assert refusal.subscription is None
    assert refusal.permanent
    assert found.session.closed(1008, "").value == "fatal"
    assert not found.session.health(found.now).ok


def test_instruments_and_the_clock_are_read(talk: Any, streams: Any) -> None:
    found = talk(streams("aggTrade"))
    adapter, config = found.adapter, found.config
    for market in "spot", "swap":
        response = found.send(adapter.instruments(config, market).request)
        assert adapter.classify(response).kind.value == "ok"
        assert {i.market for i in adapter.read_instruments(response)} == {market}
    response = found.send(adapter.server_time(config).request)
    assert abs(adapter.read_server_time(response) - found.now_ns) < SECOND
    assert adapter.classify(response).used == {"weight": 21}


@pytest.mark.parametrize("market", ["spot", "swap"])
def test_backfill_finds_every_trade_that_came_live(
    talk: Any, streams: Any, market: str
) -> None:
    stream = streams("aggTrade", "BTC-USDT", market)
    found = talk(stream)
    found.do(found.session.subscribe([stream], found.now))
    found.run(60)
    newest = found.adapter.probe(found.config, stream)
    newest_id, _ = found.adapter.read_probe(found.send(newest.request))
    live = {trade.last_id: trade for trade in found.of(Trade)}
    low, high = min(live) + 5, newest_id - 5
    gap = Gap(stream, 1, 0, low, high, None, None, "disconnect", 0)
    backfill = found.adapter.backfill(found.config, gap)
    trades, proven = [], set()
    while (fetch := backfill.next()) is not None:
        page = backfill.read(found.send(fetch.request))
        trades += page.trades
        proven |= set(range(page.proven_from_id, page.proven_to_id + 1))
    assert proven == set(range(low, high + 1))
    assert len(trades) == len(proven) > 50
    for trade in trades:
        sent = live[trade.last_id]
        assert trade == attrs.evolve(
            sent, received_ns=trade.received_ns, source="backfill"
        )
    assert found.venue.police.total == 0


def test_backfill_of_single_fills_uses_the_key(talk: Any, streams: Any) -> None:
    stream = streams("trade")
    key = {
        "api_key": Secret(DEFAULT_KEY.key),
        "api_secret": Secret(DEFAULT_KEY.secret),
    }
    found = talk(stream, **key)
    found.do(found.session.subscribe([stream], found.now))
    found.run(40)
    live = [trade.last_id for trade in found.of(Trade)]
    gap = Gap(stream, 1, 0, live[3], live[-4], None, None, "disconnect", 0)
    backfill = found.adapter.backfill(found.config, gap)
    (fetch,) = [backfill.next()]
    page = backfill.read(found.send(fetch.request))
    assert [trade.last_id for trade in page.trades] == live[3:-3]
    assert backfill.next() is None
