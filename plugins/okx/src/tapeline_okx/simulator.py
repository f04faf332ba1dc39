"""A simulator of OKX v5: its WebSockets, its REST, its limits and its moods.

https://www.okx.com/docs-v5/en/#overview-websocket
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from urllib.parse import parse_qsl, urlencode, urlsplit

from tapeline.hookspecs import SimRefusal, SimResponse
from tapeline.testing.faults import Fault
from tapeline.testing.ledger import Ledger
from tapeline.testing.market import Execution, Market
from tapeline.testing.simulator import Levels, SimConnection, SimulatorBase
from tapeline_okx.simulator_account import DEFAULT_KEY, SimAccount, SimKey
from tapeline_okx.simulator_balances import AccountTopic
from tapeline_okx.simulator_listings import Listings
from tapeline_okx.simulator_requests import SOCKET_LIMITS, Requests
from tapeline_okx.simulator_rest import LIMITS, OkxRest
from tapeline_okx.simulator_routing import CANDLES, PATHS
from tapeline_okx.simulator_topics import (
    BooksTopic,
    CandleTopic,
    LatestTopic,
    StreamTopic,
    TickerTopic,
    Topic,
)
from tapeline_okx.simulator_wire import OkxInstrument

_NOTICE = "The connection will soon be closed for a service upgrade. Please reconnect."


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
        self._topics: dict[tuple[str, str], Topic] = {}
        self._idle_ns = int(idle_s * 1e9)
        self._listings = Listings(self, self.instruments)
        self._requests = Requests(
            self,
            self.instruments,
            self._listings,
            self.account,
            AccountTopic(self, self.account, int(account_s * 1e9)),
            self._topic,
            cached_trade=cached_trade,
            routing_codes=routing_codes,
            connections_per_channel=connections_per_channel,
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
        self._requests.greet(connection, socket, conn_id)
        self._watch_idle(connection, now_ns + self._idle_ns)
        return None

    def on_gone(self, connection: SimConnection) -> None:
        """Forget the connection's subscriptions."""
        self._requests.forget(connection)

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

    def on_frame(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        """A text ping, or a request in JSON."""
        self._requests.take(connection, frame, now_ns)

    # The market.

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

    def _rename(self, instrument: OkxInstrument, inst_id: str) -> None:
        """List it under another name; who subscribed the old one hears no more."""
        old = instrument.inst_id
        self.instruments[inst_id] = self.instruments.pop(old)
        for key in [key for key in self._topics if key[1] == old]:
            del self._topics[key]
        instrument.inst_id = inst_id

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
                    self._listings.change(instrument, state, listed, now_ns)
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
        body = {"event": "notice", "code": "64008", "msg": _NOTICE}
        self._requests.notify(connection, body, now_ns)

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
