"""The simulator's WebSocket API: signatures, subscriptions, balances."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest

from tapeline.hookspecs import SimFrame, SimPing
from tapeline.testing import START_NS, Fault, Market
from tapeline_binance.simulator import BinanceSimulator
from tapeline_binance.simulator_account import DEFAULT_KEY, SimKey
from tapeline_binance.simulator_habits import Habits

SECOND = 10**9
NOW = START_NS + 60 * SECOND
SUBSCRIBE = "userDataStream.subscribe.signature"


def sign(params: dict[str, Any], secret: str = DEFAULT_KEY.secret) -> dict[str, Any]:
    """*params* with their signature: sorted by name, joined with ``&``."""
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    digest = hmac.new(secret.encode(), payload.encode(), hashlib.sha256)
    return {**params, "signature": digest.hexdigest()}


class Api:
    """A simulator and connections to its WebSocket API."""

    def __init__(
        self, *faults: Fault, path: str = "/ws-api/v3", **options: Any
    ) -> None:
        self.venue = BinanceSimulator(Market(1, rate_hz=0), faults=faults, **options)
        self.now_ns = NOW
        for conn in (1, 2):
            assert self.venue.open(conn, path, {}, NOW) is None

    def call(self, method: str, params: object = None, conn: int = 1) -> Any:
        """The answer to a request."""
        request: dict[str, object] = {"id": "u1", "method": method}
        if params is not None:
            request["params"] = params
        (answer,) = self.send(json.dumps(request), conn)
        return answer

    def send(self, frame: str, conn: int = 1) -> list[Any]:
        """Send a frame; what came back at once."""
        self.venue.receive(conn, frame, self.now_ns)
        return self.read(conn)

    def subscribe(self, conn: int = 1) -> Any:
        """Subscribe to the account; the answer."""
        return self.call(SUBSCRIBE, sign(self.params()), conn)

    def params(self, **changes: object) -> dict[str, Any]:
        """Parameters of a good request, not signed yet."""
        good = {"apiKey": DEFAULT_KEY.key, "timestamp": self.now_ns // 1_000_000}
        return {**good, **changes}

    def advance(self, seconds: float, conn: int = 1) -> list[Any]:
        """Let time pass; the frames that came on one connection."""
        found: list[Any] = []
        end_ns = self.now_ns + int(seconds * SECOND)
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + 10 * SECOND)
            self.venue.advance(self.now_ns)
            found += self.read(conn)
        return found

    def read(self, conn: int) -> list[Any]:
        """Decoded frames of one connection; pings are answered."""
        found = []
        for output in self.venue.outputs():
            if isinstance(output, SimPing):
                self.venue.pong(output.conn, output.payload, self.now_ns)
            elif isinstance(output, SimFrame) and output.conn == conn:
                found.append(json.loads(output.frame))
        return found


def test_a_signed_subscription_is_numbered_from_zero() -> None:
    answer = Api().subscribe()

    assert answer == {
        "id": "u1",
        "status": 200,
        "result": {"subscriptionId": 0},
        "rateLimits": [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": 6_000,
                # Two connections at 5 each, then the request.
                "count": 12,
            }
        ],
    }


def test_the_signature_of_the_reference_is_accepted() -> None:
    """A vector computed elsewhere, so that both sides cannot be wrong together."""
    keys = [SimKey("test-key", "test-secret")]
    start_ns = 1_700_000_000_000 * 1_000_000
    venue = BinanceSimulator(Market(1, rate_hz=0, start_ns=start_ns), keys=keys)
    assert venue.open(1, "/ws-api/v3", {}, start_ns) is None
    request = (
        '{"id":"u1","method":"userDataStream.subscribe.signature","params":{"apiKey":'
        '"test-key","timestamp":1700000000000,"signature":'
        '"40b4b78df402bffcf600b5c8b83721f029b92dcf6287b6460f5947ed53376448"}}'
    )
    venue.receive(1, request, start_ns)
    (output,) = venue.outputs()

    assert isinstance(output, SimFrame)
    assert json.loads(output.frame)["status"] == 200


def test_a_bad_signature_has_the_documented_answer() -> None:
    api = Api()
    answer = api.call(SUBSCRIBE, sign(api.params(), "wrong"))
    del answer["rateLimits"]

    message = "Signature for this request is not valid."
    assert answer == {
        "id": "u1",
        "status": 400,
        "error": {"code": -1022, "msg": message},
    }


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"apiKey": "other"}, 401, -2015),
        ({"apiKey": ""}, 400, -1102),
        ({"timestamp": "soon"}, 400, -1100),
        ({"timestamp": NOW // 1_000_000 - 5_001}, 400, -1021),
        ({"timestamp": NOW // 1_000_000 + 1_001}, 400, -1021),
        ({"recvWindow": 60_001}, 400, -1131),
    ],
)
def test_bad_parameters_are_refused(
    changes: dict[str, object], status: int, code: int
) -> None:
    api = Api()
    answer = api.call(SUBSCRIBE, sign(api.params(**changes)))

    assert (answer["status"], answer["error"]["code"]) == (status, code)
    assert "result" not in answer


def test_a_window_and_microseconds_are_honored() -> None:
    api = Api()
    old = api.params(timestamp=NOW // 1_000_000 - 9_000, recvWindow=10_000)
    assert api.call("account.status", sign(old))["status"] == 200
    micro = api.params(timestamp=NOW // 1_000)
    assert api.call("account.status", sign(micro))["status"] == 200


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        '{"id":1}',
        '{"id":1,"method":"dance"}',
        '{"id":1,"method":[]}',
        '{"id":1,"method":"ping","params":[1]}',
        "[" * 5_000,
        '{"id":1,"method":"userDataStream.subscribe"}',
        '{"id":1,"method":"userDataStream.subscribe.signature","params":{}}',
    ],
)
def test_bad_requests_are_errors_with_a_status(frame: str) -> None:
    (answer,) = Api().send(frame)

    assert answer["status"] in (400, 401)
    assert answer["error"]["code"] < 0
    assert answer["id"] in (1, None)


def test_one_account_has_one_subscription_on_a_connection() -> None:
    api = Api()
    api.subscribe()
    again = api.subscribe()

    assert (again["status"], again["error"]["code"]) == (400, -2035)
    assert api.subscribe(conn=2)["result"] == {"subscriptionId": 0}
    assert api.call("session.subscriptions")["result"] == [{"subscriptionId": 0}]


def test_no_snapshot_comes_and_changes_follow() -> None:
    api = Api()
    api.subscribe()
    assert api.advance(4.9) == []
    events = api.advance(120)

    assert {event["subscriptionId"] for event in events} == {0}
    inner = [event["event"] for event in events]
    positions = [event for event in inner if event["e"] == "outboundAccountPosition"]
    changes = [event for event in inner if event["e"] == "balanceUpdate"]
    assert len(positions) == 24
    assert len(changes) == 6
    assert set(positions[0]) == {"e", "E", "u", "B"}
    assert all(len(event["B"]) == 1 for event in positions)
    assert set(positions[0]["B"][0]) == {"a", "f", "l"}
    assert set(changes[0]) == {"e", "E", "a", "d", "T"}


def test_the_account_agrees_with_the_last_positions() -> None:
    api = Api()
    api.subscribe()
    events = [event["event"] for event in api.advance(200)]
    held = {
        row["a"]: (row["f"], row["l"])
        for event in events
        if event["e"] == "outboundAccountPosition"
        for row in event["B"]
    }
    status = api.call("account.status", sign(api.params()))["result"]
    shown = {row["asset"]: (row["free"], row["locked"]) for row in status["balances"]}

    assert {asset: shown[asset] for asset in held if asset in shown} == {
        asset: texts for asset, texts in held.items() if asset in shown
    }
    assert all(Decimal(held[asset][0]) == 0 for asset in set(held) - set(shown))
    assert status["updateTime"] == events[-1]["E"]


def test_unsubscribing_ends_with_a_last_event() -> None:
    api = Api()
    api.subscribe()
    request = {"id": 7, "method": "userDataStream.unsubscribe", "params": {}}
    event, answer = api.send(json.dumps(request))

    assert event == {
        "subscriptionId": 0,
        "event": {"e": "eventStreamTerminated", "E": NOW // 1_000_000},
    }
    assert (answer["id"], answer["status"], answer["result"]) == (7, 200, {})
    assert api.advance(60) == []
    assert api.subscribe()["result"] == {"subscriptionId": 1}


def test_a_logon_with_a_shared_secret_is_refused() -> None:
    api = Api()

    assert api.call("session.logon", sign(api.params()))["error"]["code"] == -4056


def test_times_follow_the_unit_of_the_connection() -> None:
    api = Api(path="/ws-api/v3?timeUnit=MICROSECOND")
    assert api.call("time")["result"] == {"serverTime": NOW // 1_000}
    api.subscribe()

    (event,) = api.advance(5)
    assert event["event"]["E"] == (NOW + 5 * SECOND) // 1_000


def test_weight_is_shared_with_rest_and_refused_with_a_time_to_wait() -> None:
    api = Api(habits=Habits(spot_weight=40))
    assert api.call("ping")["rateLimits"][0]["count"] == 11
    answer = api.venue.request("GET", "/api/v3/exchangeInfo", {}, NOW)
    assert answer.headers["x-mbx-used-weight-1m"] == "31"
    refused = api.call("account.status", sign(api.params()))

    assert (refused["status"], refused["error"]["code"]) == (429, -1003)
    assert refused["error"]["data"] == {
        "serverTime": NOW // 1_000_000,
        "retryAfter": (NOW + 60 * SECOND) // 1_000_000,
    }
    assert api.venue.police.violations == {"weight": 1}


def test_many_requests_are_weighed_and_not_counted_as_frames() -> None:
    api = Api()
    for _ in range(50):
        assert api.call("ping")["status"] == 200

    assert api.venue.police.total == 0


def test_events_can_be_lost() -> None:
    api = Api(Fault(kind="drop", channel="userDataStream"))
    api.subscribe()

    assert api.advance(60) == []


def test_secrets_are_not_shown() -> None:
    assert DEFAULT_KEY.secret not in repr(DEFAULT_KEY)
