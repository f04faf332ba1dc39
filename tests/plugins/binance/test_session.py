"""Requests and their answers, snapshots of books, and the end of a socket."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tapeline.model import (
    Acked,
    BookDelta,
    BookSnapshot,
    Candle,
    Closing,
    Fetch,
    Malformed,
    Recovery,
    Rejected,
    Rotate,
    Send,
    Trade,
)

SNAPSHOT = {"lastUpdateId": 160, "bids": [["1", "2"]], "asks": [["2", "3"]]}


def test_many_streams_go_in_one_frame_with_a_rising_number(
    connect: Any, streams: Any
) -> None:
    connection = connect()
    wanted = [streams("aggTrade"), streams("ticker", "ETH-USDT")]
    (send,) = connection.subscribe(*wanted)
    assert json.loads(send.frame) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@aggTrade", "ethusdt@ticker"],
        "id": 1,
    }
    assert send.subscriptions == tuple(wanted)
    assert send.costs == {"frames": 1}
    (send,) = connection.subscribe(streams("bookTicker"))
    assert json.loads(send.frame)["id"] == 2


def test_frames_hold_200_streams_or_4000_bytes(connect: Any, streams: Any) -> None:
    short = [streams("trade", f"A{i}-B") for i in range(450)]
    frames = [send.frame for send in connect().subscribe(*short)]
    assert [len(json.loads(frame)["params"]) for frame in frames] == [200, 200, 50]
    names = [f"{'N' * 20}{i}-USDT" for i in range(200)]
    long = [streams("depth20@100ms", name) for name in names]
    frames = [send.frame for send in connect().subscribe(*long)]
    assert len(frames) > 1
    assert all(3_800 < len(frame.encode()) <= 4_000 for frame in frames[:-1])
    assert sum(len(json.loads(frame)["params"]) for frame in frames) == 200


def test_names_that_are_not_ascii_are_counted_in_bytes(
    connect: Any, streams: Any
) -> None:
    wanted = [streams("aggTrade", f"币安人生{i}-USDT") for i in range(190)]
    frames = [send.frame for send in connect().subscribe(*wanted)]
    assert all(len(frame.encode()) <= 4_000 for frame in frames)
    connection = connect()
    connection.acknowledge(*connection.subscribe(wanted[0]))
    frame = {
        "stream": "币安人生0usdt@aggTrade",
        "data": {"a": 1, "p": "1", "q": "1", "f": 1, "l": 1, "T": 1, "m": True},
    }
    escaped = json.dumps(frame)
    assert [type(e) for e in connection.parse(frame)] == [Trade]
    assert [type(e) for e in connection.parse(escaped)] == [Trade]


def test_one_answer_acknowledges_the_whole_request(connect: Any, streams: Any) -> None:
    connection = connect()
    wanted = [streams("aggTrade"), streams("bookTicker")]
    sends = connection.subscribe(*wanted)
    assert connection.acknowledge(*sends) == [Acked(stream) for stream in wanted]
    assert connection.acknowledge(*sends) == []


def test_unsubscribing_is_confirmed_and_late_data_is_not_an_error(
    connect: Any, streams: Any, wrap: Any, agg_trade: Any
) -> None:
    connection = connect()
    stream = streams("aggTrade")
    connection.acknowledge(*connection.subscribe(stream))
    (send,) = connection.session.unsubscribe([stream], None)
    assert json.loads(send.frame)["method"] == "UNSUBSCRIBE"
    assert connection.acknowledge(send) == [Acked(stream, active=False)]
    assert connection.parse(wrap("btcusdt@aggTrade", agg_trade())) == []
    assert connection.session.unsubscribe([stream], None) == []


def test_a_stream_wanted_again_before_its_end_is_confirmed_stays(
    connect: Any, streams: Any, wrap: Any, agg_trade: Any
) -> None:
    connection = connect()
    stream = streams("aggTrade")
    connection.acknowledge(*connection.subscribe(stream))
    ending = connection.session.unsubscribe([stream], None)
    again = connection.subscribe(stream)
    assert connection.acknowledge(*ending) == []
    assert connection.acknowledge(*again) == [Acked(stream)]
    assert len(connection.parse(wrap("btcusdt@aggTrade", agg_trade()))) == 1


NESTED = {"error": {"code": 2, "msg": "Invalid request: invalid stream"}}
FLAT = {"code": 2, "msg": "Invalid request: invalid stream"}


@pytest.mark.parametrize("layout", [NESTED, FLAT])
@pytest.mark.parametrize("numbered", [True, False])
def test_errors_nested_and_flat_are_asked_again_in_halves(
    connect: Any, streams: Any, layout: Any, numbered: bool
) -> None:
    connection = connect()
    wanted = [streams("aggTrade", f"A{i}-USDT") for i in range(5)]
    open_sends = connection.subscribe(*wanted)
    rejected, acked = [], []
    while open_sends:
        send = open_sends.pop(0)
        request = json.loads(send.frame)
        if "a3usdt@aggTrade" in request["params"]:
            number = {"id": request["id"]} if numbered else {"id": None}
            replies = connection.parse({**layout, **number})
        else:
            replies = connection.acknowledge(send)
        open_sends += [r for r in replies if isinstance(r, Send)]
        rejected += [r for r in replies if isinstance(r, Rejected)]
        acked += [r.subscription for r in replies if isinstance(r, Acked)]
    expected = Rejected(wanted[3], "2", str(FLAT["msg"]), permanent=True)
    assert rejected == [expected]
    assert set(acked) == set(wanted) - {wanted[3]}


def test_too_many_subscriptions_may_be_asked_again_later(
    connect: Any, streams: Any
) -> None:
    connection = connect()
    wanted = [streams("aggTrade"), streams("ticker")]
    connection.subscribe(*wanted)
    error = {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 1}
    replies = connection.parse(error)
    assert [reply.subscription for reply in replies] == wanted
    assert not any(reply.permanent for reply in replies)


def test_an_error_about_nothing_of_ours_names_no_stream(connect: Any) -> None:
    error = {"error": {"code": 77, "msg": "new"}, "id": 99}
    assert connect().parse(error) == [Rejected(None, "77", "new", permanent=False)]


def test_what_cannot_be_unsubscribed_is_gone(connect: Any, streams: Any) -> None:
    connection = connect()
    stream = streams("aggTrade")
    connection.acknowledge(*connection.subscribe(stream))
    connection.session.unsubscribe([stream], None)
    error = {"error": {"code": 2, "msg": "Invalid request"}, "id": 2}
    assert connection.parse(error) == [Acked(stream, active=False)]


@pytest.mark.parametrize(
    "frame",
    [
        {"e": "serverShutdown", "E": 1770123456789},
        {
            "stream": "!serverShutdown",
            "data": {"e": "serverShutdown", "E": 1770123456789},
        },
    ],
)
def test_a_shutdown_notice_rotates_at_once(connect: Any, frame: Any) -> None:
    rotate, closing = connect().parse(frame)
    assert isinstance(rotate, Rotate)
    assert isinstance(closing, Closing)
    assert closing.deadline_s is None


def test_too_many_requests_want_a_pause_and_other_ends_do_not(connect: Any) -> None:
    session = connect().session
    assert session.closed(1008, "Too many requests") is Recovery.BACK_OFF
    for code in (None, 1000, 1001, 1006, 1011, 4000):
        assert session.closed(code, "") is Recovery.RETRY


# snapshots of books


def snapshot_fetch(connection: Any, stream: Any) -> Fetch:
    (_, fetch) = connection.acknowledge(*connection.subscribe(stream))
    assert isinstance(fetch, Fetch)
    return fetch


@pytest.mark.parametrize(
    ("market", "levels", "path", "limit", "costs"),
    [
        ("spot", 100, "/api/v3/depth", "100", {"weight": 5}),
        ("spot", 500, "/api/v3/depth", "500", {"weight": 25}),
        ("spot", 1000, "/api/v3/depth", "1000", {"weight": 50}),
        ("spot", 5000, "/api/v3/depth", "5000", {"weight": 250}),
        ("swap", 100, "/fapi/v1/depth", "100", {"futures.weight": 5}),
        ("swap", 1000, "/fapi/v1/depth", "1000", {"futures.weight": 20}),
        ("swap", 5000, "/fapi/v1/depth", "1000", {"futures.weight": 20}),
    ],
)
def test_an_acknowledged_book_asks_for_its_snapshot(
    connect: Any,
    streams: Any,
    market: str,
    levels: int,
    path: str,
    limit: str,
    costs: Any,
) -> None:
    stream = streams("depth@100ms", "BTC-USDT", market)
    connection = connect(stream, snapshot_levels=levels)
    fetch = snapshot_fetch(connection, stream)
    url = urlsplit(fetch.request.url)
    assert url.path == path
    assert parse_qs(url.query) == {"symbol": ["BTCUSDT"], "limit": [limit]}
    assert (fetch.costs, fetch.subscription) == (costs, stream)


def test_data_before_the_acknowledgment_asks_once(
    connect: Any, streams: Any, wrap: Any, depth: Any
) -> None:
    stream = streams("depth@100ms")
    connection = connect(stream)
    sends = connection.subscribe(stream)
    frame = wrap("btcusdt@depth@100ms", depth())
    assert [type(item) for item in connection.parse(frame)] == [BookDelta, Fetch]
    assert connection.acknowledge(*sends) == [Acked(stream)]
    more = wrap("btcusdt@depth@100ms", depth(U=161, u=161))
    assert [type(item) for item in connection.parse(more)] == [BookDelta]


def test_a_snapshot_older_than_the_first_change_is_asked_for_again(
    connect: Any, streams: Any, wrap: Any, depth: Any
) -> None:
    stream = streams("depth@100ms")
    connection = connect(stream)
    fetch = snapshot_fetch(connection, stream)
    connection.parse(wrap("btcusdt@depth@100ms", depth(U=170, u=175)))
    assert connection.answer(fetch, SNAPSHOT, 1.0) == []
    assert connection.tick(1.1) == []
    (again,) = connection.tick(1.3)
    assert again.tag != fetch.tag
    assert connection.answer(again, {**SNAPSHOT, "lastUpdateId": 168}, 2.0) == []
    assert connection.tick(2.3) == []
    (third,) = connection.tick(2.6)
    (book,) = connection.answer(third, {**SNAPSHOT, "lastUpdateId": 169}, 3.0)
    assert isinstance(book, BookSnapshot)
    assert book.last_id == 169
    assert connection.tick(60.0) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"lastUpdateId":1}', {**SNAPSHOT, "bids": [["x"]]}],
)
def test_an_unreadable_snapshot_is_asked_for_again(
    connect: Any, streams: Any, body: Any
) -> None:
    stream = streams("depth@100ms")
    connection = connect(stream)
    fetch = snapshot_fetch(connection, stream)
    (item,) = connection.answer(fetch, body)
    assert isinstance(item, Malformed)
    assert len(connection.tick(1.0)) == 1


def test_a_broken_book_asks_once_while_its_answer_is_under_way(
    connect: Any, streams: Any, now: Any
) -> None:
    stream = streams("depth@100ms")
    connection = connect(stream)
    first = snapshot_fetch(connection, stream)
    connection.answer(first, SNAPSHOT)
    (second,) = connection.session.resync(stream, now(10.0))
    assert connection.session.resync(stream, now(11.0)) == []
    (third,) = connection.session.resync(stream, now(16.0))
    assert connection.answer(second, SNAPSHOT, 16.5) == []
    assert len(connection.answer(third, SNAPSHOT, 17.0)) == 1


def test_after_a_break_a_snapshot_must_reach_the_newest_change(
    connect: Any, streams: Any, wrap: Any, depth: Any, now: Any
) -> None:
    stream = streams("depth@100ms")
    connection = connect(stream)
    connection.answer(snapshot_fetch(connection, stream), SNAPSHOT)
    connection.parse(wrap("btcusdt@depth@100ms", depth(U=161, u=165)))
    connection.parse(wrap("btcusdt@depth@100ms", depth(U=170, u=175)))
    (fetch,) = connection.session.resync(stream, now(1.0))
    assert connection.answer(fetch, {**SNAPSHOT, "lastUpdateId": 174}, 1.1) == []
    (again,) = connection.tick(2.0)
    (book,) = connection.answer(again, {**SNAPSHOT, "lastUpdateId": 175}, 2.1)
    assert book.last_id == 175


def test_an_impossible_id_does_not_hold_a_book_up_for_ever(
    connect: Any, streams: Any, wrap: Any, depth: Any, now: Any
) -> None:
    stream = streams("depth@100ms")
    connection = connect(stream)
    connection.answer(snapshot_fetch(connection, stream), SNAPSHOT)
    connection.parse(wrap("btcusdt@depth@100ms", depth(U=161, u=2**62)))
    (fetch,) = connection.session.resync(stream, now(1.0))
    seconds = 1.0
    given: list[Any] = []
    while not given:
        given = connection.answer(fetch, SNAPSHOT, seconds)
        seconds += 10.0
        assert seconds < 100.0
        if not given:
            (fetch,) = connection.tick(seconds)
    assert given[0].last_id == 160


def test_a_snapshot_tells_that_it_is_older_than_a_change(
    connect: Any, streams: Any, wrap: Any, depth: Any
) -> None:
    """Spot gives no time; a book that is ahead must not go back."""
    stream = streams("depth@100ms")
    connection = connect(stream)
    fetch = snapshot_fetch(connection, stream)
    connection.parse(wrap("btcusdt@depth@100ms", depth(U=150, u=155)))
    (delta,) = connection.parse(wrap("btcusdt@depth@100ms", depth(U=156, u=170)))
    (book,) = connection.answer(fetch, SNAPSHOT)
    assert book.exchange_ns < delta.exchange_ns


def test_a_snapshot_of_futures_has_the_venues_time(connect: Any, streams: Any) -> None:
    stream = streams("depth@100ms", "BTC-USDT", "swap")
    connection = connect(stream)
    fetch = snapshot_fetch(connection, stream)
    (book,) = connection.answer(
        fetch, {**SNAPSHOT, "E": 1700000000005, "T": 17 * 10**11}
    )
    assert book.exchange_ns == 17 * 10**17


def test_an_answer_for_a_stream_that_left_is_dropped(
    connect: Any, streams: Any
) -> None:
    stream = streams("depth@100ms")
    connection = connect(stream)
    fetch = snapshot_fetch(connection, stream)
    connection.acknowledge(*connection.session.unsubscribe([stream], None))
    assert connection.answer(fetch, SNAPSHOT) == []
    assert connection.answer(Fetch(fetch.request, tag="no-such"), SNAPSHOT) == []


def test_a_book_that_was_to_end_begins_afresh(
    connect: Any, streams: Any, wrap: Any, depth: Any
) -> None:
    stream = streams("depth@100ms")
    connection = connect(stream)
    connection.answer(snapshot_fetch(connection, stream), SNAPSHOT)
    connection.session.unsubscribe([stream], None)
    (fetch,) = connection.acknowledge(*connection.subscribe(stream))[1:]
    (book,) = connection.answer(fetch, SNAPSHOT)
    assert isinstance(book, BookSnapshot)


def test_a_book_nobody_follows_yet_is_subscribed_by_a_resync(
    connect: Any, streams: Any, now: Any
) -> None:
    (send,) = connect().session.resync(streams("depth@100ms"), now())
    assert isinstance(send, Send)


def test_partial_depth_needs_no_snapshot(connect: Any, streams: Any, now: Any) -> None:
    connection = connect()
    stream = streams("depth20@100ms")
    assert connection.acknowledge(*connection.subscribe(stream)) == [Acked(stream)]
    assert connection.session.resync(stream, now()) == []


# candles


def row(open_ms: int, **changes: Any) -> list[Any]:
    first = [open_ms, "1", "4", "0.5", "2", "10", open_ms + 59_999]
    values: dict[Any, Any] = dict(enumerate(first))
    values |= {7: "20.5", 8: 7, 9: "4", 10: "8", 11: "0"}
    return list({**values, **changes}.values())


def test_a_candle_that_closed_unseen_comes_from_rest(
    connect: Any, streams: Any
) -> None:
    """Whether a row is final shows by the venue's clock only."""
    stream = streams("kline_1m")
    connection = connect(stream)
    ack, fetch = connection.acknowledge(*connection.subscribe(stream))
    assert ack == Acked(stream)
    assert fetch.request.url.endswith(
        "/api/v3/klines?symbol=BTCUSDT&limit=2&interval=1m"
    )
    assert fetch.costs == {"weight": 2}
    rows = [row(1_699_999_920_000), row(1_699_999_980_000)]
    (candle,) = connection.answer(fetch, rows)
    assert isinstance(candle, Candle)
    assert candle.open_ns == 1_699_999_920_000 * 10**6
    assert candle.state == "complete"
    assert (candle.trades_count, candle.first_id) == (7, None)
    assert [str(n) for n in (candle.quote_volume, candle.taker_buy_volume)] == [
        "20.5",
        "4",
    ]


@pytest.mark.parametrize(
    "body", [b"x", {"code": 1}, [None], [[]], [[1] * 12], [["x"] * 12]]
)
def test_unreadable_candles_are_malformed(
    connect: Any, streams: Any, body: Any
) -> None:
    stream = streams("kline_1m")
    connection = connect(stream)
    _, fetch = connection.acknowledge(*connection.subscribe(stream))
    (item,) = connection.answer(fetch, body)
    assert isinstance(item, Malformed)


def test_a_failed_request_for_candles_is_repeated(
    connect: Any, streams: Any, now: Any
) -> None:
    stream = streams("kline_1m")
    connection = connect(stream)
    connection.acknowledge(*connection.subscribe(stream))
    (fetch,) = connection.session.resync(stream, now(5.0))
    assert "/klines?" in fetch.request.url
