"""A simulator of OKX v5: its WebSockets, its REST, its limits and its moods.

https://www.okx.com/docs-v5/en/#overview-websocket
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import msgspec

from tapeline.hookspecs import SimRefusal, SimResponse
from tapeline.testing.faults import Fault
from tapeline.testing.ledger import Ledger
from tapeline.testing.market import Execution, Market
from tapeline.testing.police import Limit
from tapeline.testing.simulator import Levels, SimConnection, SimulatorBase
from tapeline_okx.simulator_account import DEFAULT_KEY, SimAccount, SimKey
from tapeline_okx.simulator_balances import AccountTopic
from tapeline_okx.simulator_rest import LIMITS, OkxRest
from tapeline_okx.simulator_routing import CANDLES, PATHS, refusal_of
from tapeline_okx.simulator_topics import (
    BooksTopic,
    CandleTopic,
    LatestTopic,
    StreamTopic,
    TickerTopic,
    Topic,
)
from tapeline_okx.simulator_wire import OkxInstrument, json_text

MAX_FRAME_BYTES = 64 * 1024
SOCKET_LIMITS = (Limit("connects", 3, 1.0), Limit("requests", 480, 3_600.0))

_NOTICE = "The connection will soon be closed for a service upgrade. Please reconnect."


@attrs.define(eq=False)
class _Client:
    """What the protocol keeps of one connection."""

    socket: str
    conn_id: str
    logged_in: bool = False
    topics: dict[tuple[str, str], Topic] = attrs.field(factory=dict)
    types: set[str] = attrs.field(factory=set)


class OkxSimulator(SimulatorBase):
    """OKX in this process: a ``SimulatedExchange`` over a seeded market.

    Args:
        market: owned by this simulator from now on.
        faults: what goes wrong; an empty script takes the market's.
        ledger: where every fill is written before it can be sent; None takes the
            market's.
        keys: API keys that may log in; None allows ``DEFAULT_KEY``.
        cached_trade: how many executions back the old trade is that follows the
            ack of ``trades``; None sends none.
        idle_s: silence after which a connection is closed with 4004.
        routing_codes: True answers a channel on the wrong socket with 64001 or
            64002, False with 60018 as for anything unknown.
        account_s: time between two changes of the account.
        page_size: currencies on one page of an account snapshot.
        connections_per_channel: private subscriptions beyond it die after their ack.
        seed: of ids, faults and the account; None takes the market's.
    """

    def __init__(
        self,
        market: Market,
        *,
        faults: Sequence[Fault] = (),
        ledger: Ledger | None = None,
        keys: Sequence[SimKey] | None = None,
        cached_trade: int | None = 0,
        idle_s: float = 30.0,
        routing_codes: bool = True,
        account_s: float = 5.0,
        page_size: int = 2,
        connections_per_channel: int = 30,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            market,
            "okx",
            faults=faults,
            ledger=ledger,
            limits=(*SOCKET_LIMITS, *LIMITS),
            seed=seed,
        )
        self._random = Random(f"okx:{self.seed}")
        self.instruments: dict[str, OkxInstrument] = {}
        self._by_feed: dict[object, OkxInstrument] = {}
        for feed in market.feeds.values():
            instrument = OkxInstrument(feed)
            self.instruments[instrument.inst_id] = instrument
            self._by_feed[feed] = instrument
        account_chance = Random(f"okx-account:{self.seed}")
        self.account = SimAccount(
            (DEFAULT_KEY,) if keys is None else keys, account_chance, page_size
        )
        self._rest = OkxRest(self.instruments, self.police, self.account)
        self._clients: dict[int, _Client] = {}
        self._topics: dict[tuple[str, str], Topic] = {}
        self._cached_trade = cached_trade
        self._idle_ns = int(idle_s * 1e9)
        self._routing_codes = routing_codes
        self._balances = AccountTopic(self, self.account, int(account_s * 1e9))
        self._connections_per_channel = connections_per_channel
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

    # Connections.

    def accept(
        self, connection: SimConnection, headers: Mapping[str, str], now_ns: int
    ) -> SimRefusal | None:
        """Accept the three paths, whatever their query; anything else is 404."""
        socket = PATHS.get(urlsplit(connection.path).path)
        if socket is None:
            return SimRefusal(404, "no such path")
        conn_id = f"{self._random.getrandbits(32):08x}"
        self._clients[connection.id] = _Client(socket, conn_id)
        self._watch_idle(connection, now_ns + self._idle_ns)
        return None

    def on_gone(self, connection: SimConnection) -> None:
        """Forget the connection's subscriptions."""
        client = self._clients.pop(connection.id, None)
        if client is not None:
            for topic in client.topics.values():
                topic.remove(connection)
        self._balances.forget(connection)

    def _watch_idle(self, connection: SimConnection, at_ns: int) -> None:
        def check(now_ns: int) -> None:
            if connection.id not in self.connections or connection.silent:
                return
            due_ns = connection.last_ns + self._idle_ns
            if due_ns <= now_ns:
                self.close(connection, 4004, "No data received in 30s.")
            else:
                self._watch_idle(connection, due_ns)

        self.timers.at(at_ns, check)

    # Requests.

    def on_frame(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        """A text ping, or a request in JSON."""
        if frame == "ping":
            self.send(connection, "pong", now_ns)
            return
        if len(frame) > MAX_FRAME_BYTES:
            self.police.note("frame-size")
            self.close(connection, 1009, "Request message exceeds the maximum length")
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
        if not self.police.hit("requests", connection.id, now_ns):
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
        self.send(connection, frame, now_ns)

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
        channel = arg["channel"]
        inst_id = str(arg.get("instId", ""))
        problem = refusal_of(
            arg, client.socket, client.logged_in, self.instruments, self._routing_codes
        )
        if problem is not None:
            self._refuse(connection, client, *problem, identity, now_ns)
            return
        if self.faults.active("no-ack", now_ns, channel, inst_id) is not None:
            return
        ack = {"event": "subscribe", "arg": arg}
        self._event(connection, client, ack, identity, now_ns)
        connection.muted.discard((channel, inst_id))
        if self.faults.active("ack-and-mute", now_ns, channel, inst_id) is not None:
            connection.muted.add((channel, inst_id))
        if channel == "account":
            self._subscribe_account(connection, client, arg, now_ns)
        elif channel == "instruments":
            self._subscribe_instruments(
                connection, client, str(arg["instType"]), now_ns
            )
        elif (channel, inst_id) not in client.topics:
            topic = self._topic(channel, inst_id)
            client.topics[channel, inst_id] = topic
            topic.add(connection, now_ns)
            if channel == "trades":
                self._push_cached(connection, topic.instrument, now_ns)

    def _topic(self, channel: str, inst_id: str) -> Topic:
        topic = self._topics.get((channel, inst_id))
        if topic is None:
            instrument = self.instruments[inst_id]
            if channel == "books":
                topic = BooksTopic(self, channel, instrument, self._random)
            elif channel in ("books5", "bbo-tbt"):
                topic = LatestTopic(self, channel, instrument, self._random)
            elif channel == "tickers":
                topic = TickerTopic(self, channel, instrument)
            elif channel in CANDLES:
                topic = CandleTopic(self, channel, instrument)
            else:
                topic = StreamTopic(self, channel, instrument)
            self._topics[channel, inst_id] = topic
        return topic

    def _push_cached(
        self, connection: SimConnection, instrument: OkxInstrument, now_ns: int
    ) -> None:
        if self._cached_trade is None:
            return
        executions = instrument.feed.executions
        if len(executions) > self._cached_trade:
            frame = instrument.trade_frame(executions[-1 - self._cached_trade])
            self.push(connection, "trades", instrument.inst_id, frame, now_ns)

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
            client.types.discard(str(arg.get("instType", "")))
        elif key[0] == "account":
            self._balances.remove(connection, arg)
        ack = {"event": "unsubscribe", "arg": arg}
        self._event(connection, client, ack, identity, now_ns)

    # Instruments.

    def _subscribe_instruments(
        self, connection: SimConnection, client: _Client, kind: str, now_ns: int
    ) -> None:
        if kind not in client.types:
            client.types.add(kind)
            rows = [
                instrument.row()
                for instrument in self.instruments.values()
                if instrument.listed and instrument.inst_type == kind
            ]
            self._push_instruments(connection, kind, rows, now_ns)

    def _push_instruments(
        self,
        connection: SimConnection,
        kind: str,
        rows: Sequence[Mapping[str, object]],
        now_ns: int,
    ) -> None:
        arg = {"channel": "instruments", "instType": kind}
        frame = json_text({"arg": arg, "data": rows})
        self.push(connection, "instruments", "", frame, now_ns)

    def _change_instrument(
        self, instrument: OkxInstrument, state: str, listed: bool, now_ns: int
    ) -> None:
        instrument.state = state
        instrument.listed = listed
        rows = [instrument.row()]
        for conn, client in self._clients.items():
            if instrument.inst_type in client.types:
                connection = self.connections[conn]
                self._push_instruments(connection, instrument.inst_type, rows, now_ns)

    def _rename(self, instrument: OkxInstrument, inst_id: str) -> None:
        """List it under another name; who subscribed the old one hears no more."""
        old = instrument.inst_id
        self.instruments[inst_id] = self.instruments.pop(old)
        for key in [key for key in self._topics if key[1] == old]:
            del self._topics[key]
        instrument.inst_id = inst_id

    # The account.

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
        problem = self.account.check_login(arg, now_ns)
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

    # The market.

    def on_executions(self, executions: Sequence[Execution]) -> None:
        """Push trades at once and let the other channels of the instrument know."""
        topics = self._topics
        for execution in executions:
            instrument = self._by_feed[execution.feed]
            inst_id = instrument.inst_id
            now_ns = execution.exchange_ns
            topic = topics.get(("trades", inst_id))
            if topic is not None and topic.listeners:
                topic.push_all(instrument.trade_frame(execution), now_ns)
            topic = topics.get(("trades-all", inst_id))
            if topic is not None and topic.listeners:
                for fill in execution.fills:
                    topic.push_all(instrument.fill_frame(fill), now_ns)
        for touched in {execution.feed: None for execution in executions}:
            instrument = self._by_feed[touched]
            at_ns = instrument.feed.last_ns
            # The venue's order of pushes for one instrument.
            for channel in _ON_ORDER:
                topic = topics.get((channel, instrument.inst_id))
                if topic is not None:
                    topic.touch(at_ns)

    def on_fault(
        self, fault: Fault, connections: Sequence[SimConnection], now_ns: int
    ) -> None:
        """Notices, sequence resets, crossed books, what becomes of instruments."""
        if fault.kind == "notice":
            for connection in connections:
                self._give_notice(connection, fault, now_ns)
        elif fault.kind in _INSTRUMENT_FAULTS:
            for instrument in list(self.instruments.values()):
                known = instrument.feed.instrument
                if known.symbol == fault.symbol and fault.market in ("", known.market):
                    if fault.kind == "rename":
                        self._rename(instrument, fault.to)
                    state = _INSTRUMENT_FAULTS[fault.kind]
                    listed = fault.kind != "delist"
                    self._change_instrument(instrument, state, listed, now_ns)
        else:
            for topic in self._topics.values():
                if isinstance(topic, BooksTopic) and fault.meets(
                    topic.channel, topic.instrument.inst_id
                ):
                    if fault.kind == "reset-sequence":
                        topic.reset()
                    else:
                        topic.cross()

    def _give_notice(
        self, connection: SimConnection, fault: Fault, now_ns: int
    ) -> None:
        client = self._clients[connection.id]
        body = {"event": "notice", "code": "64008", "msg": _NOTICE}
        self._event(connection, client, body, None, now_ns)

        def close(at_ns: int) -> None:
            self.close(connection, fault.code, fault.reason)

        self.timers.at(now_ns + int(fault.deadline_s * 1e9), close)

    def book_now(self, market: str, symbol: str) -> tuple[int, Levels, Levels] | None:
        """What ``books`` has published; None when nobody listens."""
        instrument = self._by_feed[self.market.feed(market, symbol)]
        topic = self._topics.get(("books", instrument.inst_id))
        if not isinstance(topic, BooksTopic) or not topic.listeners:
            return None
        return topic.published()

    def elsewhere(self, target: str) -> str:
        """A page of trades from another place, or the newest."""
        path, _, text = target.partition("?")
        query = dict(parse_qsl(text))
        if "after" in query:
            if self.faults.random.random() < _NEWEST_SHARE:
                del query["after"]
            else:
                shift = self.faults.random.randint(-_FARTHEST_IDS, _FARTHEST_IDS)
                query["after"] = str(max(1, int(query["after"]) + shift))
        return f"{path}?{urlencode(query)}"

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], now_ns: int
    ) -> SimResponse:
        """A REST request, perhaps from a cache that lags behind."""
        stale = self.faults.active("stale", now_ns)
        lag_ns = 0 if stale is None else int(stale.lag_s * 1e9)
        return self._rest.answer(method, target, headers, now_ns, lag_ns)


_INSTRUMENT_FAULTS = {
    "halt": "suspend",
    "delist": "expired",
    "relist": "live",
    "rename": "live",
}
_NEWEST_SHARE = 0.3
_FARTHEST_IDS = 300
_ON_ORDER = ("bbo-tbt", "books", "books5", "tickers", *sorted(CANDLES))


def _bad(frame: str) -> str:
    # Whatever the client sent, the answer is sendable text.
    shown = frame[:500].encode("utf-8", "replace").decode()
    return f"Invalid request: {shown}"
