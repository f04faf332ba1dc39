"""What the simulator publishes on its own rhythm: books, tickers, candles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random

from tapeline.testing.book import ASK, BID
from tapeline.testing.simulator import SimConnection, SimulatorBase
from tapeline_okx.simulator_wire import (
    BARS,
    OkxInstrument,
    bar_open_ns,
    ms,
    push_frame,
)

MILLISECOND_NS = 1_000_000
HEARTBEAT_NS = 60 * 10**9
BOOK_LEVELS = 400


class Topic(ABC):
    """One channel of one instrument and who listens to it.

    ``touch`` says that something changed; a push follows at once, or when
    ``interval_ns`` has passed since the last one.
    """

    interval_ns = 100 * MILLISECOND_NS

    def __init__(
        self, venue: SimulatorBase, channel: str, instrument: OkxInstrument
    ) -> None:
        self.venue = venue
        self.channel = channel
        self.instrument = instrument
        self.listeners: dict[int, SimConnection] = {}
        self._last_ns = -self.interval_ns
        self._waiting = False

    def add(self, connection: SimConnection, now_ns: int) -> None:
        """A new listener, who gets the current state first."""
        first = not self.listeners
        self.listeners[connection.id] = connection
        if first:
            self.start(now_ns)
        self.greet(connection, now_ns)

    def remove(self, connection: SimConnection) -> None:
        """A listener has left; safe when it never listened."""
        self.listeners.pop(connection.id, None)

    def start(self, now_ns: int) -> None:
        """The first listener has come and is about to get the state of now."""
        self._last_ns = now_ns

    @abstractmethod
    def greet(self, connection: SimConnection, now_ns: int) -> None:
        """Push the current state to one listener."""

    @abstractmethod
    def publish(self, now_ns: int) -> None:
        """Push what changed to all listeners."""

    def touch(self, now_ns: int) -> None:
        """Something changed."""
        if not self._waiting and self.listeners:
            self._waiting = True
            at_ns = max(now_ns, self._last_ns + self.interval_ns)
            self.venue.timers.at(at_ns, self._fire)

    def _fire(self, now_ns: int) -> None:
        self._waiting = False
        if self._last_ns + self.interval_ns > now_ns:
            # Something else was pushed since this was asked for.
            self.touch(now_ns)
        elif self.listeners:
            self._last_ns = now_ns
            self.publish(now_ns)

    def push_all(self, frame: str, now_ns: int) -> None:
        """Push *frame* to every listener."""
        for connection in list(self.listeners.values()):
            self.push(connection, frame, now_ns)

    def push(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        """Push *frame* to one listener."""
        self.venue.push(
            connection, self.channel, self.instrument.inst_id, frame, now_ns
        )


class LatestTopic(Topic):
    """``books5``, ``bbo-tbt``: whole states, repeated after a minute of rest."""

    def __init__(
        self,
        venue: SimulatorBase,
        channel: str,
        instrument: OkxInstrument,
        chance: Random,
    ) -> None:
        super().__init__(venue, channel, instrument)
        self._random = chance
        self._beating = False
        if channel == "bbo-tbt":
            self.interval_ns = 10 * MILLISECOND_NS

    def start(self, now_ns: int) -> None:
        """Begin the heartbeat."""
        super().start(now_ns)
        if not self._beating:
            self._beating = True
            self.venue.timers.at(now_ns + HEARTBEAT_NS, self._beat)

    def _beat(self, now_ns: int) -> None:
        self._beating = bool(self.listeners)
        if not self._beating:
            return
        due_ns = self._last_ns + HEARTBEAT_NS
        if due_ns <= now_ns:
            self.repeat(now_ns)
            self._last_ns = now_ns
            due_ns = now_ns + HEARTBEAT_NS
        self.venue.timers.at(due_ns, self._beat)

    def repeat(self, now_ns: int) -> None:
        """Push the heartbeat."""
        self.push_all(self._frame(now_ns), now_ns)

    def greet(self, connection: SimConnection, now_ns: int) -> None:
        """Push the current best levels."""
        self.push(connection, self._frame(now_ns), now_ns)

    def publish(self, now_ns: int) -> None:
        """Push the best levels under a new sequence id."""
        self.instrument.seq += self._random.randrange(7, 94)
        self.push_all(self._frame(now_ns), now_ns)

    def _frame(self, now_ns: int) -> str:
        count = 5 if self.channel == "books5" else 1
        instrument = self.instrument
        data: dict[str, object] = {
            "asks": instrument.levels(ASK, count),
            "bids": instrument.levels(BID, count),
        }
        if self.channel == "books5":
            data["instId"] = instrument.inst_id
        data["ts"] = ms(now_ns)
        data["seqId"] = instrument.seq
        return push_frame(self.channel, instrument.inst_id, [data])


class BooksTopic(LatestTopic):
    """``books``: a snapshot, then changes chained by irregular sequence ids."""

    def __init__(
        self,
        venue: SimulatorBase,
        channel: str,
        instrument: OkxInstrument,
        chance: Random,
    ) -> None:
        super().__init__(venue, channel, instrument, chance)
        self._asks: dict[int, tuple[int, int]] = {}
        self._bids: dict[int, tuple[int, int]] = {}
        self._seq = instrument.seq
        self._crossed: int | None = None
        self._cross_next = False

    def start(self, now_ns: int) -> None:
        """Begin to follow the book from its state now."""
        super().start(now_ns)
        book = self.instrument.feed.book
        book.tracking = True
        book.take_changes()
        self._asks = dict(book.asks)
        self._bids = dict(book.bids)
        self._crossed = None
        self._step()

    def remove(self, connection: SimConnection) -> None:
        """A listener has left; with the last one the book is not followed."""
        super().remove(connection)
        if not self.listeners:
            self.instrument.feed.book.tracking = False

    def _step(self) -> None:
        self.instrument.seq += self._random.randrange(7, 94)
        self._seq = self.instrument.seq

    def reset(self) -> None:
        """The sequence goes on from a smaller id, as after maintenance."""
        self.instrument.seq = self._random.randrange(1, 1_000)

    def cross(self) -> None:
        """The next update bids above the best ask; the one after repairs it."""
        self._cross_next = True

    def published(self) -> tuple[int, list[list[str]], list[list[str]]]:
        """Sequence id, bids and asks, best first, as published so far."""
        level = self.instrument.level
        asks = sorted(self._asks.items())[:BOOK_LEVELS]
        bids = sorted(self._bids.items(), reverse=True)[:BOOK_LEVELS]
        return (
            self._seq,
            [level(tick, *at) for tick, at in bids],
            [level(tick, *at) for tick, at in asks],
        )

    def greet(self, connection: SimConnection, now_ns: int) -> None:
        """Push a snapshot of what has been published so far."""
        seq, bids, asks = self.published()
        data = {
            "asks": asks,
            "bids": bids,
            "ts": ms(now_ns),
            "checksum": 0,
            "prevSeqId": -1,
            "seqId": seq,
        }
        inst_id = self.instrument.inst_id
        frame = push_frame(self.channel, inst_id, [data], "snapshot")
        self.push(connection, frame, now_ns)

    def publish(self, now_ns: int) -> None:
        """Push the levels that differ from what was published."""
        book = self.instrument.feed.book
        changed_asks, changed_bids = book.take_changes()
        asks = dict(changed_asks)
        bids = dict(changed_bids)
        if self._crossed is not None:
            bids.setdefault(self._crossed, (0, 0))
            self._crossed = None
        if self._cross_next:
            self._cross_next = False
            self._crossed = book.best_ask + 1
            bids[self._crossed] = (10, 1)
        asks = _merge(self._asks, asks)
        bids = _merge(self._bids, bids)
        if asks or bids:
            before = self._seq
            self._step()
            self._send(asks, bids, before, now_ns)

    def repeat(self, now_ns: int) -> None:
        """An update without levels whose two sequence ids are equal."""
        self._send({}, {}, self._seq, now_ns)

    def _send(
        self,
        asks: dict[int, tuple[int, int]],
        bids: dict[int, tuple[int, int]],
        before: int,
        now_ns: int,
    ) -> None:
        level = self.instrument.level
        data = {
            "asks": [level(tick, *at) for tick, at in asks.items()],
            "bids": [level(tick, *at) for tick, at in bids.items()],
            "ts": ms(now_ns),
            "checksum": 0,
            "prevSeqId": before,
            "seqId": self._seq,
        }
        inst_id = self.instrument.inst_id
        self.push_all(push_frame(self.channel, inst_id, [data], "update"), now_ns)


def _merge(
    published: dict[int, tuple[int, int]], changes: dict[int, tuple[int, int]]
) -> dict[int, tuple[int, int]]:
    """Apply *changes* to *published*; what is left of them is worth sending."""
    sent = {}
    for tick, level in changes.items():
        if level[0] == 0:
            if published.pop(tick, None) is not None:
                sent[tick] = level
        elif published.get(tick) != level:
            published[tick] = level
            sent[tick] = level
    return sent


class TickerTopic(Topic):
    """``tickers``: at most one in 100 ms, only when something changed."""

    def greet(self, connection: SimConnection, now_ns: int) -> None:
        """Push the ticker now."""
        self.push(connection, self._frame(now_ns), now_ns)

    def publish(self, now_ns: int) -> None:
        """Push the ticker to all."""
        self.push_all(self._frame(now_ns), now_ns)

    def _frame(self, now_ns: int) -> str:
        row = self.instrument.ticker(now_ns)
        return push_frame(self.channel, self.instrument.inst_id, [row])


class CandleTopic(Topic):
    """``candle…``: the forming bar at most once a second, then the final one."""

    interval_ns = 1_000 * MILLISECOND_NS

    def __init__(
        self, venue: SimulatorBase, channel: str, instrument: OkxInstrument
    ) -> None:
        super().__init__(venue, channel, instrument)
        self._bar = channel.removeprefix("candle")
        self._width_ns = BARS[self._bar][0]
        self._open_ns = 0
        self._rolling = False

    def start(self, now_ns: int) -> None:
        """Begin with the bar of now."""
        super().start(now_ns)
        self._open_ns = bar_open_ns(now_ns, self._bar)
        if not self._rolling:
            self._rolling = True
            self.venue.timers.at(self._open_ns + self._width_ns, self._roll)

    def _roll(self, now_ns: int) -> None:
        self._rolling = bool(self.listeners)
        if not self._rolling:
            return
        if self._open_ns + self._width_ns <= now_ns:
            self.push_all(self._frame(True), now_ns)
            self._open_ns = bar_open_ns(now_ns, self._bar)
            self.push_all(self._frame(False), now_ns)
            self._last_ns = now_ns
        self.venue.timers.at(self._open_ns + self._width_ns, self._roll)

    def greet(self, connection: SimConnection, now_ns: int) -> None:
        """Push the forming bar."""
        self.push(connection, self._frame(False), now_ns)

    def publish(self, now_ns: int) -> None:
        """Push the forming bar to all."""
        self.push_all(self._frame(False), now_ns)

    def _frame(self, confirm: bool) -> str:
        bar = self.instrument.feed.bars.bar(self._open_ns, self._width_ns)
        row = self.instrument.candle(bar, confirm)
        return push_frame(self.channel, self.instrument.inst_id, [row])


class StreamTopic(Topic):
    """``trades`` and ``trades-all``: pushed as it happens, by the simulator."""

    def greet(self, connection: SimConnection, now_ns: int) -> None:
        """Nothing: whether an old trade comes first is the simulator's choice."""

    def publish(self, now_ns: int) -> None:
        """Nothing is kept back."""
