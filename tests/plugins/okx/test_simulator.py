"""The simulator's sockets, against the venue's documented frames."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from tapeline.hookspecs import SimClose, SimFrame, SimRefusal
from tapeline.testing import START_NS, Fault, Ledger, Market
from tapeline_okx.simulator import OkxSimulator

SECOND = 10**9
NOW = START_NS + 60 * SECOND
PUBLIC, BUSINESS, PRIVATE = 1, 2, 3


class Driver:
    """A simulator, its three sockets and a clock."""

    def __init__(
        self, faults: Sequence[Fault] = (), rate_hz: float = 20.0, **options: Any
    ) -> None:
        self.ledger = Ledger()
        market = Market(1, rate_hz=rate_hz, ledger=self.ledger, faults=faults)
        self.venue = OkxSimulator(market, **options)
        self.now_ns = NOW
        for conn, name in enumerate(("public", "business", "private"), 1):
            path = f"/ws/v5/{name}?brokerId=9999"
            assert self.venue.open(conn, path, {}, self.now_ns) is None

    def send(self, conn: int, request: object) -> list[Any]:
        """Send a request; what came back at once."""
        text = request if isinstance(request, str) else json.dumps(request)
        self.venue.receive(conn, text, self.now_ns)
        return self.read(conn)

    def subscribe(self, conn: int, channel: str, inst_id: str) -> list[Any]:
        """Subscribe to one channel; what came back at once."""
        arg = {"channel": channel, "instId": inst_id}
        return self.send(conn, {"op": "subscribe", "args": [arg]})

    def advance(self, seconds: float, conn: int) -> list[Any]:
        """Let time pass; what came on one connection."""
        self.now_ns += int(seconds * SECOND)
        self.venue.advance(self.now_ns)
        return self.read(conn)

    def read(self, conn: int) -> list[Any]:
        """What is to be sent on one connection; frames decoded."""
        found: list[Any] = []
        for output in self.venue.outputs():
            if output.conn != conn:
                continue
            if isinstance(output, SimFrame):
                plain = output.frame == "pong"
                found.append("pong" if plain else json.loads(output.frame))
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


def test_only_the_three_paths_are_served() -> None:
    venue = Driver().venue

    refusal = venue.open(9, "/ws/v5/other", {}, NOW + SECOND)

    assert isinstance(refusal, SimRefusal)
    assert refusal.status == 404


def test_a_text_ping_is_answered_with_a_text_pong() -> None:
    assert Driver().send(PUBLIC, "ping") == ["pong"]


def test_every_arg_is_acked_on_its_own_in_order_with_the_id() -> None:
    args = [
        {"channel": "tickers", "instId": "BTC-USDT"},
        {"channel": "trades", "instId": "NOPE-USDT"},
        {"channel": "trades", "instId": "BTC-USDT-SWAP"},
    ]
    driver = Driver()
    frames = driver.send(PUBLIC, {"id": "1512", "op": "subscribe", "args": args})
    events = [frame for frame in frames if "event" in frame]
    conn_id = events[0]["connId"]

    assert [event["event"] for event in events] == ["subscribe", "error", "subscribe"]
    assert events[0] == {
        "id": "1512",
        "event": "subscribe",
        "arg": args[0],
        "connId": conn_id,
    }
    assert events[1]["code"] == "60018"
    assert "arg" not in events[1]
    assert "channel:trades,instId:NOPE-USDT" in events[1]["msg"]
    assert len(conn_id) == 8
    assert int(conn_id, 16) >= 0
    ended = driver.send(PUBLIC, {"op": "unsubscribe", "args": args[:1]})
    assert ended[-1] == {"event": "unsubscribe", "arg": args[0], "connId": conn_id}
    assert not [
        frame
        for frame in driver.advance(5, PUBLIC)
        if frame["arg"]["channel"] == "tickers"
    ]


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("{", "60012"),
        ("[]", "60012"),
        ('{"op":"subscribe","argss":[]}', "60012"),
        ('{"op":"subscribe","args":[3]}', "60012"),
        ('{"op":"subscribe","args":[{"instId":"BTC-USDT"}]}', "60012"),
        ('{"op":"dance","args":[{}]}', "60019"),
        ('{"op":"subscribe","args":[{"channel":"candle1m","instId":"X"}]}', "64001"),
        ('{"op":"subscribe","args":[{"channel":"account"}]}', "60018"),
        (
            '{"op":"subscribe","args":[{"channel":"instruments","instType":[]}]}',
            "60018",
        ),
        ("\udcff{", "60012"),
        ("[" * 5_000, "60012"),
    ],
)
def test_bad_requests_are_answered_with_the_venues_code(
    request_text: str, code: str
) -> None:
    (answer,) = Driver().send(PUBLIC, request_text)

    assert (answer["event"], answer["code"]) == ("error", code)


def test_a_channel_on_the_wrong_socket_is_refused() -> None:
    assert Driver().subscribe(BUSINESS, "trades", "BTC-USDT")[0]["code"] == "64002"
    old = Driver(routing_codes=False)
    assert old.subscribe(BUSINESS, "trades", "BTC-USDT")[0]["code"] == "60018"
    assert old.subscribe(PUBLIC, "candle1m", "BTC-USDT")[0]["code"] == "60018"


def test_requests_beyond_480_an_hour_are_refused_and_counted() -> None:
    driver = Driver(rate_hz=0)
    request = {
        "op": "unsubscribe",
        "args": [{"channel": "trades", "instId": "BTC-USDT"}],
    }
    answers = [driver.send(PUBLIC, request)[0] for _ in range(481)]

    assert answers[479]["event"] == "unsubscribe"
    assert answers[480]["code"] == "60014"
    assert driver.venue.police.violations == {"requests": 1}
    assert driver.send(BUSINESS, request)[0]["event"] == "unsubscribe"


def test_a_frame_above_64_kilobytes_closes_the_socket() -> None:
    driver = Driver()

    (close,) = driver.send(PUBLIC, " " * (64 * 1024 + 1))

    assert (close.conn, close.code) == (PUBLIC, 1009)
    assert driver.venue.police.violations == {"frame-size": 1}


def test_an_idle_socket_is_closed_with_4004_and_a_ping_keeps_it() -> None:
    driver = Driver(rate_hz=0)
    driver.advance(20, PUBLIC)
    driver.send(BUSINESS, "ping")

    (close,) = driver.advance(15, PUBLIC)

    assert close == SimClose(PUBLIC, 4004, "No data received in 30s.")
    assert BUSINESS in driver.venue.connections
    assert driver.advance(20, BUSINESS) == [SimClose(BUSINESS, 4004, close.reason)]


def test_trades_have_the_documented_shape_and_cover_every_fill() -> None:
    driver = Driver(cached_trade=None)
    driver.subscribe(PUBLIC, "trades", "BTC-USDT")
    before = driver.ledger.total
    frames = driver.advance(20, PUBLIC)
    example = json.loads(
        '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT",'
        '"tradeId":"130639474","px":"42219.9","sz":"0.12060306","side":"buy",'
        '"ts":"1630048897897","count":"3","source":"0","seqId":1234}]}'
    )
    fills = {
        fill.id: fill
        for fill in driver.ledger.fills[before:]
        if (fill.market, fill.symbol) == ("spot", "BTC-USDT")
    }

    seen: list[int] = []
    for frame in frames:
        assert _shape(frame) == _shape(example)
        (row,) = frame["data"]
        last, count = int(row["tradeId"]), int(row["count"])
        ids = range(last - count + 1, last + 1)
        seen += ids
        assert {fills[i].price for i in ids} == {row["px"]}
        assert {fills[i].side for i in ids} == {row["side"]}
        assert {fills[i].exchange_ns for i in ids} == {int(row["ts"]) * 1_000_000}
        assert sum(Decimal(fills[i].size) for i in ids) == Decimal(row["sz"])
    assert sorted(fills) == seen
    assert max(int(frame["data"][0]["count"]) for frame in frames) > 1


def test_trades_all_has_one_fill_an_update() -> None:
    driver = Driver()
    driver.subscribe(BUSINESS, "trades-all", "BTC-USDT-SWAP")
    before = driver.ledger.total
    rows = [frame["data"][0] for frame in driver.advance(10, BUSINESS)]
    fills = [
        fill
        for fill in driver.ledger.fills[before:]
        if (fill.market, fill.symbol) == ("swap", "BTC-USDT")
    ]

    assert [int(row["tradeId"]) for row in rows] == [fill.id for fill in fills]
    assert [row["sz"] for row in rows] == [fill.size for fill in fills]
    assert set(rows[0]) == {"instId", "tradeId", "px", "sz", "side", "source", "ts"}


@pytest.mark.parametrize("back", [0, 3])
def test_an_old_trade_may_follow_the_ack(back: int) -> None:
    driver = Driver(cached_trade=back)
    ack, old = driver.subscribe(PUBLIC, "trades", "BTC-USDT")
    feed = driver.venue.market.feed("spot", "BTC-USDT")

    assert ack["event"] == "subscribe"
    assert old["data"][0]["tradeId"] == str(feed.executions[-1 - back].last_id)


def test_subscribing_twice_is_acked_twice_and_doubles_nothing() -> None:
    driver = Driver(cached_trade=None)
    driver.subscribe(PUBLIC, "trades", "BTC-USDT")
    (ack,) = driver.subscribe(PUBLIC, "trades", "BTC-USDT")
    ids = [frame["data"][0]["tradeId"] for frame in driver.advance(10, PUBLIC)]

    assert ack["event"] == "subscribe"
    assert len(ids) == len(set(ids)) > 10


@pytest.mark.parametrize("rate_hz", [20.0, 200.0])
def test_a_books_chain_rebuilds_the_book(rate_hz: float) -> None:
    driver = Driver(rate_hz=rate_hz)
    ack, snapshot = driver.subscribe(PUBLIC, "books", "BTC-USDT")
    first = snapshot["data"][0]
    assert ack["event"] == "subscribe"
    assert snapshot["action"] == "snapshot"
    assert (first["prevSeqId"], first["checksum"]) == (-1, 0)
    assert len(first["asks"]) == len(first["bids"]) == 400

    book = {
        side: {level[0]: level for level in first[side]} for side in ("asks", "bids")
    }
    last, steps, times = first["seqId"], set(), [int(first["ts"])]
    for frame in driver.advance(10, PUBLIC):
        (row,) = frame["data"]
        assert frame["action"] == "update"
        assert row["prevSeqId"] == last
        assert row["seqId"] > last
        steps.add(row["seqId"] - last)
        last = row["seqId"]
        times.append(int(row["ts"]))
        for side in ("asks", "bids"):
            for level in row[side]:
                assert [type(item) for item in level] == [str] * 4
                if level[1] == "0":
                    assert level == [level[0], "0", "0", "0"]
                    del book[side][level[0]]
                else:
                    book[side][level[0]] = level
    assert len(steps) > 5
    assert all(two - one >= 100 for one, two in pairwise(times[1:]))
    # A second listener gets the state that the chain has reached.
    assert driver.venue.open(7, "/ws/v5/public", {}, driver.now_ns) is None
    fresh = driver.subscribe(7, "books", "BTC-USDT")[1]["data"][0]
    assert fresh["seqId"] == last
    for side in ("asks", "bids"):
        best_first = sorted(book[side].values(), key=lambda level: Decimal(level[0]))
        if side == "bids":
            best_first.reverse()
        assert fresh[side] == best_first


def test_a_quiet_book_beats_with_equal_sequence_ids() -> None:
    driver = Driver(rate_hz=0, idle_s=300)
    _, snapshot = driver.subscribe(PUBLIC, "books", "BTC-USDT")
    last = snapshot["data"][0]["seqId"]

    beats = driver.advance(121, PUBLIC)

    assert [beat["data"][0] for beat in beats] == [
        {
            "asks": [],
            "bids": [],
            "ts": str((NOW + seconds * SECOND) // 1_000_000),
            "checksum": 0,
            "prevSeqId": last,
            "seqId": last,
        }
        for seconds in (60, 120)
    ]


def test_a_reset_goes_on_from_a_smaller_sequence_id() -> None:
    driver = Driver([Fault(kind="reset-sequence", at_s=2)])
    driver.subscribe(PUBLIC, "books", "BTC-USDT")
    rows = [frame["data"][0] for frame in driver.advance(5, PUBLIC)]

    resets = [row for row in rows if row["seqId"] < row["prevSeqId"]]
    assert len(resets) == 1
    assert all(two["prevSeqId"] == one["seqId"] for one, two in pairwise(rows))


def test_a_crossed_book_is_repaired_by_the_next_update() -> None:
    driver = Driver([Fault(kind="crossed-book", at_s=2)], rate_hz=50)
    _, snapshot = driver.subscribe(PUBLIC, "books", "BTC-USDT")
    (first,) = snapshot["data"]
    asks = {Decimal(level[0]) for level in first["asks"]}
    bids = {Decimal(level[0]) for level in first["bids"]}
    crossed = 0
    for frame in driver.advance(5, PUBLIC):
        (row,) = frame["data"]
        for mine, levels in ((asks, row["asks"]), (bids, row["bids"])):
            for level in levels:
                price = Decimal(level[0])
                if level[1] == "0":
                    mine.discard(price)
                else:
                    mine.add(price)
        crossed += max(bids) >= min(asks)

    assert crossed == 1
    assert max(bids) < min(asks)


def test_snapshot_channels_send_whole_states_under_rising_ids() -> None:
    examples = {
        "books5": '{"arg":{"channel":"books5","instId":"B"},"data":[{"asks":[["1","5",'
        '"0","2"]],"bids":[["1","5","0","2"]],"instId":"B","ts":"1","seqId":3}]}',
        "bbo-tbt": '{"arg":{"channel":"bbo-tbt","instId":"B"},"data":[{"asks":[["1","5"'
        ',"0","2"]],"bids":[["1","5","0","2"]],"ts":"1","seqId":3}]}',
    }
    for channel, example in examples.items():
        driver = Driver(rate_hz=100)
        _, *frames = driver.subscribe(PUBLIC, channel, "ETH-USDT-SWAP")
        frames += driver.advance(5, PUBLIC)
        rows = [frame["data"][0] for frame in frames]
        gap = 100 if channel == "books5" else 10
        assert [_shape(frame) for frame in frames] == [
            _shape(json.loads(example))
        ] * len(frames)
        assert {len(row["asks"]) for row in rows} == {5 if channel == "books5" else 1}
        assert all(two["seqId"] > one["seqId"] for one, two in pairwise(rows))
        assert all(int(b["ts"]) - int(a["ts"]) >= gap for a, b in pairwise(rows))


def test_tickers_have_the_documented_shape_and_pace() -> None:
    example = json.loads(
        '{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT",'
        '"instId":"BTC-USDT","last":"9999.99","lastSz":"0.1","askPx":"9999.99","askSz":'
        '"11","bidPx":"8888.88","bidSz":"5","open24h":"9000","high24h":"10000",'
        '"low24h":"8888.88","volCcy24h":"2222","vol24h":"2222","sodUtc0":"2222",'
        '"sodUtc8":"2222","ts":"1597026383085"}]}'
    )
    driver = Driver(rate_hz=100)
    _, *frames = driver.subscribe(PUBLIC, "tickers", "BTC-USDT")
    frames += driver.advance(5, PUBLIC)
    times = [int(frame["data"][0]["ts"]) for frame in frames]

    assert all(_shape(frame) == _shape(example) for frame in frames)
    assert all(two - one >= 100 for one, two in pairwise(times))
    assert len(frames) > 30


def test_candles_form_and_end_and_agree_with_the_fills() -> None:
    driver = Driver(rate_hz=50)
    driver.subscribe(BUSINESS, "candle1s", "BTC-USDT")
    frames = driver.advance(10, BUSINESS)
    rows = [row for frame in frames for row in frame["data"]]
    final = [row for row in rows if row[8] == "1"]
    fills = [
        fill
        for fill in driver.ledger.fills
        if (fill.market, fill.symbol) == ("spot", "BTC-USDT")
    ]

    assert {len(row) for row in rows} == {9}
    assert {type(item) for row in rows for item in row} == {str}
    assert [int(row[0]) for row in final] == [
        (NOW + n * SECOND) // 1_000_000 for n in range(10)
    ]
    for row in final:
        open_ns = int(row[0]) * 1_000_000
        inside = [f for f in fills if open_ns <= f.exchange_ns < open_ns + SECOND]
        quote = sum(Decimal(f.price) * Decimal(f.size) for f in inside)
        assert Decimal(row[5]) == sum(Decimal(f.size) for f in inside)
        assert Decimal(row[6]) == Decimal(row[7]) == quote
        if inside:
            assert (row[1], row[4]) == (inside[0].price, inside[-1].price)


def test_candles_of_derivatives_count_contracts_base_and_quote() -> None:
    driver = Driver(rate_hz=50)
    driver.subscribe(BUSINESS, "candle1s", "ETH-USDT-SWAP")
    driver.advance(3, BUSINESS)
    rows = [r for f in driver.advance(2, BUSINESS) for r in f["data"] if r[8] == "1"]
    fills = [
        fill
        for fill in driver.ledger.fills
        if (fill.market, fill.symbol) == ("swap", "ETH-USDT")
        and int(rows[0][0]) <= fill.exchange_ns // 1_000_000 < int(rows[0][0]) + 1000
    ]

    contracts = sum(Decimal(f.size) for f in fills)
    assert contracts > 0
    assert Decimal(rows[0][5]) == contracts
    assert Decimal(rows[0][6]) == contracts * Decimal("0.1")
    assert Decimal(rows[0][7]) == sum(
        Decimal(f.price) * Decimal(f.size) * Decimal("0.1") for f in fills
    )


@pytest.mark.parametrize(
    ("channel", "opens"),
    [("candle1H", 0), ("candle6Hutc", 0), ("candle6H", 22), ("candle1D", 16)],
)
def test_bars_of_six_hours_and_more_open_at_utc_plus_8_unless_told_otherwise(
    channel: str, opens: int
) -> None:
    (_, frame) = Driver().subscribe(BUSINESS, channel, "BTC-USDT")

    assert int(frame["data"][0][0]) // 3_600_000 % 24 == opens


def test_instruments_come_as_a_list_first_and_then_as_changes() -> None:
    faults = [
        Fault(kind="halt", at_s=1, symbol="SOL-USDT"),
        Fault(kind="delist", at_s=2, symbol="ETH-USDT", market="spot"),
    ]
    driver = Driver(faults, cached_trade=None)
    arg = {"channel": "instruments", "instType": "SPOT"}
    ack, full = driver.send(PUBLIC, {"op": "subscribe", "args": [arg]})
    changes = driver.advance(3, PUBLIC)

    assert ack["arg"] == full["arg"] == arg
    assert [row["instId"] for row in full["data"]] == [
        "BTC-USDT",
        "ETH-USDT",
        "SOL-USDT",
    ]
    assert [
        (row["instId"], row["state"]) for change in changes for row in change["data"]
    ] == [("SOL-USDT", "suspend"), ("ETH-USDT", "expired")]
    assert driver.subscribe(PUBLIC, "trades", "ETH-USDT")[0]["code"] == "60018"
    assert (
        driver.subscribe(PUBLIC, "trades", "ETH-USDT-SWAP")[0]["event"] == "subscribe"
    )


def test_a_notice_comes_before_the_close() -> None:
    driver = Driver([Fault(kind="notice", at_s=1, deadline_s=5, code=1012)], rate_hz=0)
    (notice,) = driver.advance(2, PUBLIC)
    (close,) = driver.advance(5, PUBLIC)

    assert notice == {
        "event": "notice",
        "code": "64008",
        "msg": "The connection will soon be closed for a service upgrade. Please "
        "reconnect.",
        "connId": notice["connId"],
    }
    assert close == SimClose(PUBLIC, 1012, "")


def test_an_ack_may_be_lost_or_worth_nothing() -> None:
    lost = Driver([Fault(kind="no-ack", for_s=5, channel="trades")])
    assert lost.subscribe(PUBLIC, "trades", "BTC-USDT") == []
    assert lost.advance(4, PUBLIC) == []

    mute = Driver([Fault(kind="ack-and-mute", for_s=5, symbol="BTC-USDT")])
    (ack,) = mute.subscribe(PUBLIC, "trades", "BTC-USDT")
    assert ack["event"] == "subscribe"
    mute.subscribe(PUBLIC, "trades", "ETH-USDT")
    frames = mute.advance(6, PUBLIC)
    assert {frame["arg"]["instId"] for frame in frames} == {"ETH-USDT"}
    arg = {"channel": "trades", "instId": "BTC-USDT"}
    mute.send(PUBLIC, {"op": "unsubscribe", "args": [arg]})
    mute.subscribe(PUBLIC, "trades", "BTC-USDT")
    assert "BTC-USDT" in {f["arg"]["instId"] for f in mute.advance(5, PUBLIC)}


def test_what_is_said_does_not_depend_on_how_often_time_is_advanced() -> None:
    def run(step_ns: int) -> list[Any]:
        driver = Driver(rate_hz=30)
        for channel in ("trades", "books", "books5", "bbo-tbt", "tickers"):
            driver.subscribe(PUBLIC, channel, "BTC-USDT")
        for at_ns in range(NOW, NOW + 10 * SECOND + 1, step_ns):
            driver.venue.advance(at_ns)
        return driver.read(PUBLIC)

    assert run(10 * SECOND) == run(7_812_500)


def test_nothing_is_left_of_a_connection_that_is_gone() -> None:
    driver = Driver()
    for channel in ("trades", "books", "tickers"):
        driver.subscribe(PUBLIC, channel, "BTC-USDT")
    driver.venue.closed(PUBLIC, driver.now_ns)

    assert driver.advance(5, PUBLIC) == []
    assert not driver.venue.market.feed("spot", "BTC-USDT").book.tracking
