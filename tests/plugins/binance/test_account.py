"""Balances: the signature, events, the account over REST, and refusals."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest

from tapeline.model import (
    Acked,
    Balance,
    Closing,
    LoggedIn,
    Malformed,
    Recovery,
    Rejected,
    Response,
    Rotate,
)
from tapeline_binance.signing import signed_params

MS = 10**6


@pytest.fixture
def account(adapter: Any, streams: Any, keys: Any, now: Any) -> Any:
    """A session that is logged in and has asked for the account."""

    def make(subscribed: bool = True) -> Any:
        config = adapter.config(**keys)
        stream = streams("userDataStream", "*")
        route = adapter.route(config, None, stream)
        session = adapter.session(config, {}, route)
        if subscribed:
            session.parse('{"id":1,"status":200,"result":{"subscriptionId":0}}', 1)
            session.subscribe([stream], now())
        return session

    return make


def event(**changes: Any) -> str:
    position = {"e": "outboundAccountPosition", "E": 20, "u": 10}
    position |= {"B": [{"a": "ETH", "f": "10000.5", "l": "0.5"}], **changes}
    return json.dumps({"subscriptionId": 0, "event": position})


def whole(updated: int, *rows: Any) -> bytes:
    return json.dumps({"updateTime": updated, "balances": list(rows)}).encode()


def answer(session: Any, now: Any, body: bytes) -> list[Any]:
    (fetch,) = session.resync(session._stream, now())
    response = Response(fetch.request, 200, {}, body, 999, fetch.tag)
    return list(session.respond(response, now()))


def test_the_subscription_is_signed_as_the_vector_says(account: Any, now: Any) -> None:
    (send,) = account(subscribed=False).opened(now())
    assert json.loads(send.frame) == {
        "id": 1,
        "method": "userDataStream.subscribe.signature",
        "params": {
            "apiKey": "test-key",
            "timestamp": 1700000000000,
            "signature": (
                "40b4b78df402bffcf600b5c8b83721f029b92dcf6287b6460f5947ed53376448"
            ),
        },
    }
    assert send.purpose == "login"
    assert "test-key" not in repr(send)


def test_what_is_signed_is_sorted_by_name(adapter: Any, keys: Any) -> None:
    config = adapter.config(**keys)
    params: list[dict[str, object]] = [{"recvWindow": 9, "zeta": 1, "alpha": 2}]
    params.append({"alpha": 2, "zeta": 1, "recvWindow": 9})
    one, other = (signed_params(config, each, 10**18) for each in params)
    assert one["signature"] == other["signature"]
    assert one["signature"] == (
        hmac.new(
            b"test-secret",
            b"alpha=2&apiKey=test-key&recvWindow=9&timestamp=1000000000000&zeta=1",
            "sha256",
        ).hexdigest()
    )


def test_it_lives_on_the_websocket_api(account: Any, adapter: Any, keys: Any) -> None:
    dial = account().connect(None, None)
    assert dial.url == "wss://ws-api.binance.com:443/ws-api/v3"
    assert dial.costs == {"connects": 1, "weight": 5}
    assert dial.max_age_s < 24 * 3_600


def test_a_confirmed_subscription_is_the_login(account: Any) -> None:
    session = account(subscribed=False)
    ok = '{"id":1,"status":200,"result":{"subscriptionId":0},"rateLimits":[]}'
    assert list(session.parse(ok, 1)) == [LoggedIn()]
    assert list(session.parse('{"id":9,"status":200}', 1)) == []


@pytest.mark.parametrize(
    ("code", "permanent"),
    [(-1022, True), (-2015, True), (-1021, False), (-1003, False)],
)
def test_a_refusal_is_final_where_asking_again_cannot_help(
    account: Any, now: Any, code: int, permanent: bool
) -> None:
    session = account(subscribed=False)
    refused = {"id": 1, "status": 400, "error": {"code": code, "msg": "no"}}
    assert list(session.parse(json.dumps(refused), 1)) == [
        Rejected(None, str(code), "no", permanent)
    ]
    expected = Recovery.FATAL if permanent else Recovery.RETRY
    assert session.closed(None, "") is expected
    assert session.health(now()).issues == (f"user data refused with code {code}",)


def test_a_position_is_absolute_and_only_of_what_it_lists(account: Any) -> None:
    (balance,) = account().parse(event(), 7)
    assert isinstance(balance, Balance)
    assert (balance.asset, str(balance.free), str(balance.locked)) == (
        "ETH",
        "10000.5",
        "0.5",
    )
    assert str(balance.total) == "10001.0"
    assert (balance.exchange_ns, balance.received_ns) == (10 * MS, 7)
    assert not balance.snapshot


def test_a_bare_event_of_old_recordings_is_read_too(account: Any) -> None:
    bare = json.dumps(json.loads(event())["event"])
    (balance,) = account().parse(bare, 7)
    assert balance.asset == "ETH"


def test_the_account_acknowledges_and_lists_everything(
    account: Any, now: Any, streams: Any
) -> None:
    rows = [
        {"asset": "BTC", "free": "1", "locked": "0.5"},
        {"asset": "OLD", "free": "0.0", "locked": "0.0"},
    ]
    ack, *balances = answer(account(), now, whole(5, *rows))
    assert ack == Acked(streams("userDataStream", "*"))
    assert [(b.asset, str(b.total), b.snapshot) for b in balances] == [
        ("BTC", "1.5", True),
        ("OLD", "0.0", True),
    ]


def test_an_event_newer_than_the_account_stays(account: Any, now: Any) -> None:
    session = account()
    session.parse(event(), 7)
    row = {"asset": "ETH", "free": "1", "locked": "0"}
    assert [type(i) for i in answer(session, now, whole(9, row))] == [Acked]
    assert [type(i) for i in answer(session, now, whole(10, row))] == [Acked, Balance]


def test_an_event_older_than_one_before_it_is_dropped(account: Any) -> None:
    session = account()
    assert len(session.parse(event(), 7)) == 1
    assert session.parse(event(u=9), 7) == []
    assert len(session.parse(event(u=10), 7)) == 1


def test_the_end_of_the_subscription_or_server_rotates(account: Any) -> None:
    ended = {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": 1}}
    (rotate,) = account().parse(json.dumps(ended), 1)
    assert isinstance(rotate, Rotate)
    shutdown = {"event": {"e": "serverShutdown", "E": 1770123456789}}
    rotate, closing = account().parse(json.dumps(shutdown), 1)
    assert isinstance(rotate, Rotate)
    assert isinstance(closing, Closing)


@pytest.mark.parametrize(
    "kind",
    ["balanceUpdate", "executionReport", "listStatus", "externalLockUpdate", "?"],
)
def test_other_events_are_ignored(account: Any, kind: str) -> None:
    other = {"subscriptionId": 0, "event": {"e": kind, "E": 1, "d": "100"}}
    assert account().parse(json.dumps(other), 1) == []


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "[]",
        "{}",
        "5",
        "\ud800",
        '{"event":5}',
        '{"event":{"e":5}}',
        '{"event":{"e":"outboundAccountPosition"}}',
        '{"event":{"e":"outboundAccountPosition","u":1,"B":[5]}}',
        '{"event":{"e":"outboundAccountPosition","u":1,"B":[{"a":"X"}]}}',
        event(B=[{"a": "X", "f": "-1", "l": "0"}]),
        event(B=[{"a": "X", "f": "NaN", "l": "0"}]),
        event(u="x"),
        '{"status":[]}',
        '{"id":1,"status":{},"error":5}',
    ],
)
def test_no_frame_raises(account: Any, frame: str) -> None:
    known = (Malformed, Rejected)
    assert all(isinstance(item, known) for item in account().parse(frame, 1))


@pytest.mark.parametrize("end", range(1, 90, 7))
def test_prefixes_are_malformed(account: Any, end: int) -> None:
    (item,) = account().parse(event()[:end], 1)
    assert isinstance(item, Malformed)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"updateTime":1}'])
def test_an_unreadable_account_acknowledges_nothing(
    account: Any, now: Any, body: bytes
) -> None:
    (item,) = answer(account(), now, body)
    assert isinstance(item, Malformed)
