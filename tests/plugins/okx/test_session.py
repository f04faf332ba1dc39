"""Requests, their answers, and everything else that is said on a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tapeline.model import (
    Acked,
    Closing,
    Instrument,
    LoggedIn,
    Malformed,
    Recovery,
    Rejected,
    Rotate,
    Route,
    Trade,
)


def args_of(action: Any) -> list[Any]:
    found: list[Any] = json.loads(action.frame)["args"]
    return found


def id_of(action: Any) -> str:
    found: str = json.loads(action.frame)["id"]
    return found


def error(code: str, text: str = "no", **more: object) -> dict[str, object]:
    return {"event": "error", "code": code, "msg": text, "connId": "a4d3ae55", **more}


def test_a_subscribe_frame_has_an_id_and_one_argument_for_each_stream(
    connect: Any, streams: Any
) -> None:
    wanted = [streams("trades"), streams("books5", "BTC-USDT-SWAP")]
    (send,) = connect().subscribe(*wanted)
    request = json.loads(send.frame)
    assert request["op"] == send.purpose == "subscribe"
    assert request["id"].isalnum()
    assert len(request["id"]) <= 32
    assert request["args"] == [
        {"channel": "trades", "instId": "BTC-USDT"},
        {"channel": "books5", "instId": "BTC-USDT-SWAP"},
    ]
    assert list(send.subscriptions) == wanted


def test_each_argument_is_acknowledged_alone(connect: Any, streams: Any) -> None:
    connection = connect()
    wanted = [streams("trades"), streams("tickers")]
    replies = connection.acknowledge(*connection.subscribe(*wanted))
    assert replies == [Acked(stream) for stream in wanted]


def test_an_acknowledgment_without_an_id_counts_too(connect: Any, streams: Any) -> None:
    connection = connect()
    connection.subscribe(streams("trades"))
    arg = {"channel": "trades", "instId": "BTC-USDT"}
    ack = {"event": "subscribe", "arg": arg}
    assert connection.parse(ack) == [Acked(streams("trades"))]
    assert connection.parse(ack) == [Acked(streams("trades"))]


def test_data_may_come_before_the_acknowledgment(
    connect: Any, streams: Any, push: Any, trade_row: Any
) -> None:
    connection = connect()
    connection.subscribe(streams("trades"))
    assert isinstance(connection.parse(push("trades", trade_row()))[0], Trade)


def test_an_error_for_a_request_of_one_names_its_stream(
    connect: Any, streams: Any
) -> None:
    connection = connect()
    (good,) = connection.subscribe(streams("trades"))
    (bad,) = connection.subscribe(streams("tickers"))
    reply = connection.parse(error("60018", "anything", id=id_of(bad)))
    assert reply == [Rejected(streams("tickers"), "60018", "anything")]
    assert connection.acknowledge(good) == [Acked(streams("trades"))]


@pytest.mark.parametrize(
    "text",
    [
        "Wrong URL or channel:trades,instId:ETH-XYZ doesn't exist. Please use the",
        "Subscribe failed, wrong URL or channel:trades,instId:trades.ETH-XYZ doesn't",
        "channel: trades, instId: ETH-XYZ.",
    ],
)
def test_a_text_that_names_a_waiting_stream_is_believed(
    connect: Any, streams: Any, text: str
) -> None:
    connection = connect()
    bad = streams("trades", "ETH-XYZ")
    (send,) = connection.subscribe(streams("trades"), bad)
    (reply,) = connection.parse(error("60018", text, id=id_of(send)))
    assert reply == Rejected(bad, "60018", text)
    assert connection.tick(0) + connection.tick(60) == []


def test_an_error_that_names_nothing_is_found_out_one_by_one(
    connect: Any, streams: Any
) -> None:
    connection = connect()
    good, bad, late = (streams("trades", f"{name}-USDT") for name in "ABC")
    (send,) = connection.subscribe(good, bad, late)
    assert connection.parse(error("60018", "some new words", id=id_of(send))) == []
    arg = args_of(send)[0]
    ack = {"id": id_of(send), "event": "subscribe", "arg": arg}
    assert connection.parse(ack) == [Acked(good)]
    assert connection.tick(0) == []
    singles = connection.tick(2)
    assert [list(single.subscriptions) for single in singles] == [[bad], [late]]
    reply = connection.parse(error("60018", "some new words", id=id_of(singles[0])))
    assert reply == [Rejected(bad, "60018", "some new words")]
    assert connection.acknowledge(singles[1]) == [Acked(late)]
    assert connection.tick(10) == []


def test_an_error_without_an_id_is_about_what_waits(connect: Any, streams: Any) -> None:
    connection = connect()
    first = connection.subscribe(streams("trades"))
    connection.subscribe(streams("tickers"))
    connection.acknowledge(*first)
    expected = Rejected(streams("tickers"), "60018", "no")
    assert connection.parse(error("60018")) == [expected]


def test_an_error_about_nothing_we_asked_has_no_stream(connect: Any) -> None:
    assert connect().parse(error("60012")) == [Rejected(None, "60012", "no")]


def test_an_error_for_an_answered_request_blames_no_other(
    connect: Any, streams: Any
) -> None:
    connection = connect()
    (first,) = connection.subscribe(streams("trades"))
    connection.acknowledge(first)
    (second,) = connection.subscribe(streams("tickers"))
    reply = connection.parse(error("60018", id=id_of(first)))
    assert reply == [Rejected(None, "60018", "no")]
    assert connection.acknowledge(second) == [Acked(streams("tickers"))]


def test_codes_decide_and_texts_do_not(connect: Any, streams: Any) -> None:
    connection = connect()
    (send,) = connection.subscribe(streams("trades"))
    (reply,) = connection.parse(error("60014", "doesn't exist", id=id_of(send)))
    assert (reply.subscription, reply.permanent) == (streams("trades"), False)


def test_requests_too_frequent_concern_the_whole_request(
    connect: Any, streams: Any
) -> None:
    connection = connect()
    wanted = [streams("trades"), streams("tickers")]
    (send,) = connection.subscribe(*wanted)
    replies = connection.parse(error("60014", id=id_of(send)))
    assert replies == [Rejected(s, "60014", "no", permanent=False) for s in wanted]


def test_an_unknown_code_may_be_tried_again(connect: Any, streams: Any) -> None:
    connection = connect()
    connection.subscribe(streams("trades"))
    (reply,) = connection.parse(error("69999"))
    assert (reply.subscription, reply.permanent) == (streams("trades"), False)


def test_a_rejected_stream_can_be_asked_for_again(connect: Any, streams: Any) -> None:
    connection = connect()
    connection.subscribe(streams("trades"))
    connection.parse(error("63999"))
    again = connection.subscribe(streams("trades"))
    assert connection.acknowledge(*again) == [Acked(streams("trades"))]


def test_unsubscribing_ends_with_its_acknowledgment(
    following: Any, streams: Any, push: Any, trade_row: Any, now: Any
) -> None:
    connection = following("trades")
    (send,) = connection.session.unsubscribe([streams("trades")], now())
    assert send.purpose == "unsubscribe"
    assert isinstance(connection.parse(push("trades", trade_row()))[0], Trade)
    assert connection.acknowledge(send) == [Acked(streams("trades"), active=False)]
    assert connection.parse(push("trades", trade_row())) == []
    assert connection.session.unsubscribe([streams("trades")], now()) == []


def test_subscribing_again_before_the_unsubscribe_is_answered_keeps_the_stream(
    following: Any, streams: Any, push: Any, trade_row: Any, now: Any
) -> None:
    connection = following("trades")
    (leave,) = connection.session.unsubscribe([streams("trades")], now())
    (again,) = connection.subscribe(streams("trades"))
    assert connection.acknowledge(leave) == []
    assert connection.acknowledge(again) == [Acked(streams("trades"))]
    assert isinstance(connection.parse(push("trades", trade_row()))[0], Trade)


def test_a_resync_waits_for_the_unsubscribe_before_it_subscribes(
    following: Any, streams: Any, now: Any
) -> None:
    connection = following("books")
    (leave,) = connection.session.resync(streams("books"), now())
    assert leave.purpose == "unsubscribe"
    assert connection.session.resync(streams("books"), now()) == []
    (again,) = connection.acknowledge(leave)
    assert again.purpose == "subscribe"
    assert connection.acknowledge(again) == [Acked(streams("books"))]
    assert connection.tick(60) == []


def test_a_resync_goes_on_when_its_acknowledgment_is_lost(
    following: Any, streams: Any, now: Any
) -> None:
    connection = following("books")
    connection.session.resync(streams("books"), now())
    tick = connection.session.tick(now(1))
    assert (list(tick.actions), tick.wake_at_ns) == ([], 5 * 10**9)
    (again,) = connection.tick(5)
    assert again.purpose == "subscribe"


def test_a_resync_goes_on_when_the_unsubscribe_is_refused(
    following: Any, streams: Any, now: Any
) -> None:
    connection = following("books")
    (leave,) = connection.session.resync(streams("books"), now())
    (again,) = connection.parse(error("60018", id=id_of(leave)))
    assert again.purpose == "subscribe"


def test_a_service_upgrade_asks_for_a_replacement(connect: Any) -> None:
    notice = {"event": "notice", "code": "64008", "msg": "soon", "connId": "a4d3ae55"}
    rotate, closing = connect().parse(notice)
    assert isinstance(rotate, Rotate)
    assert isinstance(closing, Closing)
    assert (rotate.deadline_s, closing.deadline_s) == (60, 60)


def test_other_notices_and_counts_are_only_counted(connect: Any, now: Any) -> None:
    connection = connect()
    assert connection.parse({"event": "notice", "code": "1", "msg": "x"}) == []
    assert connection.session.health(now()).counters["notices"] == 1


def test_what_was_not_subscribed_is_malformed_once_and_counted(
    connect: Any, push: Any, now: Any
) -> None:
    connection = connect()
    (item,) = connection.parse(push("mark-price", {"markPx": "1"}))
    assert isinstance(item, Malformed)
    assert item.reason == "unknown-channel"
    (ack,) = connection.parse({"event": "subscribe", "arg": {"channel": "status"}})
    assert ack.reason == "unknown-channel"
    assert connection.session.health(now()).counters["malformed"] == 2


@pytest.mark.parametrize(
    ("code", "recovery"),
    [
        (None, Recovery.RETRY),
        (1000, Recovery.RETRY),
        (1006, Recovery.RETRY),
        (4004, Recovery.RETRY),
        (4006, Recovery.RETRY),
        (4001, Recovery.BACK_OFF),
        (4008, Recovery.BACK_OFF),
        (4009, Recovery.BACK_OFF),
    ],
)
def test_close_codes_decide_how_to_go_on(
    connect: Any, code: int | None, recovery: Recovery
) -> None:
    assert connect().session.closed(code, "") is recovery


def test_a_login_that_may_succeed_later_is_tried_again_after_a_pause(
    connect: Any, streams: Any, keys: Any, now: Any
) -> None:
    connection = connect("private", **keys)
    connection.session.opened(now())
    account = streams("account", "")
    connection.subscribe(account)
    (reply,) = connection.parse(error("60006", "expired"))
    assert reply == Rejected(account, "60006", "expired", permanent=False)
    assert connection.tick(1) == []
    (login,) = connection.tick(12)
    assert login.purpose == "login"
    assert connection.parse({"event": "login", "code": "0"})[0] == LoggedIn()
    assert connection.session.health(now()).ok


def test_a_second_login_that_the_venue_refuses_means_logged_in(
    connect: Any, keys: Any, now: Any
) -> None:
    connection = connect("private", **keys)
    connection.session.opened(now())
    assert connection.parse(error("60031")) == [LoggedIn()]
    assert connection.parse(error("60031")) == []


def test_a_login_without_an_answer_replaces_the_socket(
    connect: Any, keys: Any, now: Any
) -> None:
    connection = connect("private", **keys)
    connection.session.opened(now())
    assert connection.tick(9) == []
    (action,) = connection.tick(10)
    assert isinstance(action, Rotate)


def test_a_public_session_sends_nothing_on_its_own(connect: Any, now: Any) -> None:
    connection = connect()
    assert list(connection.session.opened(now())) == []
    tick = connection.session.tick(now(3600))
    assert (list(tick.actions), tick.wake_at_ns) == ([], None)


def test_venue_spelling_comes_from_the_instrument_list(
    adapter: Any, streams: Any, now: Any
) -> None:
    stream = streams("trades", "BTC-USDT-SWAP")
    odd = Instrument("okx", "swap", "BTC-USDT", "BTC-USDT_UM-SWAP", "BTC", "USDT")
    session = adapter.session(adapter.config(), {odd.key: odd}, Route("public"))
    (send,) = session.subscribe([stream], now())
    assert args_of(send) == [{"channel": "trades", "instId": "BTC-USDT_UM-SWAP"}]
