"""What the simulator publishes: trades as they happen, all else on its rhythm.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from random import Random

import attrs

from tapeline.testing.market import Execution
from tapeline.testing.simulator import SimConnection, SimulatorBase
from tapeline_binance.simulator_books import FollowedBook, Lots
from tapeline_binance.simulator_intervals import bar_span
from tapeline_binance.simulator_routing import MILLISECOND_NS, StreamKind
from tapeline_binance.simulator_wire import BinanceInstrument

_CROSSING_LOTS = 10
_FAR_TICKS = 50
_GONE = (0, 0)


@attrs.define(eq=False)
class StreamClient:
    """What the protocol keeps of one connection to market streams.

    Args:
        family: ``spot`` or ``futures``.
        route: path class on futures.
        combined: whether events are wrapped; the client may change it.
        unit_ns: nanoseconds in one unit of the times it gets.
        streams: what it asked for → its source; None stays silent.
    """

    connection: SimConnection
    family: str
    route: str
    combined: bool
    unit_ns: int
    streams: dict[str, Topic | None] = attrs.field(factory=dict)


class Topic(ABC):
    """One stream and who listens to it.

    ``touch`` says that something changed; a push follows at once, or when the
    stream's time between two pushes has passed.
    """

    eager = False
    """True pushes the state of now soon after somebody new listens."""

    def __init__(
        self,
        venue: SimulatorBase,
        name: str,
        kind: StreamKind,
        instrument: BinanceInstrument,
    ) -> None:
        self.venue = venue
        self.name = name
        self.channel = name.partition("@")[2]
        self.kind = kind
        self.instrument = instrument
        self.listeners: dict[int, StreamClient] = {}
        self._interval_ns = kind.speed_ms * MILLISECOND_NS
        self._last_ns = 0
        self._waiting = False

    def add(self, client: StreamClient, now_ns: int) -> None:
        """A new listener."""
        first = not self.listeners
        self.listeners[client.connection.id] = client
        if first:
            self._last_ns = now_ns
            self.start(now_ns)
        if self.eager:
            self.touch(now_ns)

    def remove(self, client: StreamClient) -> None:
        """A listener has left; safe when it never listened."""
        self.listeners.pop(client.connection.id, None)

    def start(self, now_ns: int) -> None:
        """The first listener has come."""
        return

    @abstractmethod
    def publish(self, now_ns: int) -> None:
        """Push what changed to all listeners."""

    def touch(self, now_ns: int) -> None:
        """Something changed."""
        if not self._waiting and self.listeners:
            self._waiting = True
            at_ns = max(now_ns, self._last_ns + self._interval_ns)
            self.venue.timers.at(at_ns, self._fire)

    def _fire(self, now_ns: int) -> None:
        self._waiting = False
        if self._last_ns + self._interval_ns > now_ns:
            # Somebody else began to listen since this was asked for.
            self.touch(now_ns)
        elif self.listeners:
            self._last_ns = now_ns
            self.publish(now_ns)

    def push_all(self, build: Callable[[int], str], now_ns: int) -> None:
        """Push what *build* makes, given a unit of time, to every listener."""
        texts: dict[int, str] = {}
        push, symbol = self.venue.push, self.instrument.symbol
        for client in list(self.listeners.values()):
            text = texts.get(client.unit_ns)
            if text is None:
                text = texts[client.unit_ns] = build(client.unit_ns)
            if client.combined:
                text = f'{{"stream":"{self.name}","data":{text}}}'
            push(client.connection, self.channel, symbol, text, now_ns)


class TradeTopic(Topic):
    """``trade`` and ``aggTrade``: pushed as it happens."""

    def tell(self, execution: Execution, now_ns: int) -> None:
        """Push one execution, whole or fill by fill."""
        instrument = self.instrument
        if self.kind.kind == "aggTrade":
            self.push_all(
                lambda unit: instrument.aggregate(execution, now_ns, unit), now_ns
            )
            return
        for fill in execution.fills:
            self.push_all(
                lambda unit, fill=fill: instrument.trade(  # type: ignore[misc]
                    fill, now_ns, unit
                ),
                now_ns,
            )

    def publish(self, now_ns: int) -> None:
        """Nothing is kept back."""


class BookTickerTopic(Topic):
    """``bookTicker``: the best levels, whenever they differ."""

    def start(self, now_ns: int) -> None:
        """Begin with the best levels of now, unsaid."""
        self._best = self.instrument.best()

    def publish(self, now_ns: int) -> None:
        """Push the best levels if they are not those that were pushed last."""
        best = self.instrument.best()
        if best != self._best:
            self._best = best
            self.push_all(
                lambda unit: self.instrument.book_ticker(now_ns, unit), now_ns
            )


class DepthTopic(Topic):
    """``depth``: changes of the book, chained by update ids.

    Args:
        chance: of one-sided updates and stray levels.
        one_sided: share of updates that are split.
        stray: share of updates with a level nobody knows.
    """

    def __init__(
        self,
        venue: SimulatorBase,
        name: str,
        kind: StreamKind,
        book: FollowedBook,
        chance: Random,
        one_sided: float,
        stray: float,
    ) -> None:
        super().__init__(venue, name, kind, book.instrument)
        self._book = book
        self._random = chance.random
        self._one_sided = one_sided
        self._stray = stray
        self._changed_asks: set[int] = set()
        self._changed_bids: set[int] = set()
        self._best_bid = 0
        self._first: int | None = None
        self._last = 0
        self._crossed: int | None = None
        self._cross_next = False

    def start(self, now_ns: int) -> None:
        """Begin to follow the book from its state now."""
        self._book.follow(self)
        self._changed_asks.clear()
        self._changed_bids.clear()
        self._best_bid = self.instrument.feed.book.best_bid
        self._first = None
        self._last = self.instrument.update_id
        self._crossed = None

    def remove(self, client: StreamClient) -> None:
        """A listener has left; with the last one the book is not followed."""
        super().remove(client)
        if not self.listeners:
            self._book.leave(self)

    def note(self, asks: Collection[int], bids: Collection[int]) -> None:
        """Remember which levels to look at with the next update."""
        self._changed_asks.update(asks)
        self._changed_bids.update(bids)
        if self._first is None:
            self._first = self.instrument.first_step_id

    def reset(self) -> None:
        """Go on from the instrument's update id, whatever was said before it."""
        # One less, so that what is pending has an id left.
        self._last = self.instrument.update_id - 1
        self._first = None

    def cross(self) -> None:
        """Make the next update cross the book; the one after it repairs it."""
        self._cross_next = True
        self.touch(self.venue.market.now_ns)

    @property
    def settled(self) -> bool:
        """True when listeners have been told of everything, and of no crossing."""
        told = not self._changed_asks and not self._changed_bids
        return told and self._crossed is None and not self._cross_next

    def publish(self, now_ns: int) -> None:
        """Push every level that was touched, whether it differs now or not.

        Who began with a snapshot from between two updates may have it otherwise.
        """
        book = self.instrument.feed.book
        asks = _take(self._changed_asks, book.asks)
        bids = _take(self._changed_bids, book.bids)
        split = self._random() < self._one_sided
        if self._crossed is not None:
            bids.setdefault(self._crossed, 0)
            self._crossed = None
            split = False
        if self._cross_next and (asks or bids):
            self._cross_next = False
            self._crossed = book.best_ask + 1
            bids[self._crossed] = _CROSSING_LOTS
            split = False
        if not asks and not bids:
            return
        if self._random() < self._stray:
            bids[max(1, book.best_bid - book.depth - _FAR_TICKS)] = 0
        first, last, before = self._first, self.instrument.update_id, self._last
        if first is None or self.instrument.spot:
            first = before + 1
        # Ids of futures belong to all symbols: an update never follows on the last.
        gap = 1 if self.instrument.spot else 2
        middle = last - gap
        # Only one step of the book: no snapshot can lie between the two halves.
        single = self.instrument.first_step_id == first <= middle
        if split and asks and bids and single:
            # The side that makes room comes first, so that they never cross.
            if book.best_ask > self._best_bid:
                self._send((first, middle, before), {}, asks, now_ns)
                self._send((middle + gap, last, middle), bids, {}, now_ns)
            else:
                self._send((first, middle, before), bids, {}, now_ns)
                self._send((middle + gap, last, middle), {}, asks, now_ns)
        else:
            self._send((first, last, before), bids, asks, now_ns)
        self._last = last
        self._first = None
        self._best_bid = book.best_bid

    def _send(
        self, ids: tuple[int, int, int], bids: Lots, asks: Lots, now_ns: int
    ) -> None:
        instrument = self.instrument
        bid_rows = instrument.levels(sorted(bids.items(), reverse=True))
        ask_rows = instrument.levels(sorted(asks.items()))
        self.push_all(
            lambda unit: instrument.depth(ids, bid_rows, ask_rows, now_ns, unit), now_ns
        )


def _take(changed: set[int], levels: Mapping[int, tuple[int, int]]) -> Lots:
    """Lots of the levels in *changed*, 0 where one is gone; empties it."""
    found = {tick: levels.get(tick, _GONE)[0] for tick in changed}
    changed.clear()
    return found


class PartialTopic(Topic):
    """``depth5``, ``depth10`` and ``depth20``: the best levels, whole."""

    eager = True

    def start(self, now_ns: int) -> None:
        """Begin the chain of futures."""
        self._last = self.instrument.update_id

    def publish(self, now_ns: int) -> None:
        """Push the best levels."""
        instrument, before = self.instrument, self._last
        self._last = instrument.update_id
        levels = self.kind.levels
        self.push_all(
            lambda unit: instrument.partial(levels, before, now_ns, unit), now_ns
        )


class TickerTopic(Topic):
    """``ticker`` and ``miniTicker``: at most once a second, when it changed."""

    eager = True

    def publish(self, now_ns: int) -> None:
        """Push the ticker."""
        mini = self.kind.kind == "miniTicker"
        ticker = self.instrument.mini_ticker if mini else self.instrument.ticker
        self.push_all(lambda unit: ticker(now_ns, unit), now_ns)


class KlineTopic(Topic):
    """``kline_…``: the forming bar on its rhythm, then the closed one.

    Args:
        lose_closes: share of closing frames that are never sent.
    """

    eager = True

    def __init__(
        self,
        venue: SimulatorBase,
        name: str,
        kind: StreamKind,
        instrument: BinanceInstrument,
        chance: Random,
        lose_closes: float,
    ) -> None:
        super().__init__(venue, name, kind, instrument)
        self._random = chance.random
        self._lose_closes = lose_closes
        self._span = (0, 0)
        self._rolling = False

    def start(self, now_ns: int) -> None:
        """Begin with the bar of now."""
        self._span = bar_span(now_ns, self.kind.interval, self.kind.shift_ns)
        if not self._rolling:
            self._rolling = True
            self.venue.timers.at(self._span[1], self._roll)

    def _roll(self, now_ns: int) -> None:
        self._rolling = bool(self.listeners)
        if not self._rolling:
            return
        if self._span[1] <= now_ns:
            if not self._lose_closes or self._random() >= self._lose_closes:
                self._send(True, now_ns)
            self._span = bar_span(now_ns, self.kind.interval, self.kind.shift_ns)
        self.venue.timers.at(self._span[1], self._roll)

    def publish(self, now_ns: int) -> None:
        """Push the forming bar."""
        self._send(False, now_ns)

    def _send(self, closed: bool, now_ns: int) -> None:
        open_ns, end_ns = self._span
        instrument, interval = self.instrument, self.kind.interval
        bar = instrument.feed.bars.bar(open_ns, end_ns - open_ns)
        self.push_all(
            lambda unit: instrument.kline(bar, interval, end_ns, closed, now_ns, unit),
            now_ns,
        )
