"""The WebSocket API of the simulator, as far as balances need it.

https://developers.binance.com/docs/binance-spot-api-docs/websocket-api/user-data-stream-requests
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
import msgspec

from tapeline.testing.simulator import SimConnection, SimulatorBase
from tapeline_binance.simulator_account import BAD_KEY, Problem, SimAccount
from tapeline_binance.simulator_habits import Habits
from tapeline_binance.simulator_weight import WeightMeter
from tapeline_binance.simulator_wire import json_text

CONNECT_WEIGHT = 5
_DEPOSIT_EVERY = 4
_MAX_SUBSCRIPTIONS = 65_535
_UNAUTHORIZED = (-2014, BAD_KEY[0])


@attrs.define(eq=False)
class ApiClient:
    """What is kept of one connection to the WebSocket API.

    Args:
        unit_ns: nanoseconds in one unit of the times it gets.
        accounts: running subscriptions: id → API key.
    """

    connection: SimConnection
    unit_ns: int
    accounts: dict[int, str] = attrs.field(factory=dict)
    next_id: int = 0


class _Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, problem: Problem, status: int = 400) -> None:
        self.code, self.message = problem
        self.status = 401 if self.code in _UNAUTHORIZED else status
        super().__init__(self.message)


class ApiSockets:
    """The protocol of all connections to the WebSocket API."""

    def __init__(
        self,
        venue: SimulatorBase,
        habits: Habits,
        account: SimAccount,
        meter: WeightMeter,
    ) -> None:
        self._venue = venue
        self._account = account
        self._meter = meter
        self._interval_ns = max(1, int(habits.account_s * 1e9))
        self._clients: dict[int, ApiClient] = {}
        self._moving = False
        self._moves = 0
        self._methods: Mapping[
            str, tuple[int, Callable[[ApiClient, Mapping[str, Any], int], object]]
        ] = MappingProxyType(
            {
                "ping": (1, self._ping),
                "time": (1, self._time),
                "account.status": (20, self._status),
                "session.subscriptions": (2, self._list),
                "session.logon": (2, self._logon),
                "userDataStream.subscribe": (2, self._subscribe),
                "userDataStream.subscribe.signature": (2, self._subscribe_signed),
                "userDataStream.unsubscribe": (2, self._unsubscribe),
            }
        )

    def open(self, connection: SimConnection, unit_ns: int) -> None:
        """A new connection."""
        self._clients[connection.id] = ApiClient(connection, unit_ns)

    def client(self, connection: SimConnection) -> ApiClient | None:
        """What is kept of *connection*; None when it is not to the WebSocket API."""
        return self._clients.get(connection.id)

    def forget(self, connection: SimConnection) -> None:
        """The connection is gone."""
        self._clients.pop(connection.id, None)

    def receive(self, client: ApiClient, frame: str, now_ns: int) -> None:
        """A text frame of *client*."""
        identity: object = None
        status = 200
        body: dict[str, object] = {}
        try:
            request = _read(frame)
            identity = request.get("id")
            method = request.get("method")
            if not isinstance(method, str) or method not in self._methods:
                raise _Refused((-1000, f"Unknown method: {str(method)[:50]}"))
            params = request.get("params", {})
            if not isinstance(params, dict):
                raise _Refused((-1102, "Malformed request."))
            weight, call = self._methods[method]
            over = self._meter.spend(weight, now_ns)
            if over is not None:
                body["data"] = {
                    "serverTime": now_ns // client.unit_ns,
                    "retryAfter": over.until_ns // client.unit_ns,
                }
                raise _Refused((-1003, over.message), over.status)
            result = call(client, params, now_ns)
            body = {"result": result}
        except _Refused as refused:
            status = refused.status
            body = {"error": {"code": refused.code, "msg": refused.message, **body}}
        limits: list[Mapping[str, object]] = [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": self._meter.limit,
                "count": self._meter.used,
            }
        ]
        answer = {"id": identity, "status": status, **body, "rateLimits": limits}
        self._venue.send(client.connection, json_text(answer), now_ns)

    # The methods.

    def _ping(
        self, client: ApiClient, params: Mapping[str, Any], now_ns: int
    ) -> object:
        return {}

    def _time(
        self, client: ApiClient, params: Mapping[str, Any], now_ns: int
    ) -> object:
        return {"serverTime": now_ns // client.unit_ns}

    def _status(
        self, client: ApiClient, params: Mapping[str, Any], now_ns: int
    ) -> object:
        self._check(params, now_ns)
        return self._account.status(client.unit_ns)

    def _list(
        self, client: ApiClient, params: Mapping[str, Any], now_ns: int
    ) -> object:
        return [{"subscriptionId": number} for number in client.accounts]

    def _logon(
        self, client: ApiClient, params: Mapping[str, Any], now_ns: int
    ) -> object:
        self._check(params, now_ns)
        raise _Refused((-4056, "HMAC_SHA256 API key is not supported."))

    def _subscribe(
        self, client: ApiClient, params: Mapping[str, Any], now_ns: int
    ) -> object:
        # Nobody is logged on: the keys of this simulator are all HMAC.
        raise _Refused(BAD_KEY)

    def _subscribe_signed(
        self, client: ApiClient, params: Mapping[str, Any], now_ns: int
    ) -> object:
        self._check(params, now_ns)
        # All keys of the simulator belong to its one account.
        if client.accounts:
            raise _Refused((-2035, "User data stream subscription already active."))
        if client.next_id >= _MAX_SUBSCRIPTIONS:
            raise _Refused((-1003, "Too many subscriptions on this connection."))
        number = client.next_id
        client.next_id += 1
        client.accounts[number] = params["apiKey"]
        if not self._moving:
            self._moving = True
            self._venue.timers.at(now_ns + self._interval_ns, self._move)
        return {"subscriptionId": number}

    def _unsubscribe(
        self, client: ApiClient, params: Mapping[str, Any], now_ns: int
    ) -> object:
        wanted = params.get("subscriptionId")
        for number in list(client.accounts):
            if wanted in (None, number):
                del client.accounts[number]
                event = {
                    "e": "eventStreamTerminated",
                    "E": now_ns // client.unit_ns,
                }
                self._tell(client, number, event, now_ns)
        return {}

    def _check(self, params: Mapping[str, Any], now_ns: int) -> None:
        problem = self._account.check_signed(params, now_ns)
        if problem is not None:
            raise _Refused(problem)

    # The account.

    def _tell(
        self, client: ApiClient, number: int, event: Mapping[str, object], now_ns: int
    ) -> None:
        frame = json_text({"subscriptionId": number, "event": event})
        self._venue.push(client.connection, "userDataStream", "", frame, now_ns)

    def _move(self, now_ns: int) -> None:
        listeners = [client for client in self._clients.values() if client.accounts]
        self._moving = bool(listeners)
        if not self._moving:
            return
        self._moves += 1
        account = self._account
        asset, by = account.move(now_ns)
        for client in listeners:
            unit = client.unit_ns
            for number in client.accounts:
                if self._moves % _DEPOSIT_EVERY == 0:
                    change = account.change(asset, by, now_ns, unit)
                    self._tell(client, number, change, now_ns)
                position = account.position(asset, now_ns, unit)
                self._tell(client, number, position, now_ns)
        self._venue.timers.at(now_ns + self._interval_ns, self._move)


def _read(frame: str) -> Mapping[str, Any]:
    try:
        request = msgspec.json.decode(frame)
    except (msgspec.DecodeError, ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise _Refused((-1000, "Invalid JSON."))
    return request
