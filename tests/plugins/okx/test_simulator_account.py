"""The simulator's private side."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest

from tapeline.testing import START_NS, Market
from tapeline_okx.simulator import OkxSimulator
from tapeline_okx.simulator_account import SimKey

KEY = SimKey("KEY", "test-secret", "PASS")
NOW = START_NS
SECOND = 10**9


def _sign(text: str) -> str:
    digest = hmac.new(b"test-secret", text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _login(**changes: Any) -> dict[str, Any]:
    timestamp = str(changes.get("timestamp", NOW // SECOND))
    arg = {
        "apiKey": "KEY",
        "passphrase": "PASS",
        "timestamp": timestamp,
        "sign": _sign(timestamp + "GET/users/self/verify"),
    }
    return {"op": "login", "args": [arg | changes]}


def _venue(**options: Any) -> OkxSimulator:
    venue = OkxSimulator(Market(1, rate_hz=0), keys=[KEY], **options)
    venue.open(1, "/ws/v5/private", {}, NOW)
    return venue


def _send(venue: OkxSimulator, request: object, conn: int = 1) -> list[Any]:
    venue.receive(conn, json.dumps(request), NOW)
    return [json.loads(output.frame) for output in venue.outputs()]  # type: ignore[union-attr]


def _subscribe(**arg: str) -> dict[str, Any]:
    return {"op": "subscribe", "args": [{"channel": "account", **arg}]}


def test_the_documented_signature_logs_in() -> None:
    """The vector of the wire reference: secret, time and signature."""
    venue = OkxSimulator(Market(1, rate_hz=0), keys=[KEY])
    at_ns = 1_700_000_000 * SECOND
    venue.open(1, "/ws/v5/private", {}, at_ns)
    request = (
        '{"op":"login","args":[{"apiKey":"KEY","passphrase":"PASS","timestamp":'
        '"1700000000","sign":"0uAi5j594sWw9rkXI4knzlNhWDTrHUJBZExNMGGD2gs="}]}'
    )
    venue.receive(1, request, at_ns)
    (output,) = venue.outputs()
    answer = json.loads(output.frame)  # type: ignore[union-attr]

    assert answer == {
        "event": "login",
        "code": "0",
        "msg": "",
        "connId": answer["connId"],
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sign": "wrong"}, "60007"),
        ({"passphrase": "wrong"}, "60024"),
        ({"apiKey": "unknown"}, "60032"),
        ({"timestamp": str(NOW // SECOND - 31)}, "60006"),
        ({"timestamp": "yesterday"}, "60004"),
        ({"timestamp": "nan"}, "60006"),
        ({"sign": 3}, "60009"),
    ],
)
def test_a_bad_login_is_refused_with_its_code(
    changes: dict[str, Any], code: str
) -> None:
    (answer,) = _send(_venue(), _login(**changes))

    assert (answer["event"], answer["code"]) == ("error", code)


def test_a_second_login_on_one_socket_is_refused() -> None:
    venue = _venue()

    assert _send(venue, _login())[0]["event"] == "login"
    assert _send(venue, _login())[0]["code"] == "60031"


def test_the_account_needs_a_login() -> None:
    assert _send(_venue(), _subscribe())[0]["code"] == "60011"


def test_the_account_comes_in_pages_and_then_as_changes() -> None:
    venue = _venue(page_size=2, account_s=5)
    _send(venue, _login())
    ack, count, one, two = _send(venue, _subscribe())

    assert ack["arg"] == {"channel": "account"}
    assert (count["event"], count["connCount"]) == ("channel-conn-count", "1")
    assert [(page["curPage"], page["lastPage"]) for page in (one, two)] == [
        (1, False),
        (2, True),
    ]
    assert one["arg"]["uid"]
    assert one["eventType"] == "snapshot"
    details = one["data"][0]["details"] + two["data"][0]["details"]
    assert [detail["ccy"] for detail in details] == ["USDT", "BTC", "ETH"]
    for detail in details:
        assert {type(item) for item in detail.values()} == {str}
        assert Decimal(detail["cashBal"]) == Decimal(detail["availBal"]) + Decimal(
            detail["frozenBal"]
        )
    venue.receive(1, "ping", NOW + 6 * SECOND)
    change = json.loads(venue.outputs()[0].frame)  # type: ignore[union-attr]
    assert change["eventType"] == "event_update"
    assert "curPage" not in change
    assert len(change["data"][0]["details"]) == 1


def test_one_currency_alone_can_be_asked_for() -> None:
    venue = _venue()
    _send(venue, _login())
    *_, page = _send(venue, _subscribe(ccy="BTC"))

    assert page["arg"]["ccy"] == "BTC"
    assert [detail["ccy"] for detail in page["data"][0]["details"]] == ["BTC"]


def test_too_many_connections_kill_the_subscription_after_its_ack() -> None:
    venue = _venue(connections_per_channel=1, account_s=1)
    venue.open(2, "/ws/v5/private", {}, NOW)
    for conn in (1, 2):
        _send(venue, _login(), conn)
    _send(venue, _subscribe(), 1)
    ack, count = _send(venue, _subscribe(), 2)

    assert ack["event"] == "subscribe"
    assert count["event"] == "channel-conn-count-error"
    venue.advance(NOW + 5 * SECOND)
    assert {output.conn for output in venue.outputs()} == {1}


def test_the_balance_over_rest_needs_a_signature() -> None:
    venue = _venue()
    target = "/api/v5/account/balance?ccy=BTC"
    timestamp = "2026-01-01T00:00:10.000Z"
    headers = {
        "OK-ACCESS-KEY": "KEY",
        "OK-ACCESS-SIGN": _sign(f"{timestamp}GET{target}"),
        "OK-ACCESS-TIMESTAMP": timestamp,
        "OK-ACCESS-PASSPHRASE": "PASS",
    }
    good = venue.request("GET", target, headers, NOW)
    bodies = []
    for name, value in (
        ("OK-ACCESS-SIGN", "wrong"),
        ("OK-ACCESS-KEY", "wrong"),
        ("OK-ACCESS-PASSPHRASE", "wrong"),
        ("OK-ACCESS-TIMESTAMP", "2026-01-01T01:00:00.000Z"),
        ("OK-ACCESS-TIMESTAMP", "noon"),
        ("OK-ACCESS-SIGN", ""),
    ):
        answer = venue.request("GET", target, headers | {name: value}, NOW)
        assert answer.status == 401
        bodies.append(json.loads(answer.body)["code"])

    assert good.status == 200
    assert json.loads(good.body)["data"][0]["details"][0]["ccy"] == "BTC"
    assert bodies == ["50113", "50111", "50105", "50102", "50112", "50104"]


def test_a_key_shows_no_secret() -> None:
    assert "test-secret" not in repr(KEY)
    assert "PASS" not in repr(KEY)
