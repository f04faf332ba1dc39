"""Live output: callbacks and live sinks get events at once, from memory.

Nothing here ever holds back the pipeline: every consumer is bounded on its own,
and who is too slow misses the oldest, counted.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Sequence
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel

from tapeline.clock import Clock, SystemClock, now
from tapeline.delivery.accepting import Filter
from tapeline.delivery.consumers import Callback, LiveConsumer, Reporter
from tapeline.delivery.live_sinks import LiveSink
from tapeline.delivery.queues import DropOldest
from tapeline.delivery.settings import LiveSettings
from tapeline.delivery.weights import approximate_bytes
from tapeline.hookspecs import Sink
from tapeline.model import MarketDataPoint, Record

logger = logging.getLogger("tapeline.live")

_POLL_S = 0.01


def log_failure(name: str, error: BaseException) -> None:
    """The reporter that is used when none is given."""
    logger.error("callback %s raised %s: %s", name, type(error).__name__, error)


class LiveFanOut:
    """Hands what is published to every consumer.

    Synchronous callbacks are called straight from the one task of ``run``;
    asynchronous ones and live sinks have a task each.

    Args:
        reporter: told the name of a consumer and what it raised; limits its own
            rate.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        *,
        reporter: Reporter = log_failure,
        settings: LiveSettings | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random(0)
        self._reporter = reporter
        self._settings = settings or LiveSettings()
        self._inbox: DropOldest[Sequence[Record]] = self._queue()
        self._consumers: list[LiveConsumer] = []
        self._by_type: dict[str, tuple[LiveConsumer, ...]] = {}
        self._for_all: tuple[LiveConsumer, ...] = ()
        self._sinks: dict[str, LiveSink] = {}
        self._running: set[LiveConsumer | LiveSink] = set()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._busy = False
        self._published = 0

    def add(
        self,
        data_type: str | None,
        callback: Callback,
        *,
        name: str = "",
        symbols: Collection[str] | None = None,
    ) -> LiveConsumer:
        """Call *callback* with every event of *data_type*, None for all.

        Args:
            name: for logs and statistics; by default where it is defined.
            symbols: only these canonical symbols; None for all.
        """
        consumer = LiveConsumer(
            None if data_type is None else str(data_type),
            callback,
            name,
            symbols,
            DropOldest(self._settings.max_items, self._settings.max_bytes),
            self._reporter,
        )
        self._consumers.append(consumer)
        self._index()
        if consumer.is_async:
            self._spawn(consumer)
        return consumer

    def remove(self, consumer: LiveConsumer) -> None:
        """Nothing more is given to *consumer*; safe twice."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)
            self._index()
        consumer.remove()

    async def add_sink(
        self, name: str, sink: Sink, accepts: Sequence[str] | None
    ) -> None:
        """Feed a live sink, while ``run`` runs.

        One that is unavailable, or takes long, goes on opening in its task.

        Raises:
            Exception: what the sink says when it can never be opened.
        """
        live = LiveSink(
            name,
            sink,
            Filter(name, accepts),
            self._queue(),
            self._clock,
            self._rng,
            self._reporter,
            self._settings,
        )
        self._sinks[name] = live
        if self._tasks is None:
            # A ``run`` that was started just now has its first turn.
            await anyio.lowlevel.checkpoint()
        self._spawn(live)
        try:
            await live.opened(self._settings.open_s)
        except Exception:
            del self._sinks[name]
            raise

    async def remove_sink(self, name: str, deadline_s: float) -> None:
        """Flush and close the live sink *name*, within *deadline_s* seconds."""
        sink = self._sinks.pop(name, None)
        if sink is not None and sink in self._running:
            await sink.stop(deadline_s)

    def publish(self, records: Sequence[Record]) -> None:  # hot path
        """Hand *records* over; returns at once. They must not change any more."""
        if not records:
            return
        self._published += len(records)
        nbytes = sum(map(approximate_bytes, records))
        if self._consumers:
            self._inbox.put(records, len(records), nbytes)
        for sink in self._sinks.values():
            sink.queue.put(records, len(records), nbytes)

    async def run(self) -> None:
        """Call consumers until cancelled; live sinks are closed at the end."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                for consumer in self._consumers:
                    if consumer.is_async:
                        self._spawn(consumer)
                for sink in self._sinks.values():
                    self._spawn(sink)
                await self._dispatch()
            finally:
                # What it had are its tasks; sinks close at their end, and are
                # added anew for the next run.
                self._tasks = None
                self._sinks = {}

    async def drain(self, deadline_s: float) -> None:
        """Wait until everything published is handled, at most *deadline_s*."""
        end_ns = self._clock.monotonic_ns() + int(deadline_s * 1e9)
        while not self._drained() and self._clock.monotonic_ns() < end_ns:
            await self._clock.sleep(_POLL_S)

    def statistics(self) -> dict[str, object]:
        """JSON-ready figures."""
        return {
            "published": self._published,
            "queued": self._inbox.items,
            "queued_bytes": self._inbox.nbytes,
            "dropped": self._inbox.dropped,
            "consumers": [consumer.statistics() for consumer in self._consumers],
            "sinks": self.sink_statistics(),
        }

    def sink_statistics(self) -> dict[str, dict[str, Any]]:
        """Name → figures of each live sink, JSON-ready."""
        moment = now(self._clock)
        return {name: sink.statistics(moment) for name, sink in self._sinks.items()}

    def _queue(self) -> DropOldest[Sequence[Record]]:
        return DropOldest(self._settings.max_items, self._settings.max_bytes)

    def _index(self) -> None:
        types = {consumer.data_type for consumer in self._consumers} - {None}
        self._for_all = tuple(c for c in self._consumers if c.data_type is None)
        self._by_type = {
            data_type: tuple(
                c for c in self._consumers if c.data_type in (None, data_type)
            )
            for data_type in types
            if data_type is not None
        }

    def _spawn(self, member: LiveConsumer | LiveSink) -> None:
        if member in self._running or self._tasks is None:
            return
        self._running.add(member)
        self._tasks.start_soon(self._run_member, member)

    async def _run_member(self, member: LiveConsumer | LiveSink) -> None:
        try:
            await member.run(self._settings.turn)
        finally:
            self._running.discard(member)

    async def _dispatch(self) -> None:
        turn = self._settings.turn
        count = 0
        while True:
            # Silence of a market is no fault: no deadline.
            await self._inbox.wait()
            self._busy = True
            while (records := self._inbox.take()) is not None:
                for record in records:
                    if not isinstance(record, MarketDataPoint):
                        continue
                    # A DataType hashes and compares as its text.
                    consumers = self._by_type.get(record.data_type, self._for_all)
                    for consumer in consumers:
                        if not consumer.removed and consumer.offer(record):
                            self._spawn(consumer)
                    count += 1
                    if count % turn == 0:
                        await anyio.lowlevel.checkpoint()
            self._busy = False

    def _drained(self) -> bool:
        return (
            not self._busy
            and not self._inbox.items
            and all(
                consumer.queue.items == 0 and not consumer.busy
                for consumer in self._consumers
            )
            and all(
                sink.queue.items == 0 and not sink.busy for sink in self._sinks.values()
            )
        )
