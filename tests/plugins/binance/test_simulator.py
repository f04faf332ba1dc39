"""The simulator's streams, against the venue's documented frames."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from tapeline.errors import UsageError
from tapeline.hookspecs import SimFrame, SimPing, SimRefusal
from tapeline.testing import (
    DEFAULT_INSTRUMENTS,
    START_NS,
    Fault,
    Ledger,
    Market,
    SimInstrument,
)
from tapeline_binance.simulator import BinanceSimulator
from tapeline_binance.simulator_habits import Habits

SECOND = 10**9
NOW = START_NS + 65 * SECOND
PATHS = ("/ws", "/stream", "/public/ws", "/market/ws")
RAW, COMBINED, PUBLIC, MARKET = 1, 2, 3, 4


class Driver:
    """A simulator, sockets on its paths and a clock."""

    def __init__(
        self,
        *faults: Fault,
        rate_hz: float = 20.0,
        paths: Sequence[str] = PATHS,
        **habits: Any,
    ) -> None:
        self.ledger = Ledger()
        market = Market(1, rate_hz=rate_hz, ledger=self.ledger)
        self.venue = BinanceSimulator(market, faults=faults, habits=Habits(**habits))
        self.now_ns = NOW
        for conn, path in enumerate(paths, 1):
            assert self.venue.open(conn, path, {}, self.now_ns) is None

    def send(self, conn: int, request: object) -> list[Any]:
        """Send a request; what came back at once."""
        text = request if isinstance(request, str) else json.dumps(request)
        self.venue.receive(conn, text, self.now_ns)
        return self.read(conn)

    def call(self, conn: int, method: str, params: object = None) -> Any:
        """The only answer to a request."""
        request = {"method": method, "id": 1}
        if params is not None:
            request["params"] = params
        (answer,) = self.send(conn, request)
        return answer

    def subscribe(self, conn: int, *streams: str) -> None:
        """Subscribe; the ack must be good and come alone."""
        ack = self.call(conn, "SUBSCRIBE", list(streams))
        assert ack == {"result": None, "id": 1}

    def advance(self, seconds: float, conn: int) -> list[Any]:
        """Let time pass, pongs included; what came on one connection."""
        found: list[Any] = []
        end_ns = self.now_ns + int(seconds * SECOND)
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + 10 * SECOND)
            self.venue.advance(self.now_ns)
            found += self.read(conn)
        return found

    def read(self, conn: int) -> list[Any]:
        """What is to be sent on one connection; frames decoded."""
        found: list[Any] = []
        for output in self.venue.outputs():
            if isinstance(output, SimPing):
                self.venue.pong(output.conn, output.payload, self.now_ns)
            elif output.conn == conn:
                if isinstance(output, SimFrame):
                    found.append(json.loads(output.frame))
                else:
                    found.append(output)
        return found


def _shape(value: object) -> object:
    """Keys and types of a wire object, without its values."""
    if isinstance(value, Mapping):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/other",
        "/stream/nonsense",
        "/private",
        "/public",
        "/fapi/ws",
        "/ws-api/v4",
    ],
)
def test_other_paths_are_not_found(path: str) -> None:
    refusal = Driver().venue.open(9, path, {}, NOW)

    assert isinstance(refusal, SimRefusal)
    assert refusal.status == 404


def test_a_bad_time_unit_is_refused() -> None:
    for path in ("/ws?timeUnit=NANOSECOND", "/ws-api/v3?timeUnit=x"):
        refusal = Driver().venue.open(9, path, {}, NOW)
        assert isinstance(refusal, SimRefusal)
        assert refusal.status == 400


EXAMPLES = {
    (RAW, "btcusdt@trade"): (
        '{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100",'
        '"T":1672515782136,"m":true,"M":true}'
    ),
    (RAW, "btcusdt@aggTrade"): (
        '{"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":12345,"p":"0.001",'
        '"q":"100","f":100,"l":105,"T":1672515782136,"m":true,"M":true}'
    ),
    (RAW, "btcusdt@depth5@100ms"): (
        '{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}'
    ),
    (RAW, "btcusdt@bookTicker"): (
        '{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000",'
        '"a":"25.36520000","A":"40.66000000"}'
    ),
    (RAW, "btcusdt@ticker"): (
        '{"e":"24hrTicker","E":1,"s":"BNBBTC","p":"0.0015","P":"250.00","w":"0.0018",'
        '"x":"0.0009","c":"0.0025","Q":"10","b":"0.0024","B":"10","a":"0.0026",'
        '"A":"100","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18","O":0,'
        '"C":86400000,"F":0,"L":18150,"n":18151}'
    ),
    (RAW, "btcusdt@miniTicker"): (
        '{"e":"24hrMiniTicker","E":1,"s":"B","c":"1","o":"1","h":"1","l":"1","v":"1",'
        '"q":"1"}'
    ),
    (RAW, "btcusdt@kline_1m"): (
        '{"e":"kline","E":1672515782136,"s":"BNBBTC","k":{"t":1672515780000,'
        '"T":1672515839999,"s":"BNBBTC","i":"1m","f":100,"L":200,"o":"0.0010",'
        '"c":"0.0020","h":"0.0025","l":"0.0015","v":"1000","n":100,"x":false,'
        '"q":"1.0000","V":"500","Q":"0.500","B":"123456"}}'
    ),
    (MARKET, "btcusdt@aggTrade"): (
        '{"e":"aggTrade","E":1,"s":"BTCUSDT","a":1,"p":"0.1","q":"1","f":1,"l":1,'
        '"T":1,"m":true,"nq":"1","st":1}'
    ),
    (PUBLIC, "btcusdt@bookTicker"): (
        '{"e":"bookTicker","u":1,"s":"B","ps":"B","b":"1","B":"1","a":"1","A":"1",'
        '"T":1,"E":1,"st":1}'
    ),
}


@pytest.mark.parametrize(("conn", "stream"), list(EXAMPLES))
def test_events_have_the_documented_keys_in_order_and_types(
    conn: int, stream: str
) -> None:
    driver = Driver()
    driver.subscribe(conn, stream)
    event = driver.advance(3, conn)[0]
    example = json.loads(EXAMPLES[conn, stream])

    assert _shape(event) == _shape(example)
    assert list(event) == list(example)


def test_prices_keep_their_trailing_zeros() -> None:
    driver = Driver()
    driver.subscribe(RAW, "btcusdt@bookTicker")
    driver.subscribe(PUBLIC, "btcusdt@bookTicker")
    spot = driver.advance(3, RAW)[0]
    future = driver.advance(3, PUBLIC)[0]

    assert [len(spot[key].partition(".")[2]) for key in "bBaA"] == [8] * 4
    assert [len(future[key].partition(".")[2]) for key in "bBaA"] == [1, 4, 1, 4]


@pytest.mark.parametrize(("conn", "market"), [(RAW, "spot"), (MARKET, "swap")])
def test_aggregates_cover_every_fill_of_the_ledger(conn: int, market: str) -> None:
    driver = Driver()
    driver.subscribe(conn, "btcusdt@aggTrade")
    before = driver.ledger.total
    events = driver.advance(20, conn)
    fills = {
        fill.id: fill
        for fill in driver.ledger.fills[before:]
        if (fill.market, fill.symbol) == (market, "BTC-USDT")
    }

    seen: list[int] = []
    for event in events:
        ids = range(event["f"], event["l"] + 1)
        seen += ids
        parts = [fills[i] for i in ids]
        assert {part.exchange for part in parts} == {"binance"}
        assert {part.aggregate_id for part in parts} == {event["a"]}
        assert {Decimal(part.price) for part in parts} == {Decimal(event["p"])}
        assert {part.side for part in parts} == {"sell" if event["m"] else "buy"}
        assert {part.exchange_ns for part in parts} == {event["T"] * 1_000_000}
        assert sum(Decimal(part.size) for part in parts) == Decimal(event["q"])
    assert sorted(fills) == seen
    assert all(two["a"] == one["a"] + 1 for one, two in pairwise(events))
    assert all(two["f"] == one["l"] + 1 for one, two in pairwise(events))
    assert any(event["l"] > event["f"] for event in events)


def test_trades_are_single_fills() -> None:
    driver = Driver()
    driver.subscribe(RAW, "ethusdt@trade")
    before = driver.ledger.total
    events = driver.advance(10, RAW)
    fills = [f for f in driver.ledger.fills[before:] if f.symbol == "ETH-USDT"]

    expected = [(f.id, Decimal(f.price), Decimal(f.size)) for f in fills]
    spot = [
        found
        for found, fill in zip(expected, fills, strict=True)
        if fill.market == "spot"
    ]
    assert [(e["t"], Decimal(e["p"]), Decimal(e["q"])) for e in events] == spot


def test_sizes_of_swaps_are_in_the_base_currency() -> None:
    driver = Driver()
    (found,) = [
        known for known in DEFAULT_INSTRUMENTS if known.key == ("swap", "ETH-USDT")
    ]
    feed = driver.venue.market.feed("swap", "ETH-USDT")

    assert found.contract_size == Decimal("0.1")
    assert feed.instrument.contract_size is None
    assert feed.instrument.lot_size == Decimal("0.001")
    sizes = [Decimal(f.size) for f in driver.ledger.fills if f.market == "swap"]
    assert sizes
    assert all(size % Decimal("0.0001") == 0 for size in sizes)


def test_a_market_that_traded_contracts_already_is_refused() -> None:
    market = Market(1)
    market.advance(START_NS + 60 * SECOND)

    with pytest.raises(UsageError, match="fresh market"):
        BinanceSimulator(market)


def test_a_coin_settled_contract_is_refused() -> None:
    one = Decimal(1)
    coin = SimInstrument(
        "swap", "BTC-USD", "BTC", "USD", one, one, one, Decimal(60_000), settle="BTC"
    )

    with pytest.raises(UsageError, match="linear"):
        BinanceSimulator(Market(1, [coin]))


def test_a_dated_future_is_spelled_with_its_day() -> None:
    one = Decimal(1)
    dated = SimInstrument(
        "future", "BTC-USDT-260327", "BTC", "USDT", one, one, one, Decimal(60_000)
    )
    venue = BinanceSimulator(Market(1, [dated]))
    answer = venue.request("GET", "/fapi/v1/exchangeInfo", {}, NOW)
    (row,) = json.loads(answer.body)["symbols"]

    assert (row["symbol"], row["pair"]) == ("BTCUSDT_260327", "BTCUSDT")
    assert (row["contractType"], row["deliveryDate"]) == (
        "CURRENT_QUARTER",
        1_774_598_400_000,
    )


def test_streams_in_the_url_flow_without_a_request() -> None:
    paths = (
        "/ws/btcusdt@aggTrade/ethusdt@aggTrade",
        "/stream?streams=btcusdt@aggTrade/btcusdt%40bookTicker",
    )
    driver = Driver(paths=paths)
    driver.venue.advance(NOW)
    outputs = driver.advance(5, 1)
    assert {event["s"] for event in outputs} == {"BTCUSDT", "ETHUSDT"}
    outputs = driver.advance(5, 2)
    assert {event["stream"] for event in outputs} == {
        "btcusdt@aggTrade",
        "btcusdt@bookTicker",
    }
    assert all(set(event) == {"stream", "data"} for event in outputs)


def test_the_wrapper_follows_the_property_and_acks_are_never_wrapped() -> None:
    driver = Driver()
    driver.subscribe(COMBINED, "btcusdt@bookTicker")
    assert driver.call(COMBINED, "GET_PROPERTY", ["combined"]) == {
        "result": True,
        "id": 1,
    }
    assert "stream" in driver.advance(2, COMBINED)[0]
    ack = driver.call(COMBINED, "SET_PROPERTY", ["combined", False])
    assert ack == {"result": None, "id": 1}
    assert "stream" not in driver.advance(2, COMBINED)[0]
    assert driver.call(RAW, "GET_PROPERTY", ["combined"])["result"] is False


def test_microseconds_change_all_times_of_one_connection() -> None:
    paths = ("/ws/btcusdt@kline_1m?timeUnit=MICROSECOND", "/ws/btcusdt@kline_1m")
    driver = Driver(paths=paths)
    driver.now_ns += 3 * SECOND
    driver.venue.advance(driver.now_ns)
    micro, milli = (
        json.loads(output.frame)
        for output in driver.venue.outputs()[:2]
        if isinstance(output, SimFrame)
    )

    assert micro["E"] == milli["E"] * 1_000
    assert micro["k"]["t"] == milli["k"]["t"] * 1_000
    assert micro["k"]["T"] == milli["k"]["T"] * 1_000 + 999


def test_unknown_streams_are_acked_listed_and_silent() -> None:
    driver = Driver()
    names = [
        "nopeusdt@trade",
        "BTCUSDT@trade",
        "btcusdt@Trade",
        "btcusdt@depth7",
        "btcusdt@depth@250ms",
        "btcusdt@kline_7m",
        "nonsense",
    ]
    driver.subscribe(RAW, *names)

    assert driver.call(RAW, "LIST_SUBSCRIPTIONS") == {"result": names, "id": 1}
    assert driver.advance(5, RAW) == []


def test_a_switch_refuses_unknown_streams() -> None:
    driver = Driver(unknown_streams="error")
    answer = driver.call(RAW, "SUBSCRIBE", ["btcusdt@trade", "nope@trade"])

    message = "Invalid request: invalid stream"
    assert answer == {"error": {"code": 2, "msg": message}, "id": 1}
    assert driver.call(RAW, "LIST_SUBSCRIPTIONS")["result"] == []


@pytest.mark.parametrize(
    ("conn", "stream"),
    [
        (MARKET, "btcusdt@depth@100ms"),
        (MARKET, "btcusdt@bookTicker"),
        (PUBLIC, "btcusdt@aggTrade"),
        (PUBLIC, "btcusdt@kline_1m"),
        (MARKET, "btcusdt@trade"),
        (MARKET, "btcusdt@kline_1s"),
        (5, "btcusdt@aggTrade"),
    ],
)
def test_a_stream_on_the_wrong_path_is_acked_and_silent(conn: int, stream: str) -> None:
    driver = Driver(paths=(*PATHS, "/private/ws?listenKey=x"))
    driver.subscribe(conn, stream)

    assert driver.advance(5, conn) == []


def test_ids_are_echoed_as_they_came() -> None:
    driver = Driver(rate_hz=0)
    for identity in (7, -(2**40), "abcDEF123", None):
        (answer,) = driver.send(
            RAW, {"method": "LIST_SUBSCRIPTIONS", "id": identity, "params": []}
        )
        assert answer == {"result": [], "id": identity}
        driver.advance(1, RAW)


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("{", 3),
        ("\x00", 3),
        ("[" * 4_000, 3),
        ("\udcff", 3),
        ("[]", 2),
        ("{}", 2),
        ('{"method":"DANCE","id":1}', 2),
        ('{"method":"SUBSCRIBE","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[3],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1.5}', 2),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":"a-b"}', 2),
        ('{"method":"SET_PROPERTY","params":["shiny",true],"id":1}', 0),
        ('{"method":"GET_PROPERTY","params":["shiny"],"id":1}', 0),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1),
        ('{"method":"SET_PROPERTY","params":["combined",true,1],"id":1}', 2),
        ('{"method":"GET_PROPERTY","params":[],"id":1}', 2),
    ],
)
def test_bad_requests_are_answered_in_both_layouts(
    request_text: str, code: int
) -> None:
    (nested,) = Driver().send(RAW, request_text)
    (flat,) = Driver(flat_errors=True).send(RAW, request_text)

    assert nested["error"]["code"] == code
    assert "id" in nested
    assert flat["code"] == code
    assert nested["error"]["msg"] == flat["msg"]


def test_subscribing_twice_is_acked_and_doubles_nothing() -> None:
    driver = Driver()
    driver.subscribe(RAW, "btcusdt@aggTrade")
    driver.subscribe(RAW, "btcusdt@aggTrade", "btcusdt@aggTrade")
    ids = [event["a"] for event in driver.advance(10, RAW)]

    assert len(ids) == len(set(ids)) > 10


def test_unsubscribing_ends_the_flow() -> None:
    driver = Driver()
    driver.subscribe(RAW, "btcusdt@aggTrade", "btcusdt@depth@100ms", "btcusdt@ticker")
    driver.advance(2, RAW)
    gone = ["btcusdt@aggTrade", "btcusdt@depth@100ms", "never@there"]
    assert driver.call(RAW, "UNSUBSCRIBE", gone) == {"result": None, "id": 1}

    assert {event["e"] for event in driver.advance(5, RAW)} == {"24hrTicker"}
    assert driver.call(RAW, "LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@ticker"]


def test_data_may_come_before_the_ack() -> None:
    driver = Driver(ack_delay_s=1.0)
    request = {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 4}
    assert driver.send(RAW, request) == []
    frames = driver.advance(3, RAW)
    place = frames.index({"result": None, "id": 4})

    assert 0 < place < len(frames) - 1


@pytest.mark.parametrize(
    ("conn", "channel", "least_ms"),
    [
        (RAW, "depth@100ms", 100),
        (RAW, "depth", 1_000),
        (RAW, "depth@1000ms", 1_000),
        (PUBLIC, "depth", 250),
        (PUBLIC, "depth@500ms", 500),
        (PUBLIC, "depth10@500ms", 500),
        (RAW, "ticker", 1_000),
        (RAW, "kline_5m", 2_000),
        (MARKET, "kline_5m", 250),
    ],
)
def test_streams_keep_their_speed(conn: int, channel: str, least_ms: int) -> None:
    driver = Driver(rate_hz=50, one_sided=0)
    driver.subscribe(conn, f"btcusdt@{channel}")
    times = [event["E"] for event in driver.advance(20, conn)]

    assert min(two - one for one, two in pairwise(times)) >= least_ms
    assert len(times) > 0.7 * 20_000 / least_ms


@pytest.mark.parametrize(("interval", "width_ms"), [("1s", 1_000), ("1m", 60_000)])
def test_bars_close_on_time_and_equal_their_fills(interval: str, width_ms: int) -> None:
    driver = Driver(rate_hz=5)
    driver.subscribe(RAW, f"btcusdt@kline_{interval}")
    events = driver.advance(180, RAW)
    bars = [event["k"] for event in events if event["k"]["x"]]
    fills = {
        fill.id: fill
        for fill in driver.ledger.fills
        if (fill.market, fill.symbol) == ("spot", "BTC-USDT")
    }

    assert len(bars) in (180 * 1_000 // width_ms, 180 * 1_000 // width_ms + 1)
    for event in events:
        if event["k"]["x"]:
            assert event["E"] == event["k"]["T"] + 1
    for bar in bars:
        assert bar["T"] == bar["t"] + width_ms - 1
        if not bar["n"]:
            assert (bar["f"], bar["L"], bar["v"]) == (-1, -1, "0.00000000")
            continue
        parts = [fills[i] for i in range(bar["f"], bar["L"] + 1) if i in fills]
        assert len(parts) == bar["n"]
        assert Decimal(bar["o"]) == Decimal(parts[0].price)
        assert Decimal(bar["c"]) == Decimal(parts[-1].price)
        assert Decimal(bar["v"]) == sum(Decimal(part.size) for part in parts)
        assert Decimal(bar["q"]) == sum(
            Decimal(part.size) * Decimal(part.price) for part in parts
        )
        assert all(bar["t"] <= p.exchange_ns // 1_000_000 <= bar["T"] for p in parts)


def test_closing_frames_can_be_lost() -> None:
    driver = Driver(lose_closes=1.0)
    driver.subscribe(RAW, "btcusdt@kline_1s")

    assert not [event for event in driver.advance(10, RAW) if event["k"]["x"]]


def test_bars_may_open_with_the_asian_day() -> None:
    driver = Driver()
    driver.subscribe(RAW, "btcusdt@kline_1d", "btcusdt@kline_1d@+08:00")
    driver.subscribe(COMBINED, "btcusdt@kline_1M", "btcusdt@kline_1w")
    opens = {event["k"]["t"] for event in driver.advance(3, RAW)}
    assert opens == {START_NS // 1_000_000, START_NS // 1_000_000 - 8 * 3_600_000}
    bars = {
        event["stream"]: event["data"]["k"] for event in driver.advance(3, COMBINED)
    }
    month, week = bars["btcusdt@kline_1M"], bars["btcusdt@kline_1w"]
    assert month["T"] - month["t"] + 1 == 31 * 86_400_000
    # 2025-12-29 was a Monday.
    assert week["t"] == START_NS // 1_000_000 - 3 * 86_400_000


def test_the_day_ticker_counts_the_days_fills() -> None:
    driver = Driver()
    driver.subscribe(RAW, "btcusdt@ticker")
    event = driver.advance(5, RAW)[-1]
    fills = [
        fill
        for fill in driver.ledger.fills
        if (fill.market, fill.symbol) == ("spot", "BTC-USDT")
        and fill.exchange_ns <= event["E"] * 1_000_000
    ]

    assert (event["F"], event["L"], event["n"]) == (
        fills[0].id,
        fills[-1].id,
        len(fills),
    )
    zero = Decimal(0)
    volume = sum((Decimal(fill.size) for fill in fills), zero)
    value = sum((Decimal(fill.size) * Decimal(fill.price) for fill in fills), zero)
    assert Decimal(event["v"]) == volume
    assert abs(Decimal(event["w"]) - value / volume) < Decimal("1e-8")
    assert Decimal(event["p"]) == Decimal(event["c"]) - Decimal(event["o"])


def test_the_same_seed_sends_the_same_frames_however_it_is_driven() -> None:
    def run(step_s: float) -> list[Any]:
        driver = Driver(
            Fault(kind="duplicate", probability=0.1),
            Fault(kind="permute", probability=0.1),
            Fault(kind="drop", probability=0.1),
            Fault(kind="abort", mean_s=15, target="one"),
        )
        streams = ["aggTrade", "depth@100ms", "bookTicker", "depth5", "kline_1s"]
        driver.subscribe(RAW, *(f"btcusdt@{name}" for name in streams))
        driver.subscribe(PUBLIC, "btcusdt@depth@100ms", "ethusdt@bookTicker")
        found: list[Any] = []
        for _ in range(round(20 / step_s)):
            driver.now_ns += int(step_s * SECOND)
            driver.venue.advance(driver.now_ns)
            found += driver.venue.outputs()
        return found

    assert run(20) == run(0.05)
