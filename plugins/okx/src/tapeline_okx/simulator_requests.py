"""What clients ask for over their sockets: log in, subscribe, unsubscribe.

https://www.okx.com/docs-v5/en/#overview-websocket-subscribe
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import attrs
import msgspec

from tapeline.testing.police import Limit
from tapeline.testing.simulator import SimConnection, SimulatorBase
from tapeline_okx.simulator_account import SimAccount
from tapeline_okx.simulator_balances import AccountTopic
from tapeline_okx.simulator_listings import Listings
from tapeline_okx.simulator_routing import refusal_of
from tapeline_okx.simulator_topics import Topic
from tapeline_okx.simulator_wire import OkxInstrument, json_text

MAX_FRAME_BYTES = 64 * 1024
SOCKET_LIMITS = (Limit("connects", 3, 1.0), Limit("requests", 480, 3_600.0))


@attrs.define(eq=False)
class _Client:
    """What the protocol keeps of one connection."""

    socket: str
    conn_id: str
    logged_in: bool = False
    topics: dict[tuple[str, str], Topic] = attrs.field(factory=dict)


class Requests:
    """Answers requests, and keeps what each connection has asked for.

    Args:
        topic_of: the topic of a channel and an instrument.
        cached_trade: how many executions back the old trade is that follows the
            ack of ``trades``; None sends none.
        routing_codes: see ``OkxSimulator``.
        connections_per_channel: private subscriptions beyond it die after their ack.
    """

    def __init__(
        self,
        venue: SimulatorBase,
        instruments: Mapping[str, OkxInstrument],
        listings: Listings,
        account: SimAccount,
        balances: AccountTopic,
        topic_of: Callable[[str, str], Topic],
        *,
        cached_trade: int | None,
        routing_codes: bool,
        connections_per_channel: int,
    ) -> None:
        self._venue = venue
        self._instruments = instruments
        self._listings = listings
        self._account = account
        self._balances = balances
        self._topic_of = topic_of
        self._cached_trade = cached_trade
        self._routing_codes = routing_codes
        self._connections_per_channel = connections_per_channel
        self._clients: dict[int, _Client] = {}
        self._operations: Mapping[
            str,
            Callable[[SimConnection, _Client, object, str | None, str, int], None],
        ] = MappingProxyType(
            {
                "subscribe": self._subscribe,
                "unsubscribe": self._unsubscribe,
                "login": self._login,
            }
        )

    def greet(self, connection: SimConnection, socket: str, conn_id: str) -> None:
        """A new connection to *socket*, which its answers call *conn_id*."""
        self._clients[connection.id] = _Client(socket, conn_id)

    def forget(self, connection: SimConnection) -> None:
        """The connection is gone, and its subscriptions with it."""
        client = self._clients.pop(connection.id, None)
        if client is not None:
            for topic in client.topics.values():
                topic.remove(connection)
        self._listings.forget(connection)
        self._balances.forget(connection)

    def notify(
        self, connection: SimConnection, body: Mapping[str, object], now_ns: int
    ) -> None:
        """Send an event that answers no request."""
        self._event(connection, self._clients[connection.id], body, None, now_ns)

    def take(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        """A text ping, or a request in JSON."""
        venue = self._venue
        if frame == "ping":
            venue.send(connection, "pong", now_ns)
            return
        if len(frame) > MAX_FRAME_BYTES:
            venue.police.note("frame-size")
            venue.close(connection, 1009, "Request message exceeds the maximum length")
            return
        client = self._clients[connection.id]
        try:
            request = msgspec.json.decode(frame)
        except (msgspec.DecodeError, ValueError, RecursionError):
            request = None
        identity = request.get("id") if isinstance(request, dict) else None
        if not isinstance(identity, str):
            identity = None
        if not isinstance(request, dict) or not isinstance(request.get("op"), str):
            self._refuse(connection, client, "60012", _bad(frame), identity, now_ns)
            return
        operation = self._operations.get(request["op"])
        if operation is None:
            text = f"Invalid op: {request['op']}"
            self._refuse(connection, client, "60019", text, identity, now_ns)
            return
        if not venue.police.hit("requests", connection.id, now_ns):
            text = "Requests too frequent"
            self._refuse(connection, client, "60014", text, identity, now_ns)
            return
        args = request.get("args")
        if not isinstance(args, list) or not args:
            self._refuse(connection, client, "60012", _bad(frame), identity, now_ns)
            return
        for arg in args:
            operation(connection, client, arg, identity, frame, now_ns)

    def _event(
        self,
        connection: SimConnection,
        client: _Client,
        body: Mapping[str, object],
        identity: str | None,
        now_ns: int,
    ) -> None:
        head = {} if identity is None else {"id": identity}
        frame = json_text({**head, **body, "connId": client.conn_id})
        self._venue.send(connection, frame, now_ns)

    def _refuse(
        self,
        connection: SimConnection,
        client: _Client,
        code: str,
        text: str,
        identity: str | None,
        now_ns: int,
    ) -> None:
        body = {"event": "error", "code": code, "msg": text}
        self._event(connection, client, body, identity, now_ns)

    def _subscribe(
        self,
        connection: SimConnection,
        client: _Client,
        arg: object,
        identity: str | None,
        frame: str,
        now_ns: int,
    ) -> None:
        if not isinstance(arg, dict) or not isinstance(arg.get("channel"), str):
            self._refuse(connection, client, "60012", _bad(frame), identity, now_ns)
            return
        faults = self._venue.faults
        channel = arg["channel"]
        inst_id = str(arg.get("instId", ""))
        problem = refusal_of(
            arg, client.socket, client.logged_in, self._instruments, self._routing_codes
        )
        if problem is not None:
            self._refuse(connection, client, *problem, identity, now_ns)
            return
        if faults.active("no-ack", now_ns, channel, inst_id) is not None:
            return
        ack = {"event": "subscribe", "arg": arg}
        self._event(connection, client, ack, identity, now_ns)
        connection.muted.discard((channel, inst_id))
        if faults.active("ack-and-mute", now_ns, channel, inst_id) is not None:
            connection.muted.add((channel, inst_id))
        if channel == "account":
            self._subscribe_account(connection, client, arg, now_ns)
        elif channel == "instruments":
            self._listings.add(connection, str(arg["instType"]), now_ns)
        elif (channel, inst_id) not in client.topics:
            topic = self._topic_of(channel, inst_id)
            client.topics[channel, inst_id] = topic
            topic.add(connection, now_ns)
            if channel == "trades":
                self._push_cached(connection, topic.instrument, now_ns)

    def _push_cached(
        self, connection: SimConnection, instrument: OkxInstrument, now_ns: int
    ) -> None:
        if self._cached_trade is None:
            return
        executions = instrument.feed.executions
        if len(executions) > self._cached_trade:
            frame = instrument.trade_frame(executions[-1 - self._cached_trade])
            self._venue.push(connection, "trades", instrument.inst_id, frame, now_ns)

    def _unsubscribe(
        self,
        connection: SimConnection,
        client: _Client,
        arg: object,
        identity: str | None,
        frame: str,
        now_ns: int,
    ) -> None:
        if not isinstance(arg, dict) or not isinstance(arg.get("channel"), str):
            self._refuse(connection, client, "60012", _bad(frame), identity, now_ns)
            return
        key = (arg["channel"], str(arg.get("instId", "")))
        topic = client.topics.pop(key, None)
        if topic is not None:
            topic.remove(connection)
        connection.muted.discard(key)
        if key[0] == "instruments":
            self._listings.remove(connection, str(arg.get("instType", "")))
        elif key[0] == "account":
            self._balances.remove(connection, arg)
        ack = {"event": "unsubscribe", "arg": arg}
        self._event(connection, client, ack, identity, now_ns)

    def _login(
        self,
        connection: SimConnection,
        client: _Client,
        arg: object,
        identity: str | None,
        frame: str,
        now_ns: int,
    ) -> None:
        if client.logged_in:
            text = "Repeated login"
            self._refuse(connection, client, "60031", text, identity, now_ns)
            return
        problem = self._account.check_login(arg, now_ns)
        if problem is not None:
            self._refuse(connection, client, *problem, identity, now_ns)
            return
        client.logged_in = True
        body = {"event": "login", "code": "0", "msg": ""}
        self._event(connection, client, body, identity, now_ns)

    def _subscribe_account(
        self,
        connection: SimConnection,
        client: _Client,
        arg: Mapping[str, str],
        now_ns: int,
    ) -> None:
        # Beyond the limit the subscription is dead although it was acked.
        over = self._balances.count >= self._connections_per_channel
        count = {
            "event": "channel-conn-count-error" if over else "channel-conn-count",
            "channel": "account",
            "connCount": str(self._balances.count + (not over)),
        }
        self._event(connection, client, count, None, now_ns)
        if not over:
            self._balances.add(connection, arg, now_ns)


def _bad(frame: str) -> str:
    # Whatever the client sent, the answer is sendable text.
    shown = frame[:500].encode("utf-8", "replace").decode()
    return f"Invalid request: {shown}"
