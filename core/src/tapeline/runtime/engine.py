"""The one runtime: feeds in, pipeline, journal, sinks out; owned by one task.

``start`` returns once everything runs and ``stop`` may come from another task, so
an owner task of its own holds the task group.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import attrs

from tapeline.candles import CandleSettings
from tapeline.clock import now
from tapeline.delivery import LiveConsumer, LiveFanOut, RunnerSettings, SinkRunner
from tapeline.errors import SinkError, TapelineError
from tapeline.hookspecs import SinkContext
from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.journal import Journal, JournalLike, JournalSettings, MemoryJournal
from tapeline.model import (
    Channel,
    Instrument,
    Record,
    StatusChange,
    Subscription,
)
from tapeline.plugins import bind_session
from tapeline.runtime.bans import JournalBans
from tapeline.runtime.book_keeper import BookKeeper
from tapeline.runtime.caretaker import Caretaker
from tapeline.runtime.checkpoints import load_state, save_state
from tapeline.runtime.feed import Feed
from tapeline.runtime.healing import Healer
from tapeline.runtime.own_sink import OwnSink
from tapeline.runtime.pipeline import Output, Pipeline
from tapeline.runtime.settings import EngineSettings, FeedSettings, SinkSettings
from tapeline.runtime.supervision import Supervised, Supervisor
from tapeline.runtime.watch_settings import Known
from tapeline.seams import Seams
from tapeline.transport import (
    Backoff,
    BudgetPool,
    ExchangeLink,
    Inbox,
    LinkSettings,
    LinkStatus,
    RestClient,
)

logger = logging.getLogger("tapeline.engine")

_DATA_DIR = Path("data")
_TICK_S = 0.25
_CLOSE_TIMEOUT_S = 5.0
# Gaps are filled long after; bars must not be given up before them.
_CANDLES = CandleSettings(repair_window_s=30 * 86_400.0, max_holes=2_048)
_OPEN_TIMEOUT_S = 10.0


class Engine:
    """Everything that runs for one manager or one stand-alone collector.

    Args:
        seams: clock, sockets, HTTP, threads, chance.
        settings: data folder, bounds, cadences.
        wrappers: session wrappers of plugins.
        observers: told of every status change.
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
        self.feeds: dict[str, Feed] = {}
        self.runners: dict[str, SinkRunner] = {}
        self.parts: dict[str, Supervised] = {}
        self.inbox = Inbox()
        self.live = LiveFanOut(seams.clock, seams.random)
        self.ledger = StreamLedger(IntegritySettings(), GapIds(seams.clock.wall_ns()))
        self.pipeline = Pipeline(
            self.ledger,
            book_sample_ns=int(self.settings.book_sample_s * 10**9),
            book_depth=self.settings.book_depth,
            candle_settings=_CANDLES,
        )
        self.pipeline.wanted_elsewhere = self._wanted
        self.books = BookKeeper(self.pipeline.streams, self._links_of, seams.clock)
        self.journal: JournalLike | None = None
        self._healer = Healer(self.pipeline, seams.clock, self._emit, self._refuses)
        self._caretakers: dict[str, Caretaker] = {}
        self.heartbeat_ns = seams.clock.monotonic_ns()
        self.started_ns: int | None = None
        self.last_error: str | None = None
        self.observers = list(observers)
        self._wrappers = tuple(wrappers)
        self._sinks: dict[str, SinkSettings] = {}
        self._instruments: dict[str, dict[tuple[str, str], Instrument]] = {}
        self._budgets = BudgetPool(seams.clock)
        self._connections = itertools.count(1)
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._bans = JournalBans()
        self._sinks_changed = anyio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._owner: asyncio.Task[None] | None = None
        self._stop = anyio.Event()
        self._force = False
        self._checkpoint_ns = 0

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
        if settings.name in self._sinks:
            raise TapelineError(
                f"expected sink names to differ, found {settings.name!r} twice"
            )
        self._sinks[settings.name] = settings

    def add_feed(self, settings: FeedSettings) -> Feed:
        """Collect these streams; at once when the engine runs."""
        if settings.name in self.feeds:
            raise TapelineError(
                f"expected collector names to differ, found {settings.name!r} twice"
            )
        instruments = self._instruments.setdefault(settings.adapter.name, {})
        adapter = settings.adapter
        # One address for all collectors of a venue, so they share its budgets.
        keeper = self._budgets.keeper(
            adapter.name, adapter.budgets(settings.config), settings.name
        )
        rest = RestClient(
            adapter,
            settings.config,
            self.seams.http,
            self.seams.clock,
            keeper,
            self.seams.random,
            bans=self._bans,
        )
        link = ExchangeLink(
            adapter,
            settings.config,
            seams=self.seams,
            instruments=instruments,
            inbox=self.inbox,
            bind=lambda session: bind_session(session, self._wrappers),
            rest=rest,
            settings=LinkSettings(first_delay_s=self.settings.reconnect_delay_s),
            name=settings.name,
            logger=logging.getLogger(f"tapeline.link.{settings.name}"),
            numbers=self._connections,
        )

        def register(subscription: Subscription, channel: Channel) -> object:
            timeframes = (
                settings.timeframes if subscription.data_type == "trade" else ()
            )
            return self.pipeline.register(
                subscription,
                channel,
                timeframes=timeframes,
                checksum=settings.adapter.book_checksum,
                raw=settings.store_raw,
            )

        feed = Feed(settings, link, instruments, register, self.seams)
        self.feeds[settings.name] = feed
        self.parts[settings.name] = Supervised(f"collector {settings.name}")
        if self._tasks is not None and not self._stop.is_set():
            self._start_feed(self._tasks, feed)
        return feed

    def _links_of(self, subscription: Subscription) -> list[ExchangeLink]:
        return [f.link for f in self.feeds.values() if subscription in f.wanted]

    def _wanted(self, subscription: Subscription) -> bool:
        return any(feed.owns(subscription) for feed in self.feeds.values())

    def _start_feed(self, tasks: anyio.abc.TaskGroup, feed: Feed) -> None:
        caretaker = Caretaker(
            feed,
            self._healer,
            self.seams,
            self._known,
            self._changed,
            self.settings.max_silence_s,
        )
        self._caretakers[feed.settings.name] = caretaker
        tasks.start_soon(self._run_feed, feed)
        tasks.start_soon(caretaker.run)

    def remove_feed(self, name: str, *, comes_back: bool = False) -> bool:
        """Stop collecting for *name* without touching others; False if unknown.

        Args:
            comes_back: its streams stay wanted, so what is missed is a downtime.
        """
        feed = self.feeds.pop(name, None)
        if feed is None:
            return False
        feed.removed = True
        if not comes_back:
            feed.link.want(())
        scope = self._scopes.pop(name, None)
        if self._tasks is not None and scope is not None:
            self._tasks.start_soon(self._close_feed, feed, scope)
        self.parts.pop(name, None)
        caretaker = self._caretakers.pop(name, None)
        if caretaker is not None:
            caretaker.stop()
        return True

    def add_consumer(
        self, callback: Callable[..., object], *, name: str
    ) -> LiveConsumer:
        """Give every event to *callback* as it comes."""
        return self.live.add(None, callback, name=name)

    def remove_consumer(self, consumer: LiveConsumer) -> None:
        """Stop giving events to *consumer*."""
        self.live.remove(consumer)

    def publish(self, records: Sequence[Record]) -> None:
        """Take records that a collector of the user's own made."""
        self.inbox.put(*records)  # type: ignore[arg-type]

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
            self._tasks = None
            if not ready.done():
                ready.cancel()

    async def _live(self, ready: asyncio.Future[None]) -> None:
        self.journal = journal = await self._open_journal()
        self._bans.use(journal)
        for damage in journal.damages:
            logger.warning("journal: %s; %s", damage.reason, damage.lost)
        journal.retain_sinks(self._sinks)
        try:
            await self._restore(journal)
            async with anyio.create_task_group() as outer:
                outer.start_soon(journal.run)
                outer.start_soon(self.live.run)
                await self._start_sinks(outer, journal)
                await self._check_sinks()
                async with anyio.create_task_group() as inner:
                    self._tasks = inner
                    pipeline_scope = anyio.CancelScope()
                    inner.start_soon(self._run_pipeline, pipeline_scope)
                    for feed in list(self.feeds.values()):
                        self._start_feed(inner, feed)
                    self.started_ns = self.seams.clock.monotonic_ns()
                    ready.set_result(None)
                    # Waits for stop() for as long as the user wants to collect.
                    await self._stop.wait()
                    await self._stop_feeds()
                    await self._heal_rest()
                    pipeline_scope.cancel()
                self._tasks = None
                await self._finish(journal)
                outer.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._close(journal)

    @property
    def _data_dir(self) -> Path:
        return self.settings.data_dir or _DATA_DIR

    async def _open_journal(self) -> JournalLike:
        durable = [
            sink for sink in self._sinks.values() if sink.adapter.promise == "durable"
        ]
        if not durable:
            return MemoryJournal(self.seams.clock)
        return await Journal.open(
            self._data_dir,
            clock=self.seams.clock,
            executor=self.seams.executor,
            settings=JournalSettings(
                commit_ms=self.settings.commit_ms,
                quota_bytes=self.settings.quota_bytes,
                memory_bytes=self.settings.memory_bytes,
            ),
        )

    async def _restore(self, journal: JournalLike) -> None:
        streams = await load_state(journal, self.pipeline)
        now_ns = self.seams.clock.wall_ns()
        for subscription in streams:
            self.ledger.lost(subscription, "downtime", now_ns)

    async def _start_sinks(
        self, tasks: anyio.abc.TaskGroup, journal: JournalLike
    ) -> None:
        for sink in self._sinks.values():
            context = SinkContext(
                name=sink.name,
                clock=self.seams.clock,
                executor=self.seams.executor,
                logger=logging.getLogger(f"tapeline.sink.{sink.name}"),
                data_dir=self._data_dir,
            )
            built = sink.adapter.sink(sink.config, context)
            if sink.only is not None:
                built = OwnSink(built, sink.only)
            accepts = (
                sink.data_types if sink.data_types is not None else sink.adapter.accepts
            )
            if sink.adapter.promise != "durable":
                await self.live.add_sink(sink.name, built, accepts)
                continue
            runner = SinkRunner(
                sink.name,
                built,
                accepts=accepts,
                journal=journal,
                clock=self.seams.clock,
                rng=self.seams.random,
                settings=RunnerSettings(),
                changed=self._sink_changed,
            )
            self.runners[sink.name] = runner
            tasks.start_soon(runner.run)

    async def _check_sinks(self) -> None:
        """Wait until every sink has tried to open; one that cannot ever stops us.

        A sink that is merely away is not waited for: the journal keeps its rows.
        """
        with anyio.move_on_after(_OPEN_TIMEOUT_S):
            while any(runner.state == "starting" for runner in self.runners.values()):
                self._sinks_changed = anyio.Event()
                await self._sinks_changed.wait()
        for name, runner in self.runners.items():
            if runner.state == "failed":
                raise SinkError(f"sink {name!r} cannot be used: {runner.reason}")

    def _sink_changed(self, change: StatusChange) -> None:
        self._sinks_changed.set()
        self._changed(change)

    async def _run_feed(self, feed: Feed) -> None:
        name = feed.settings.name
        part = self.parts.setdefault(name, Supervised(f"collector {name}"))
        backoff = Backoff(self.seams.random)
        supervisor = Supervisor(
            self.seams.clock, lambda _: backoff.next_delay_s(), self._changed
        )
        with anyio.CancelScope() as scope:
            self._scopes[name] = scope
            await supervisor.run(part, feed.run)
        if self._scopes.get(name) is scope:
            del self._scopes[name]

    async def _close_feed(self, feed: Feed, scope: anyio.CancelScope) -> None:
        """Let the sockets of a removed feed close, then end whatever is left."""
        with anyio.move_on_after(_CLOSE_TIMEOUT_S):
            await feed.link.stop()
        scope.cancel()

    async def _heal_rest(self) -> None:
        """Fill what is missing to the last: sockets are closed, REST still answers."""
        self.step()
        self._emit(self.pipeline.settle(self.seams.clock.wall_ns()))
        with anyio.move_on_after(0.0 if self._force else self.settings.heal_timeout_s):
            async with anyio.create_task_group() as tasks:
                for caretaker in self._caretakers.values():
                    tasks.start_soon(caretaker.backfiller.drain)
        for caretaker in self._caretakers.values():
            caretaker.stop()

    async def _stop_feeds(self) -> None:
        for feed in self.feeds.values():
            feed.link.request_stop()
        with anyio.move_on_after(0.0 if self._force else _CLOSE_TIMEOUT_S):
            async with anyio.create_task_group() as tasks:
                for feed in self.feeds.values():
                    tasks.start_soon(feed.link.stop)
        for scope in list(self._scopes.values()):
            scope.cancel()

    async def _run_pipeline(self, scope: anyio.CancelScope) -> None:
        with scope:
            advance_ns = self.seams.clock.monotonic_ns()
            while True:
                with anyio.move_on_after(_TICK_S):
                    await self.inbox.wait()
                self.step()
                monotonic_ns = self.seams.clock.monotonic_ns()
                if monotonic_ns - advance_ns >= _TICK_S * 10**9:
                    advance_ns = monotonic_ns
                    self._emit(self.pipeline.advance(self.seams.clock.wall_ns()))
                # One turn of the loop for everybody else, also under a flood.
                await anyio.lowlevel.checkpoint()

    def step(self) -> None:
        """Take what is in the inbox through the pipeline."""
        clock = self.seams.clock
        self.heartbeat_ns = clock.monotonic_ns()
        items = self.inbox.swap()
        journal = self.journal
        self.pipeline.refuse(journal is not None and journal.full, clock.wall_ns())
        if items:
            self._emit(self.pipeline.process(items, clock.wall_ns()))

    def _known(self, subscription: Subscription) -> Known:
        """What the pipeline has of a stream, for those who watch it."""
        state = self.pipeline.streams.get(subscription)
        last = None if state is None else state.last
        return Known(
            self.ledger.high_water(subscription), getattr(last, "exchange_ns", None)
        )

    def _refuses(self) -> bool:
        """True while a record would be shed instead of stored."""
        journal = self.journal
        return journal is None or journal.full or self.pipeline.shedding

    def _emit(self, out: Output) -> None:
        journal = self.journal
        if journal is None:
            return
        if out.journal:
            # What the pipeline has taken counts as stored, so it is never refused:
            # ``step`` sees to it that little is taken while the journal is full.
            journal.append(out.journal, urgent=True)
        if out.live:
            self.live.publish(out.live)
        for subscription in out.broken_books:
            self.books.broke(subscription)
        self.books.look()
        self._checkpoint(journal)

    def _checkpoint(self, journal: JournalLike) -> None:
        monotonic_ns = self.seams.clock.monotonic_ns()
        if monotonic_ns - self._checkpoint_ns < self.settings.checkpoint_s * 10**9:
            return
        self._checkpoint_ns = monotonic_ns
        save_state(journal, self.pipeline)

    async def _finish(self, journal: JournalLike) -> None:
        self.step()
        self._emit(self.pipeline.finish(self.seams.clock.wall_ns()))
        save_state(journal, self.pipeline)
        deadline_s = 0.0 if self._force else self.settings.stop_timeout_s
        with anyio.move_on_after(deadline_s):
            await journal.wait_committed(journal.last)
        async with anyio.create_task_group() as tasks:
            for runner in self.runners.values():
                tasks.start_soon(runner.stop, deadline_s)
            tasks.start_soon(self.live.drain, deadline_s)

    async def _close(self, journal: JournalLike) -> None:
        # Bounded: the journal's last commit is one local transaction.
        with anyio.move_on_after(self.settings.stop_timeout_s):
            await journal.aclose()
        self.runners.clear()
        self._scopes.clear()
        self._caretakers.clear()

    def _changed(self, change: StatusChange) -> None:
        for observer in self.observers:
            # A supervisor: an observer that raises must not end what it observes.
            try:
                observer(change)
            except Exception:
                logger.exception("an observer of status changes raised")

    # -- status -----------------------------------------------------------------

    @property
    def has_sinks(self) -> bool:
        """Whether anything is stored."""
        return bool(self._sinks)

    def open_sockets(self) -> int:
        """Sockets to venues that are open now."""
        return sum(
            socket.state == "open"
            for feed in self.feeds.values()
            for socket in feed.link.status().sockets
        )

    def queue_bytes(self) -> int:
        """Bytes that wait in memory: for the journal, and for live consumers."""
        waiting = 0 if self.journal is None else self.journal.pending_bytes
        return waiting + int(str(self.live.statistics()["queued_bytes"]))

    def link_status(self, name: str) -> LinkStatus:
        """How the link of feed *name* is, with the health of each of its streams."""
        caretaker = self._caretakers.get(name)
        if caretaker is not None:
            return caretaker.status()
        return self.feeds[name].link.status()

    def status(self) -> dict[str, object]:
        """Journal, sinks, links and streams, JSON-ready."""
        moment = now(self.seams.clock)
        return {
            "running": self.running,
            "last_error": self.last_error,
            "journal": None if self.journal is None else self.journal.statistics(),
            "sinks": {name: r.status() for name, r in self.runners.items()},
            "live": self.live.statistics(),
            "feeds": {name: self.link_status(name).as_dict() for name in self.feeds},
            "care": {
                name: caretaker.statistics()
                for name, caretaker in self._caretakers.items()
            },
            "streams": {
                str(subscription): attrs.asdict(statistics)
                for subscription, statistics in self.ledger.statistics().items()
            },
            "books": self.books.status(),
            "inbox": {"items": len(self.inbox.items), "peak": self.inbox.peak},
            "shed": self.pipeline.shed,
            "heartbeat_age_s": (moment.monotonic_ns - self.heartbeat_ns) / 1e9,
        }


def _only(error: Exception) -> Exception:
    """The one error inside nested groups of one; else *error* itself."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
