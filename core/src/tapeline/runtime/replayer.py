"""Recorded frames of one exchange through its parser and the pipeline."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import attrs

from tapeline.clock import Now
from tapeline.hookspecs import ExchangeAdapter, ExchangeSession
from tapeline.integrity import BookSettings, GapIds, IntegritySettings, StreamLedger
from tapeline.model import (
    REPLAY,
    Acked,
    Fetch,
    Instrument,
    Malformed,
    MarketDataPoint,
    Missed,
    Record,
    Request,
    Response,
    Route,
    Subscription,
    Trade,
)
from tapeline.runtime.pipeline import Output, Pipeline
from tapeline.runtime.recorded_answers import answers, path_of
from tapeline.runtime.recordings import (
    CONNECT,
    HTTP,
    INCOMING,
    OUTGOING,
    RecordedFrame,
)
from tapeline.runtime.replay_report import ReplayReport, TradeTotals
from tapeline.transport import Item, StreamMissed, StreamOpened

_ROUTE = Route("replay", capacity=10**9)
_ADVANCE_NS = 250 * 10**6
_MAX_HELD = 1_024
_SHOWN = 12
RECORDED = "recorded"
"""Tag of an answer that nobody asked for, given to the session all the same."""


class _Replayable(Protocol):
    """What an adapter offers so that its recordings explain themselves.

    *frame* is a frame of the connection to *url*, the address of a connection, or that
    of a REST answer; *listed* are instruments by market and venue symbol.
    """

    def recorded_subscriptions(
        self,
        config: Any,
        frame: str,
        url: str,
        listed: Mapping[tuple[str, str], Instrument],
    ) -> Sequence[Subscription]: ...


class _Connection:
    """One recorded connection: a session that is fed and never speaks."""

    def __init__(self, number: int, session: ExchangeSession) -> None:
        self.number = number
        self.session = session
        self.url = ""
        self.known: set[Subscription] = set()
        self.fetches: list[Fetch] = []
        # answers that came before anybody asked
        self.held: deque[RecordedFrame] = deque(maxlen=_MAX_HELD)


class Replayer:
    """Feeds recorded frames of one exchange into a pipeline.

    Args:
        symbols: only these; None for all that the frames tell of.
        market: only this market; None for all.
        instruments: the venue's metadata, when a recording of it was given.
    """

    def __init__(
        self,
        adapter: ExchangeAdapter,
        config: Any,
        *,
        market: str | None = None,
        symbols: Sequence[str] | None = None,
        timeframes: Sequence[str] = (),
        instruments: Iterable[Instrument] = (),
    ) -> None:
        self.adapter = adapter
        self.config = config
        self.report = ReplayReport()
        self._market = market
        self._symbols = None if symbols is None else set(symbols)
        self._timeframes = timeframes
        self._instruments = {instrument.key: instrument for instrument in instruments}
        self._listed = {
            (instrument.market, instrument.venue_symbol): instrument
            for instrument in self._instruments.values()
        }
        self._connections: dict[str, _Connection] = {}
        self._now_ns = 0
        self._advanced_ns = 0
        self._gap_ids = GapIds(0)
        self.pipeline = Pipeline(
            StreamLedger(IntegritySettings(), self._gap_ids),
            # Recordings may begin without a snapshot; such a book stays invalid.
            book_settings=BookSettings(fold_unproven=True),
        )

    @property
    def missing_symbols(self) -> list[str]:
        """Wanted symbols of which the recordings so far hold no stream."""
        found = {stream.symbol for stream in self.pipeline.streams}
        return sorted((self._symbols or set()) - found)

    def no_match(self) -> str:
        """The sentence about recordings that hold nothing of what is wanted.

        Empty when something is, or when everything was wanted.
        """
        filtered = self._market is not None or self._symbols is not None
        if self.pipeline.streams or not filtered:
            return ""
        wanted = " and ".join(
            part
            for part in (
                f"market {self._market!r}" if self._market is not None else "",
                f"symbols {', '.join(sorted(self._symbols))}" if self._symbols else "",
            )
            if part
        )
        held = [f"{market}:{symbol}" for market, symbol in sorted(self.report.held)]
        more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
        found = f"{', '.join(held[:_SHOWN])}{more}" if held else "no known stream"
        return (
            f"expected streams of {wanted}, found {found}; nothing was stored, name "
            "what is there"
        )

    def identify(self, journal_id: str) -> None:
        """Number gaps from a place of their own: another replay has another one."""
        self._gap_ids.seen(int(journal_id.rpartition("-")[2][:14], 16))

    def feed(self, frame: RecordedFrame) -> list[Record]:
        """Take one line; the records that follow from it."""
        counts = self.report.frames
        counts[frame.direction] = counts.get(frame.direction, 0) + 1
        if frame.received_ns is not None:
            self._now_ns = max(self._now_ns, frame.received_ns)
        if frame.direction == HTTP:
            return self._answer(frame)
        if frame.direction == OUTGOING:
            connection = self._connection(frame.connection)
            return self._collect(self._subscribe(connection, frame.raw))
        if frame.direction == INCOMING:
            return self._collect(self._parse(frame))
        if frame.direction == CONNECT:
            connection = self._connection(frame.connection)
            connection.url = frame.url
            return self._collect(self._subscribe(connection, frame.url))
        return []

    def finish(self) -> list[Record]:
        """The end of all recordings: open bars and coverage are given out."""
        records = self._take(self.pipeline.advance(self._now_ns + 10 * 10**9))
        # Nothing is fetched in a replay, so nothing can fill what is missing.
        self.pipeline.ledger.abandon(REPLAY, self._now_ns, records)
        records += self._take(self.pipeline.finish(self._now_ns))
        for subscription, state in self.pipeline.streams.items():
            if state.book is not None:
                book: dict[str, Any] = attrs.asdict(state.book.statistics())
                book["valid"] = state.book.valid
                book["bid_levels"], book["ask_levels"] = state.book.depth()
                bids, asks = state.book.top(5)
                book["top5"] = {
                    "bids": [list(level[:2]) for level in bids],
                    "asks": [list(level[:2]) for level in asks],
                }
                self.report.books[str(subscription)] = book
        self.report.streams = {
            str(subscription): attrs.asdict(statistics)
            for subscription, statistics in self.pipeline.ledger.statistics().items()
        }
        self.report.unanswered_fetches = sum(
            len(connection.fetches) for connection in self._connections.values()
        )
        return records

    def _connection(self, name: str) -> _Connection:
        connection = self._connections.get(name)
        if connection is None:
            session = self.adapter.session(self.config, self._instruments, _ROUTE)
            session.connect(self._now(), None)
            connection = _Connection(len(self._connections), session)
            self._connections[name] = connection
        return connection

    def _now(self) -> Now:
        return Now(self._now_ns, self._now_ns, self._now_ns)

    def _shown(self, connection: _Connection, text: str) -> list[Subscription]:
        """What *text* shows to be subscribed, as far as it is wanted."""
        adapter = cast(_Replayable, self.adapter)
        shown = adapter.recorded_subscriptions(
            self.config, text, connection.url, self._listed
        )
        self.report.held.update((one.market, one.symbol) for one in shown)
        return [subscription for subscription in shown if self._wanted(subscription)]

    def _subscribe(self, connection: _Connection, text: str) -> list[Item]:
        found = [
            subscription
            for subscription in self._shown(connection, text)
            if subscription not in connection.known
        ]
        if not found:
            return []
        marks: list[Item] = []
        for subscription in found:
            connection.known.add(subscription)
            channel = self.adapter.capabilities.channel(subscription.channel)
            if channel is None:
                continue
            self.pipeline.register(
                subscription,
                channel,
                timeframes=self._timeframes
                if subscription.data_type == "trade"
                else (),
                checksum=self.adapter.book_checksum,
            )
            marks.append(StreamOpened(subscription, connection.number, self._now_ns))
        return marks + self._ask(
            connection, connection.session.subscribe(found, self._now())
        )

    def _ask(self, connection: _Connection, actions: Iterable[Any]) -> list[Item]:
        """Let answers that came already serve the requests among *actions*."""
        items: list[Item] = []
        for action in actions:
            if not isinstance(action, Fetch):
                continue
            held = self._held(connection, action)
            if held is None:
                connection.fetches.append(action)
            else:
                items += self._respond(connection, action, held)
        return items

    def _held(self, own: _Connection, fetch: Fetch) -> RecordedFrame | None:
        """An answer to *fetch* that came already; it is not given out again."""
        others = [c for c in self._connections.values() if c is not own]
        for connection in (own, *others):
            for frame in connection.held:
                if connection is not own and not path_of(frame.url):
                    continue
                if answers(frame, fetch):
                    connection.held.remove(frame)
                    return frame
        return None

    def _wanted(self, subscription: Subscription) -> bool:
        if self._symbols is not None and subscription.symbol not in self._symbols:
            return False
        return self._market is None or subscription.market == self._market

    def _parse(self, frame: RecordedFrame) -> list[Item]:
        connection = self._connection(frame.connection)
        marks = self._subscribe(connection, frame.raw)
        parsed = connection.session.parse(frame.raw, frame.received_ns or 0)
        return marks + self._sort(connection, parsed, frame.received_ns is None)

    def _answer(self, frame: RecordedFrame) -> list[Record]:
        own = self._connection(frame.connection)
        others = [c for c in self._connections.values() if c is not own]
        for connection in (own, *others):
            if connection is not own and not path_of(frame.url):
                continue
            waiting = connection.fetches
            fetch = next((f for f in waiting if answers(frame, f)), None)
            if fetch is not None:
                waiting.remove(fetch)
                return self._collect(self._respond(connection, fetch, frame))
        if not self._shown(own, frame.url):
            own.held.append(frame)
            return []
        # Rows of a stream itself, such as a page of trades.
        marks = self._subscribe(own, frame.url)
        fetch = Fetch(Request("GET", frame.url), tag=RECORDED)
        return self._collect(marks + self._respond(own, fetch, frame))

    def _respond(
        self, connection: _Connection, fetch: Fetch, frame: RecordedFrame
    ) -> list[Item]:
        response = Response(
            fetch.request, 200, {}, frame.raw.encode(), self._now_ns, fetch.tag
        )
        parsed = connection.session.respond(response, self._now())
        return self._sort(connection, parsed, frame.received_ns is None)

    def _sort(
        self, connection: _Connection, parsed: Iterable[Any], stamp: bool
    ) -> list[Item]:
        items: list[Item] = []
        for item in parsed:
            if isinstance(item, MarketDataPoint):
                items.append(_as_replay(item, stamp))
            elif isinstance(item, Malformed):
                reasons = self.report.malformed
                reasons[item.reason] = reasons.get(item.reason, 0) + 1
                items.append(item)
            elif isinstance(item, Acked) and item.subscription in connection.known:
                items.append(
                    StreamOpened(item.subscription, connection.number, self._now_ns)
                )
            elif isinstance(item, Missed) and item.subscription in connection.known:
                items.append(
                    StreamMissed(item.subscription, connection.number, self._now_ns)
                )
            elif isinstance(item, Fetch):
                items += self._ask(connection, [item])
        return items

    def _collect(self, items: list[Item]) -> list[Record]:
        records = self._take(self.pipeline.process(items, self._now_ns))
        if self._now_ns - self._advanced_ns >= _ADVANCE_NS:
            self._advanced_ns = self._now_ns
            records += self._take(self.pipeline.advance(self._now_ns))
            for connection in self._connections.values():
                actions = connection.session.tick(self._now()).actions
                late = self._ask(connection, actions)
                if late:
                    records += self._take(self.pipeline.process(late, self._now_ns))
        return records

    def _take(self, out: Output) -> list[Record]:
        records: list[Record] = []
        events = self.report.events
        for event in out.live:
            name = str(event.data_type)
            events[name] = events.get(name, 0) + 1
        for record in out.journal:
            if isinstance(record, Trade):
                totals = self.report.trades.setdefault(record.stream, TradeTotals())
                totals.add(record)
            records.append(record)
        return records


def _as_replay(item: MarketDataPoint, stamp: bool) -> MarketDataPoint:
    changes: dict[str, Any] = {}
    if isinstance(item, Trade):
        changes["source"] = REPLAY
    if stamp and attrs.has(type(item)):
        # The recorder kept no receive time: the exchange's is the best we have.
        changes["received_ns"] = getattr(item, "exchange_ns", 0)
    if not changes:
        return item
    return cast(MarketDataPoint, attrs.evolve(cast(Any, item), **changes))
