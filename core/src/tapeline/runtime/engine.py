"""The one runtime: feeds in, pipeline, journal, sinks out; owned by one task.

``start`` returns once everything runs and ``stop`` may come from another task, so
an owner task of its own holds the task group.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.abc
import attrs

from tapeline.candles import CandleSettings, ConsolidationSettings, Consolidator
from tapeline.delivery import LiveConsumer, LiveFanOut, SinkRunner
from tapeline.errors import TapelineError
from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.journal import JournalLike
from tapeline.model import Health, Instrument, Record, StatusChange, Subscription
from tapeline.runtime.audits import Audits
from tapeline.runtime.caretaker import Caretaker
from tapeline.runtime.consolidating import Consolidations
from tapeline.runtime.engine_status import status_of
from tapeline.runtime.feed import Feed
from tapeline.runtime.feed_factory import FeedFactory
from tapeline.runtime.feeds import Feeds
from tapeline.runtime.gap_board import GapBoard
from tapeline.runtime.healing import Healer
from tapeline.runtime.health import judge
from tapeline.runtime.journal_opening import open_journal
from tapeline.runtime.pipeline import Pipeline
from tapeline.runtime.pipeline_loop import PipelineLoop
from tapeline.runtime.registrar import Registrar
from tapeline.runtime.settings import EngineSettings, FeedSettings, SinkSettings
from tapeline.runtime.sinks import Sinks
from tapeline.runtime.supervision import Supervised
from tapeline.seams import Seams
from tapeline.transport import Inbox, LinkStatus

logger = logging.getLogger("tapeline.engine")

_DATA_DIR = Path("data")
_LEAST_FLUSH_S = 1.0
# Gaps are filled long after; bars must not be given up before them.
_CANDLES = CandleSettings(repair_window_s=30 * 86_400.0, max_holes=2_048)


class Engine:
    """Everything that runs for one manager or one stand-alone collector.

    Args:
        seams: clock, sockets, HTTP, threads, chance.
        settings: data folder, bounds, cadences.
        wrappers: session wrappers of plugins.
        observers: told of every status change.

    Attributes:
        feeds: what is collected, by the name of the collector.
        parts: how the supervision of each feed is.
        caretakers: what looks after each feed that runs.
    """

    def __init__(
        self,
        seams: Seams,
        settings: EngineSettings | None = None,
        *,
        wrappers: Sequence[object] = (),
        observers: Sequence[Callable[[StatusChange], None]] = (),
    ) -> None:
        self.seams = seams
        self.settings = settings or EngineSettings()
        self.inbox = Inbox()
        self.live = LiveFanOut(seams.clock, seams.random)
        gap_ids = GapIds(seams.clock.wall_ns())
        self.ledger = StreamLedger(IntegritySettings(), gap_ids)
        self.pipeline = Pipeline(
            self.ledger,
            book_sample_ns=int(self.settings.book_sample_s * 10**9),
            book_depth=self.settings.book_depth,
            candle_settings=attrs.evolve(
                _CANDLES,
                close_grace_s=self.settings.candle_grace_s,
                fill_empty=self.settings.empty_candles,
            ),
        )
        self.audits = Audits()
        instruments: dict[str, dict[tuple[str, str], Instrument]] = {}
        self.consolidations = Consolidations(seams.clock, instruments)
        self._registrar = Registrar(self.pipeline, self.audits, self.consolidations)
        factory = FeedFactory(
            seams,
            self.inbox,
            instruments,
            self._registrar.follow,
            wrappers,
            self.settings.reconnect_delay_s,
        )
        self._bans = factory.bans
        self._feeds = Feeds(factory, self._care, seams, self.data_dir, self._changed)
        self.feeds = self._feeds.by_name
        self.parts = self._feeds.parts
        self.caretakers = self._feeds.caretakers
        self.pipeline.cause_of_drop = self._feeds.cause_of_drop
        self._loop = PipelineLoop(
            self.pipeline,
            self.inbox,
            self.live,
            self._feeds,
            self.audits,
            self.consolidations,
            gap_ids,
            seams.clock,
            self.settings.checkpoint_s,
        )
        self.books = self._loop.books
        self.standbys = self._loop.standbys
        self._healer = Healer(
            self.pipeline, seams.clock, self._loop.emit, self._loop.refuses
        )
        self._sinks = Sinks(seams, self.live, self.data_dir, self._changed)
        self.started_ns: int | None = None
        self.last_error: str | None = None
        self.observers = list(observers)
        self._owner: asyncio.Task[None] | None = None
        self._stop = anyio.Event()
        self._force = False

    # -- building ---------------------------------------------------------------

    def add_sink(self, settings: SinkSettings) -> None:
        """Deliver to this sink; before ``start``.

        Raises:
            TapelineError: the name is taken, or the engine runs already.
        """
        if self.running:
            raise TapelineError(
                "expected sinks to be added before start, found sink "
                f"{settings.name!r} added to a running engine; stop it first"
            )
        self._sinks.add(settings)

    async def add_sink_now(self, settings: SinkSettings) -> None:
        """Deliver to this sink too, also while running.

        Raises:
            TapelineError: the name is taken, or the sink cannot be added now.
        """
        await self._sinks.add_running(settings)

    async def remove_sink(self, name: str) -> bool:
        """Flush a sink and forget it while the others go on; False if unknown."""
        return await self._sinks.remove_running(name, self.settings.stop_timeout_s)

    def add_feed(self, settings: FeedSettings) -> Feed:
        """Collect these streams; at once when the engine runs.

        Raises:
            TapelineError: the name is taken, or two accounts cannot be told apart.
        """
        return self._feeds.add(settings, begin=not self._stop.is_set())

    def remove_feed(self, name: str, *, comes_back: bool = False) -> bool:
        """Stop collecting for *name* without touching others; False if unknown.

        Args:
            comes_back: its streams stay wanted, so what is missed is a downtime.
        """
        return self._feeds.remove(name, comes_back=comes_back)

    def consolidate(self, settings: ConsolidationSettings) -> Consolidator:
        """Merge one symbol of several exchanges, from now on.

        The bars of the venues that it needs are built as well, where their trades
        are collected.
        """
        return self._registrar.consolidate(settings)

    def add_consumer(
        self, callback: Callable[..., object], *, name: str
    ) -> LiveConsumer:
        """Give every event to *callback* as it comes."""
        return self.live.add(None, callback, name=name)

    def remove_consumer(self, consumer: LiveConsumer) -> None:
        """Stop giving events to *consumer*."""
        self.live.remove(consumer)

    def watch_gaps(self) -> GapBoard:
        """The gaps that open and close from the first call on."""
        if self._loop.gap_board is None:
            self._loop.gap_board = GapBoard(self.seams.clock)
        return self._loop.gap_board

    def publish(self, records: Sequence[Record]) -> None:
        """Take records that a collector of the user's own made."""
        self.inbox.put(*records)  # type: ignore[arg-type]

    def _care(self, feed: Feed) -> Caretaker:
        return Caretaker(
            feed,
            self._healer,
            self.pipeline,
            self.audits,
            self.seams,
            self._changed,
            self.settings.max_silence_s,
        )

    # -- life -------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """True between a successful ``start`` and the end of ``stop``."""
        return self._owner is not None and not self._owner.done()

    async def start(self) -> None:
        """Open the journal, start sinks and feeds; return when they run.

        Raises:
            TapelineError: the journal cannot be opened, a sink is unusable.
        """
        if self.running:
            return
        self._stop = anyio.Event()
        self._force = False
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # The owner task outlives this call by design; stop() awaits it.
        self._owner = asyncio.create_task(self._own(ready), name="tapeline-engine")
        await asyncio.shield(ready)

    async def stop(self, *, force: bool = False) -> None:
        """Stop feeds, flush sinks, close the journal; bounded by the settings."""
        owner = self._owner
        if owner is None:
            return
        self._force = force
        self._stop.set()
        await asyncio.wait([owner])
        self._owner = None

    async def wait(self) -> None:
        """Wait until the engine has stopped."""
        if self._owner is not None:
            await asyncio.wait([self._owner])

    async def _own(self, ready: asyncio.Future[None]) -> None:
        try:
            await self._live(ready)
        except Exception as group:  # the owner task: nobody above it could see this
            error = _only(group)
            self.last_error = str(error) or type(error).__name__
            if ready.done():
                logger.exception("engine stopped: %s", self.last_error)
            else:
                ready.set_exception(error)
        finally:
            if not ready.done():
                ready.cancel()

    async def _live(self, ready: asyncio.Future[None]) -> None:
        self._loop.journal = journal = await open_journal(
            self.data_dir, self.settings, self.seams, on_disk=self._sinks.durable
        )
        self._bans.use(journal)
        for damage in journal.damages:
            logger.warning("journal: %s; %s", damage.reason, damage.lost)
        journal.retain_sinks(self._sinks.names)
        try:
            await self._loop.restore(journal)
            async with anyio.create_task_group() as outer:
                outer.start_soon(journal.run)
                outer.start_soon(self.live.run)
                await self._sinks.start(outer, journal)
                await self._sinks.wait_opened()
                stopped_ns = await self._collect(ready)
                self._loop.finish(journal)
                await self._flush(journal, stopped_ns)
                outer.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._close(journal)

    async def _collect(self, ready: asyncio.Future[None]) -> int:
        """Run feeds and pipeline until ``stop``; when that came, monotonic."""
        try:
            async with anyio.create_task_group() as inner:
                loop_scope = anyio.CancelScope()
                inner.start_soon(self._loop.run, loop_scope)
                self._feeds.start(inner)
                self.started_ns = self.seams.clock.monotonic_ns()
                ready.set_result(None)
                # Waits for stop() for as long as the user wants to collect.
                await self._stop.wait()
                stopped_ns = self.seams.clock.monotonic_ns()
                await self._feeds.close_sockets(force=self._force)
                # REST still answers: what is missing may be filled to the last.
                self._loop.settle()
                await self._feeds.fill_gaps(
                    0.0 if self._force else self.settings.heal_timeout_s
                )
                self._feeds.finish_raw_files()
                loop_scope.cancel()
        finally:
            self._feeds.end()
        return stopped_ns

    @property
    def data_dir(self) -> Path:
        """Where the journal lives, when there is one on disk."""
        return self.settings.data_dir or _DATA_DIR

    async def _flush(self, journal: JournalLike, stopped_ns: int) -> None:
        # One deadline for the whole end: what sockets and gaps took is gone.
        passed_s = (self.seams.clock.monotonic_ns() - stopped_ns) / 1e9
        left_s = max(_LEAST_FLUSH_S, self.settings.stop_timeout_s - passed_s)
        deadline_s = 0.0 if self._force else left_s
        with anyio.move_on_after(deadline_s):
            await journal.wait_committed(journal.last)
        await self._sinks.stop(deadline_s)

    async def _close(self, journal: JournalLike) -> None:
        # Bounded: the journal's last commit is one local transaction.
        with anyio.move_on_after(self.settings.stop_timeout_s):
            await journal.aclose()
        self._sinks.clear()
        self._feeds.clear()

    def _changed(self, change: StatusChange) -> None:
        for observer in self.observers:
            # A supervisor: an observer that raises must not end what it observes.
            try:
                observer(change)
            except Exception:
                logger.exception("an observer of status changes raised")

    # -- status -----------------------------------------------------------------

    @property
    def journal(self) -> JournalLike | None:
        """Where records go; None before the first start."""
        return self._loop.journal

    @property
    def heartbeat_ns(self) -> int:
        """When the pipeline turned last, monotonic."""
        return self._loop.heartbeat_ns

    @property
    def has_sinks(self) -> bool:
        """Whether anything is stored."""
        return len(self._sinks) > 0

    @property
    def runners(self) -> dict[str, SinkRunner]:
        """What feeds each durable sink, by its name."""
        return self._sinks.runners

    def open_sockets(self) -> int:
        """Sockets to venues that are open now."""
        return sum(
            socket.state == "open"
            for feed in self.feeds.values()
            for socket in feed.link.status().sockets
        )

    def clock_offset_s(self) -> float | None:
        """Largest offset of a venue's clock to ours, in seconds; None if unknown."""
        offsets = [feed.link.status().venue_offset_ns for feed in self.feeds.values()]
        return max(offsets, key=abs) / 1e9 if offsets else None

    def queue_bytes(self) -> int:
        """Bytes that wait in memory: for the journal, and for live consumers."""
        waiting = 0 if self.journal is None else self.journal.pending_bytes
        return waiting + int(str(self.live.statistics()["queued_bytes"]))

    def link_status(self, name: str) -> LinkStatus:
        """How the link of feed *name* is, with the health of each of its streams."""
        caretaker = self.caretakers.get(name)
        if caretaker is not None:
            return caretaker.status()
        return self.feeds[name].link.status()

    def failed_parts(self, name: str) -> list[Supervised]:
        """What looks after feed *name* no more, though it should."""
        caretaker = self.caretakers.get(name)
        return [] if caretaker is None else caretaker.failed_parts()

    def is_given_up(self, name: str, subscription: Subscription) -> bool:
        """Whether a silent stream of feed *name* could not be judged for too long."""
        caretaker = self.caretakers.get(name)
        return caretaker is not None and caretaker.watcher.is_given_up(subscription)

    def health(self) -> Health:
        """Whether what is wanted is being delivered, as of now."""
        return judge(self)

    def status(self) -> dict[str, object]:
        """Journal, sinks, links and streams, JSON-ready."""
        return status_of(self)


def _only(error: Exception) -> Exception:
    """The one error inside nested groups of one; else *error* itself."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
