"""A simulator of Binance, spot and USDⓈ-M futures on one host, told apart by path.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from urllib.parse import parse_qsl, urlencode, urlsplit

from tapeline.hookspecs import SimRefusal, SimResponse
from tapeline.testing.book import ASK, BID
from tapeline.testing.faults import Fault
from tapeline.testing.ledger import Ledger
from tapeline.testing.market import Execution, Feed, Market
from tapeline.testing.police import Limit
from tapeline.testing.simulator import Levels, SimConnection, SimulatorBase
from tapeline_binance.simulator_account import DEFAULT_KEY, SimAccount, SimKey
from tapeline_binance.simulator_api import CONNECT_WEIGHT, ApiSockets
from tapeline_binance.simulator_books import FollowedBook
from tapeline_binance.simulator_habits import Habits
from tapeline_binance.simulator_lines import Line
from tapeline_binance.simulator_rest import BinanceRest
from tapeline_binance.simulator_routing import (
    API_PATH,
    FUTURES,
    SPOT,
    BadQuery,
    read_channel,
    read_endpoint,
    read_unit,
)
from tapeline_binance.simulator_streams import StreamSockets
from tapeline_binance.simulator_topics import (
    BookTickerTopic,
    DepthTopic,
    KlineTopic,
    PartialTopic,
    StreamClient,
    TickerTopic,
    Topic,
    TradeTopic,
)
from tapeline_binance.simulator_weight import WeightMeter
from tapeline_binance.simulator_wire import BinanceInstrument, json_text

SOCKET_LIMITS = (
    Limit("connects", 300, 300.0),
    Limit("frames", 5, 1.0),
    Limit("futures-frames", 10, 1.0),
)

_RESET_JUMP = 1_000_000
_NEWEST_SHARE = 0.3
_FARTHEST_IDS = 300


class BinanceSimulator(SimulatorBase):
    """Binance in this process: a ``SimulatedExchange`` over a seeded market.

    Spot instruments are served as spot, linear swaps and futures as USDⓈ-M with
    sizes in the base currency.

    Args:
        market: owned by this simulator from now on; it has not traded yet.
        faults: what goes wrong; an empty script takes the market's. ``channel`` is
            what follows ``@`` in a stream name, ``symbol`` e.g. ``BTCUSDT``.
        ledger: where every fill is written before it can be sent; None takes the
            market's.
        keys: API keys of the account; None allows ``DEFAULT_KEY``.
        habits: None takes the venue's.
        seed: of ids, faults and the account; None takes the market's.

    Raises:
        UsageError: the market trades inverse contracts, or contracts that have
            traded already.
    """

    names_executions = True

    def __init__(
        self,
        market: Market,
        *,
        faults: Sequence[Fault] = (),
        ledger: Ledger | None = None,
        keys: Sequence[SimKey] | None = None,
        habits: Habits | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            market,
            "binance",
            faults=faults,
            ledger=ledger,
            limits=SOCKET_LIMITS,
            seed=seed,
        )
        self.habits = habits = Habits() if habits is None else habits
        self._random = Random(f"binance:{self.seed}")
        self._futures_id = 10**12 + self._random.randrange(10**11)
        keep_ns = self._history_ns()
        self.instruments: dict[tuple[str, str], BinanceInstrument] = {}
        self._by_feed: dict[Feed, BinanceInstrument] = {}
        self._books: dict[BinanceInstrument, FollowedBook] = {}
        self._topics: dict[BinanceInstrument, dict[str, Topic]] = {}
        for feed in market.feeds.values():
            feed.use_base_units()
            instrument = BinanceInstrument(feed, 10**9 + self._random.randrange(10**9))
            if not instrument.spot:
                instrument.update_id = instrument.first_step_id = self._futures_id
            self.instruments[instrument.family, instrument.symbol] = instrument
            self._by_feed[feed] = instrument
            self._books[instrument] = FollowedBook(instrument, keep_ns)
            self._topics[instrument] = {}
        self.account = SimAccount(
            (DEFAULT_KEY,) if keys is None else keys,
            Random(f"binance-account:{self.seed}"),
        )
        self.meters: Mapping[str, WeightMeter] = {
            SPOT: self._meter("weight", habits.spot_weight),
            FUTURES: self._meter("futures-weight", habits.futures_weight),
        }
        self._rest = BinanceRest(
            self.instruments, self._books, self.meters, self.account, habits
        )
        self._lines: dict[int, Line] = {}
        self._streams = StreamSockets(self, habits, self._find_topic)
        self._api = ApiSockets(self, habits, self.account, self.meters[SPOT])

    def _meter(self, name: str, limit: int) -> WeightMeter:
        habits = self.habits
        return WeightMeter(self.police, name, limit, habits.patience, habits.ban_s)

    def _history_ns(self) -> int:
        """How far back a book over REST may lie."""
        lags = [fault.lag_s for fault in self._script if fault.kind == "stale"]
        return int(max(self.habits.depth_lag_s, *lags, 0.0) * 1e9)

    # Connections.

    def accept(
        self, connection: SimConnection, headers: Mapping[str, str], now_ns: int
    ) -> SimRefusal | None:
        """Accept streams and the WebSocket API; any other path is 404."""
        habits = self.habits
        try:
            if urlsplit(connection.path).path == API_PATH:
                return self._accept_api(connection, now_ns)
            endpoint = read_endpoint(connection.path)
        except BadQuery:
            return SimRefusal(400, "invalid timeUnit")
        if endpoint is None:
            return SimRefusal(404, "no such path")
        if len(endpoint.streams) > habits.max_streams:
            self.police.note("streams")
        if endpoint.family == SPOT:
            rhythm = ("frames", habits.ping_s, habits.pong_s)
        else:
            rhythm = ("futures-frames", habits.futures_ping_s, habits.futures_pong_s)
        self._open_line(connection, *rhythm, now_ns)
        self._streams.open(connection, endpoint, now_ns)
        return None

    def _accept_api(self, connection: SimConnection, now_ns: int) -> SimRefusal | None:
        over = self.meters[SPOT].spend(CONNECT_WEIGHT, now_ns)
        if over is not None:
            wait = {"Retry-After": str(over.retry_after_s(now_ns))}
            return SimRefusal(over.status, over.message, wait)
        query = dict(parse_qsl(urlsplit(connection.path).query))
        unit_ns = read_unit(query.get("timeUnit", ""))
        habits = self.habits
        self._open_line(connection, "", habits.ping_s, habits.pong_s, now_ns)
        self._api.open(connection, unit_ns)
        return None

    def _open_line(
        self,
        connection: SimConnection,
        limit: str,
        ping_s: float,
        pong_s: float,
        now_ns: int,
    ) -> None:
        line = Line(self, connection, limit, ping_s, pong_s)
        self._lines[connection.id] = line
        line.begin(now_ns, self.habits.lifetime_s, self.habits.cut_code)

    def on_gone(self, connection: SimConnection) -> None:
        """Forget the connection and its subscriptions."""
        self._lines.pop(connection.id, None)
        self._streams.forget(connection)
        self._api.forget(connection)

    # What comes in.

    def on_pong(self, connection: SimConnection, payload: str, now_ns: int) -> None:
        """A pong counts as a frame; one with the payload of a ping keeps the line."""
        line = self._lines[connection.id]
        if line.admit(now_ns):
            line.pong(payload)

    def on_ping(self, connection: SimConnection, now_ns: int) -> None:
        """A ping counts as a frame."""
        self._lines[connection.id].admit(now_ns)

    def on_frame(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        """A request, on streams or the WebSocket API."""
        if not self._lines[connection.id].admit(now_ns):
            return
        client = self._streams.client(connection)
        if client is not None:
            self._streams.receive(client, frame, now_ns)
            return
        caller = self._api.client(connection)
        if caller is not None:
            self._api.receive(caller, frame, now_ns)

    # Streams.

    def _find_topic(self, client: StreamClient, name: str) -> Topic | None:
        """The source of *name*; None when it is unknown or on the wrong path."""
        symbol, _, channel = name.partition("@")
        instrument = self.instruments.get((client.family, symbol.upper()))
        if instrument is None or not instrument.listed or symbol != symbol.lower():
            return None
        kind = read_channel(client.family, channel)
        if kind is None or (client.family == FUTURES and kind.route != client.route):
            return None
        topics = self._topics[instrument]
        topic = topics.get(name)
        if topic is not None:
            return topic
        habits = self.habits
        # Every topic has chances of its own, whatever else is subscribed.
        chance = Random(f"binance:{self.seed}:{client.family}:{name}")
        if kind.kind in ("trade", "aggTrade"):
            topic = TradeTopic(self, name, kind, instrument)
        elif kind.kind == "bookTicker":
            topic = BookTickerTopic(self, name, kind, instrument)
        elif kind.kind == "depth":
            topic = DepthTopic(
                self,
                name,
                kind,
                self._books[instrument],
                chance,
                habits.one_sided,
                habits.stray,
            )
        elif kind.kind == "partial":
            topic = PartialTopic(self, name, kind, instrument)
        elif kind.kind == "kline":
            topic = KlineTopic(self, name, kind, instrument, chance, habits.lose_closes)
        else:
            topic = TickerTopic(self, name, kind, instrument)
        topics[name] = topic
        return topic

    # The market.

    def on_executions(self, executions: Sequence[Execution]) -> None:
        """Push trades at once and let the other streams of the instrument know."""
        moved: dict[Feed, int] = {}
        for execution in executions:
            feed = execution.feed
            moved[feed] = moved.get(feed, 0) + 1 + len(execution.fills)
            for topic in self._topics[self._by_feed[feed]].values():
                if isinstance(topic, TradeTopic) and topic.listeners:
                    topic.tell(execution, execution.exchange_ns)
        for feed, changes in moved.items():
            instrument = self._by_feed[feed]
            before = instrument.update_id
            self._number(instrument, changes)
            instrument.changed_ns = feed.last_ns
            self._books[instrument].step(before, feed.last_ns)
            for topic in self._topics[instrument].values():
                topic.touch(feed.last_ns)

    def _number(self, instrument: BinanceInstrument, changes: int) -> None:
        """Give ids to the changes of a book."""
        if instrument.spot:
            instrument.first_step_id = instrument.update_id + 1
            instrument.update_id += changes
            return
        # One counter for all symbols: others have used ids in between.
        self._futures_id += self._random.randrange(2, 400)
        instrument.first_step_id = self._futures_id
        self._futures_id += changes + self._random.randrange(50)
        instrument.update_id = self._futures_id

    def on_fault(
        self, fault: Fault, connections: Sequence[SimConnection], now_ns: int
    ) -> None:
        """Notices, jumps of ids, crossed books, what becomes of instruments."""
        if fault.kind == "notice":
            for connection in connections:
                self._announce(connection, fault, now_ns)
        elif fault.kind in ("halt", "delist", "relist", "rename"):
            for instrument in self._by_feed.values():
                known = instrument.feed.instrument
                if known.symbol == fault.symbol and fault.market in ("", known.market):
                    self._change_instrument(instrument, fault)
        else:
            self._disturb(fault)

    def _change_instrument(self, instrument: BinanceInstrument, fault: Fault) -> None:
        if fault.kind in ("halt", "delist"):
            instrument.status = "HALT" if instrument.spot else "SETTLING"
            instrument.listed = fault.kind == "halt"
            return
        instrument.status = "TRADING"
        instrument.listed = True
        if fault.kind == "rename":
            # Who subscribed the old name hears no more.
            del self.instruments[instrument.family, instrument.symbol]
            instrument.symbol = fault.to
            self.instruments[instrument.family, instrument.symbol] = instrument
            self._topics[instrument].clear()

    def _disturb(self, fault: Fault) -> None:
        for instrument, topics in self._topics.items():
            depths = [
                topic
                for topic in topics.values()
                if isinstance(topic, DepthTopic)
                and fault.meets(topic.channel, instrument.symbol)
            ]
            if fault.kind == "crossed-book":
                for topic in depths:
                    topic.cross()
            elif depths:
                # Ids never fall here: they go on from far ahead, with a hole.
                self._futures_id += _RESET_JUMP
                instrument.update_id += _RESET_JUMP
                if not instrument.spot:
                    instrument.update_id = self._futures_id
                for source in topics.values():
                    if isinstance(source, DepthTopic):
                        source.reset()

    def _announce(self, connection: SimConnection, fault: Fault, now_ns: int) -> None:
        line = self._lines[connection.id]
        self.send(connection, self._shutdown_notice(connection, now_ns), now_ns)

        def close(at_ns: int) -> None:
            line.end(fault.code, fault.reason)

        self.timers.at(now_ns + int(fault.deadline_s * 1e9), close)

    def _shutdown_notice(self, connection: SimConnection, now_ns: int) -> str:
        client = self._streams.client(connection)
        if client is None:
            caller = self._api.client(connection)
            unit_ns = 1_000_000 if caller is None else caller.unit_ns
            event = {"e": "serverShutdown", "E": now_ns // unit_ns}
            return json_text({"event": event})
        event = {"e": "serverShutdown", "E": now_ns // client.unit_ns}
        if client.combined:
            return json_text({"stream": "!serverShutdown", "data": event})
        return json_text(event)

    def book_now(self, market: str, symbol: str) -> tuple[int, Levels, Levels] | None:
        """The book, once every follower of its changes has been told of them all."""
        instrument = self._by_feed[self.market.feed(market, symbol)]
        topics = [
            topic
            for topic in self._topics[instrument].values()
            if isinstance(topic, DepthTopic) and topic.listeners
        ]
        if not topics or not all(topic.settled for topic in topics):
            return None
        depth = instrument.feed.book.depth
        return (
            instrument.update_id,
            instrument.top(BID, depth),
            instrument.top(ASK, depth),
        )

    def elsewhere(self, target: str) -> str:
        """A page of trades from another place, or the newest."""
        path, _, text = target.partition("?")
        query = dict(parse_qsl(text))
        if "fromId" in query:
            if self.faults.random.random() < _NEWEST_SHARE:
                del query["fromId"]
            else:
                shift = self.faults.random.randint(-_FARTHEST_IDS, _FARTHEST_IDS)
                query["fromId"] = str(max(1, int(query["fromId"]) + shift))
        return f"{path}?{urlencode(query)}"

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], now_ns: int
    ) -> SimResponse:
        """A REST request, perhaps from a cache that lags behind."""
        stale = self.faults.active("stale", now_ns)
        lag_ns = 0 if stale is None else int(stale.lag_s * 1e9)
        return self._rest.answer(method, target, headers, now_ns, lag_ns)
