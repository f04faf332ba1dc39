"""Control messages on market streams: subscriptions, properties, their errors.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#live-subscribingunsubscribing-to-streams
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from tapeline.testing.simulator import SimConnection, SimulatorBase
from tapeline_binance.simulator_habits import Habits
from tapeline_binance.simulator_routing import Endpoint
from tapeline_binance.simulator_topics import StreamClient, Topic
from tapeline_binance.simulator_wire import json_text

MAX_FRAME_BYTES = 4_096

FindTopic = Callable[[StreamClient, str], Topic | None]
"""The source of a stream for a client; None when nothing will ever come."""


class _Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class StreamSockets:
    """The protocol of all connections to market streams."""

    def __init__(self, venue: SimulatorBase, habits: Habits, find: FindTopic) -> None:
        self._venue = venue
        self._habits = habits
        self._find = find
        self._clients: dict[int, StreamClient] = {}
        self._methods: Mapping[str, Callable[[StreamClient, object, int], object]] = (
            MappingProxyType(
                {
                    "SUBSCRIBE": self._subscribe,
                    "UNSUBSCRIBE": self._unsubscribe,
                    "LIST_SUBSCRIPTIONS": self._list,
                    "SET_PROPERTY": self._set_property,
                    "GET_PROPERTY": self._get_property,
                }
            )
        )

    @property
    def clients(self) -> Sequence[StreamClient]:
        """All connections to market streams."""
        return list(self._clients.values())

    def client(self, connection: SimConnection) -> StreamClient | None:
        """What is kept of *connection*; None when it is no stream connection."""
        return self._clients.get(connection.id)

    def open(self, connection: SimConnection, endpoint: Endpoint, now_ns: int) -> None:
        """A new connection, perhaps with streams in its URL."""
        client = StreamClient(
            connection,
            endpoint.family,
            endpoint.route,
            endpoint.combined,
            endpoint.unit_ns,
        )
        self._clients[connection.id] = client
        self._start(client, endpoint.streams[: self._habits.max_streams], now_ns)

    def forget(self, connection: SimConnection) -> None:
        """The connection is gone."""
        client = self._clients.pop(connection.id, None)
        if client is not None:
            for topic in client.streams.values():
                if topic is not None:
                    topic.remove(client)

    def receive(self, client: StreamClient, frame: str, now_ns: int) -> None:
        """A text frame of *client*."""
        if len(frame.encode("utf-8", "replace")) > MAX_FRAME_BYTES:
            self._venue.police.note("frame-size")
            if self._habits.oversize == "error":
                text = "Invalid JSON: EOF while parsing a string at line 1 column 4096"
                self._refuse(client, _Refused(3, text), None, now_ns)
            return
        try:
            request = msgspec.json.decode(frame)
        except (msgspec.DecodeError, ValueError, RecursionError):
            text = "Invalid JSON: expected value at line 1 column 1"
            self._refuse(client, _Refused(3, text), None, now_ns)
            return
        identity: object = None
        try:
            if not isinstance(request, dict):
                raise _Refused(2, "Invalid request: expected a map")
            identity = _read_id(request)
            if not isinstance(request.get("method"), str):
                column = len(frame)
                text = f"missing field `method` at line 1 column {column}"
                raise _Refused(2, f"Invalid request: {text}")
            method = self._methods.get(request["method"])
            if method is None:
                text = f"unknown variant `{request['method'][:50]}`"
                raise _Refused(
                    2, f"Invalid request: {text}, expected one of {_VARIANTS}"
                )
            if self._unanswered(client, request, now_ns):
                return
            result = method(client, request.get("params"), now_ns)
        except _Refused as refused:
            self._refuse(client, refused, identity, now_ns)
            return
        answer = json_text({"result": result, "id": identity})
        if not self._habits.ack_delay_s:
            self._venue.send(client.connection, answer, now_ns)
            return

        def acknowledge(at_ns: int) -> None:
            if self._clients.get(client.connection.id) is client:
                self._venue.send(client.connection, answer, at_ns)

        self._venue.timers.at(now_ns + int(self._habits.ack_delay_s * 1e9), acknowledge)

    def _refuse(
        self, client: StreamClient, refused: _Refused, identity: object, now_ns: int
    ) -> None:
        error: dict[str, object] = {"code": refused.code, "msg": refused.message}
        if self._habits.flat_errors:
            body = error if identity is None else error | {"id": identity}
        else:
            body = {"error": error, "id": identity}
        self._venue.send(client.connection, json_text(body), now_ns)

    def _unanswered(
        self, client: StreamClient, request: Mapping[str, object], now_ns: int
    ) -> bool:
        """True when a fault swallows the request whole."""
        names = request.get("params")
        if request["method"] != "SUBSCRIBE" or not isinstance(names, list):
            return False
        active = self._venue.faults.active
        return any(
            active("no-ack", now_ns, *_words(name)) is not None
            for name in names
            if isinstance(name, str)
        )

    # The methods.

    def _subscribe(self, client: StreamClient, params: object, now_ns: int) -> None:
        names = _read_names(params)
        if len({*client.streams, *names}) > self._habits.max_streams:
            self._venue.police.note("streams")
            raise _Refused(4, "Too many subscriptions")
        if self._habits.unknown_streams == "error" and not all(
            self._find(client, name) for name in names
        ):
            raise _Refused(2, "Invalid request: invalid stream")
        self._start(client, names, now_ns)

    def _start(self, client: StreamClient, names: Sequence[str], now_ns: int) -> None:
        for name in names:
            channel, symbol = _words(name)
            muted = client.connection.muted
            muted.discard((channel, symbol))
            fault = self._venue.faults.active("ack-and-mute", now_ns, channel, symbol)
            if fault is not None:
                muted.add((channel, symbol))
            if name not in client.streams:
                topic = client.streams[name] = self._find(client, name)
                if topic is not None:
                    topic.add(client, now_ns)

    def _unsubscribe(self, client: StreamClient, params: object, now_ns: int) -> None:
        for name in _read_names(params):
            topic = client.streams.pop(name, None)
            client.connection.muted.discard(_words(name))
            if topic is not None:
                topic.remove(client)

    def _list(self, client: StreamClient, params: object, now_ns: int) -> list[str]:
        return list(client.streams)

    def _set_property(self, client: StreamClient, params: object, now_ns: int) -> None:
        _, *values = _read_property(params)
        if len(values) != 1:
            raise _Refused(2, "Invalid request: too many parameters")
        if not isinstance(values[0], bool):
            raise _Refused(1, "Invalid value type: expected Boolean")
        client.combined = values[0]

    def _get_property(self, client: StreamClient, params: object, now_ns: int) -> bool:
        if len(_read_property(params)) != 1:
            raise _Refused(2, "Invalid request: too many parameters")
        return client.combined


_VARIANTS = (
    "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
)


def _read_id(request: Mapping[str, object]) -> object:
    identity = request.get("id")
    whole = isinstance(identity, int) and not isinstance(identity, bool)
    if whole or identity is None:
        return identity
    if isinstance(identity, str) and len(identity) <= 36 and identity.isalnum():
        return identity
    raise _Refused(2, "Invalid request: request ID must be an unsigned integer")


def _read_names(params: object) -> Sequence[str]:
    if not isinstance(params, list) or not all(
        isinstance(name, str) for name in params
    ):
        raise _Refused(2, "Invalid request: params must be a list of streams")
    if not params:
        raise _Refused(2, "Invalid request: params is empty")
    return params


def _read_property(params: object) -> list[object]:
    if not isinstance(params, list) or not params or not isinstance(params[0], str):
        raise _Refused(2, "Invalid request: property name must be a string")
    if params[0] != "combined":
        raise _Refused(0, "Unknown property")
    return params


def _words(name: str) -> tuple[str, str]:
    """Channel and symbol of a stream name, as fault scripts spell them."""
    symbol, _, channel = name.partition("@")
    return channel, symbol.upper()
