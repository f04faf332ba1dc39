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

from tapeline.backoff import Backoff
from tapeline.candles import CandleSettings, ConsolidationSettings, Consolidator
from tapeline.clock import now
from tapeline.delivery import LiveConsumer, LiveFanOut, SinkRunner
from tapeline.errors import TapelineError
from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.journal import Journal, JournalLike, JournalSettings, MemoryJournal
from tapeline.model import (
    Channel,
    DataType,
    Health,
    Instrument,
    Record,
    StatusChange,
    Subscription,
)
from tapeline.plugins import bind_session
from tapeline.runtime.accounts import check_accounts
from tapeline.runtime.audits import Audits, CandleFetcher
from tapeline.runtime.bans import JournalBans
from tapeline.runtime.book_keeper import BookKeeper
from tapeline.runtime.caretaker import Caretaker
from tapeline.runtime.checkpoints import keep_checkpoints, load_state, save_state
from tapeline.runtime.consolidating import Consolidations
from tapeline.runtime.feed import Feed
from tapeline.runtime.gap_board import GapBoard
from tapeline.runtime.healing import Healer
from tapeline.runtime.health import judge
from tapeline.runtime.leftovers import Leftovers
from tapeline.runtime.pipeline import Output, Pipeline
from tapeline.runtime.raw_files import RawFiles
from tapeline.runtime.settings import EngineSettings, FeedSettings, SinkSettings
from tapeline.runtime.sinks import Sinks
from tapeline.runtime.standby_keeper import StandbyKeeper
from tapeline.runtime.supervision import Supervised, Supervisor
from tapeline.runtime.watch_settings import Known
from tapeline.seams import Seams
from tapeline.transport import (
    BudgetPool,
    ExchangeLink,
    Inbox,
    LinkSettings,
    LinkStatus,
    RestClient,
)

logger = logging.getLogger("tapeline.engine")

_DATA_DIR = Path("data")
RAW_FOLDER = "raw"
"""Folder in the data folder with one folder of recordings per collector."""
_TICK_S = 0.25
_IDLE_TICK_S = 5.0
_CALM_NS = 5 * 10**9
"""Without any news for so long, nothing waits for a deadline of the pipeline."""
_CLOSE_TIMEOUT_S = 5.0
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
        self.parts: dict[str, Supervised] = {}
        self.inbox = Inbox()
        self.live = LiveFanOut(seams.clock, seams.random)
        self._gap_ids = GapIds(seams.clock.wall_ns())
        self.ledger = StreamLedger(IntegritySettings(), self._gap_ids)
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
        self.pipeline.cause_of_drop = self._cause_of_drop
        self.books = BookKeeper(self.pipeline.streams, self._links_of, seams.clock)
        self.standbys = StandbyKeeper(
            self.pipeline.streams, self._links_of, seams.clock
        )
        self._leftovers = Leftovers(
            self.pipeline, lambda: self.feeds.values(), seams.clock
        )
        self.journal: JournalLike | None = None
        self._healer = Healer(self.pipeline, seams.clock, self._emit, self._refuses)
        self._caretakers: dict[str, Caretaker] = {}
        self._raw: dict[str, RawFiles] = {}
        self.heartbeat_ns = seams.clock.monotonic_ns()
        self.started_ns: int | None = None
        self.last_error: str | None = None
        self.observers = list(observers)
        self._wrappers = tuple(wrappers)
        self._sinks = Sinks(seams, self.live, self.data_dir, self._changed)
        self._instruments: dict[str, dict[tuple[str, str], Instrument]] = {}
        self.audits = Audits()
        self.consolidations = Consolidations(seams.clock, self._instruments)
        self._budgets = BudgetPool(seams.clock)
        self._connections = itertools.count(1)
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._bans = JournalBans(seams.clock)
        self._tasks: anyio.abc.TaskGroup | None = None
        self._owner: asyncio.Task[None] | None = None
        self._stop = anyio.Event()
        self._force = False
        self._checkpoint_ns = 0
        self._unsaved = True
        self._news_ns = seams.clock.monotonic_ns()
        self._gap_id = 0
        self._gap_board: GapBoard | None = None

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

    def add_feed(self, settings: FeedSettings) -> Feed:
        """Collect these streams; at once when the engine runs."""
        if settings.name in self.feeds:
            raise TapelineError(
                f"expected collector names to differ, found {settings.name!r} twice"
            )
        check_accounts(settings, (feed.settings for feed in self.feeds.values()))
        instruments = self._instruments.setdefault(settings.adapter.name, {})
        adapter = settings.adapter
        # One address for all collectors of a venue, so they share its budgets.
        keeper = self._budgets.keeper(
            adapter.name, adapter.budgets(settings.config), settings.name
        )
        raw_files = self._raw_files(settings)
        seams = self.seams if raw_files is None else raw_files.seams(self.seams)
        rest = RestClient(
            adapter,
            settings.config,
            seams.http,
            self.seams.clock,
            keeper,
            self.seams.random,
            bans=self._bans,
        )
        link = ExchangeLink(
            adapter,
            settings.config,
            seams=seams,
            instruments=instruments,
            inbox=self.inbox,
            bind=lambda session: bind_session(session, self._wrappers),
            rest=rest,
            settings=LinkSettings(
                first_delay_s=self.settings.reconnect_delay_s,
                redundancy=settings.redundancy,
            ),
            name=settings.name,
            logger=settings.logger("link"),
            numbers=self._connections,
        )

        def register(subscription: Subscription, channel: Channel) -> object:
            timeframes = (
                settings.timeframes if subscription.data_type == "trade" else ()
            )
            self.consolidations.bind(subscription)
            own = settings.timeframes
            if subscription.data_type == "candle" and subscription.timeframe in own:
                self.audits.follow(subscription)
            return self.pipeline.register(
                subscription,
                channel,
                timeframes=[
                    *timeframes,
                    *self.consolidations.timeframes_of(subscription),
                ],
                checksum=settings.adapter.book_checksum,
                raw=settings.store_raw,
            )

        feed = Feed(settings, link, instruments, register, self.seams)
        feed.on_change = self._changed
        self.feeds[settings.name] = feed
        self.parts[settings.name] = Supervised(
            f"feed {settings.name}", limit=settings.restart_limit
        )
        if self._tasks is not None and not self._stop.is_set():
            self._start_feed(self._tasks, feed)
        return feed

    def _raw_files(self, settings: FeedSettings) -> RawFiles | None:
        """Where the raw messages of this feed go, when files are wanted."""
        if not settings.raw_files:
            return None
        files = self._raw[settings.name] = RawFiles(
            self.data_dir / RAW_FOLDER / settings.name,
            self.seams.clock,
            self.seams.executor,
            private=DataType.BALANCE in settings.data_types,
        )
        return files

    def consolidate(self, settings: ConsolidationSettings) -> Consolidator:
        """Merge one symbol of several exchanges, from now on.

        The bars of the venues that it needs are built as well, where their trades
        are collected.
        """
        made = self.consolidations.add(settings)
        for stream, state in list(self.pipeline.streams.items()):
            if made.wants(stream):
                self.consolidations.bind(stream)
                self.pipeline.register(
                    stream, state.channel, timeframes=settings.timeframes
                )
        return made

    def _links_of(self, subscription: Subscription) -> list[ExchangeLink]:
        return [f.link for f in self.feeds.values() if subscription in f.wanted]

    def _cause_of_drop(self, subscription: Subscription) -> str:
        """Why a stream that some feed wants is not carried; empty when none does."""
        causes = [
            feed.cause_of_drop(subscription)
            for feed in self.feeds.values()
            if feed.owns(subscription)
        ]
        return causes[0] if causes else ""

    def _start_feed(self, tasks: anyio.abc.TaskGroup, feed: Feed) -> None:
        caretaker = Caretaker(
            feed,
            self._healer,
            self.seams,
            self._known,
            self._changed,
            self.settings.max_silence_s,
            self.pipeline.quiet,
        )
        caretaker.fetch_candles(
            CandleFetcher(
                feed,
                self.audits,
                emit=lambda out: None if self._refuses() else self._emit(out),
                clock=self.seams.clock,
            )
        )
        self._caretakers[feed.settings.name] = caretaker
        raw_files = self._raw.get(feed.settings.name)
        if raw_files is not None:
            tasks.start_soon(raw_files.run)
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
            feed.leave()
        scope = self._scopes.pop(name, None)
        raw_files = self._raw.pop(name, None)
        if self._tasks is not None and scope is not None:
            self._tasks.start_soon(self._close_feed, feed, scope, raw_files)
        elif raw_files is not None:
            raw_files.stop()
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

    def watch_gaps(self) -> GapBoard:
        """The gaps that open and close from the first call on."""
        if self._gap_board is None:
            self._gap_board = GapBoard(self.seams.clock)
        return self._gap_board

    def publish(self, records: Sequence[Record]) -> None:
        """Take records that a collector of the user's own made."""
        self.inbox.put(*records)  # type: ignore[arg-type]

    async def add_sink_now(self, settings: SinkSettings) -> None:
        """Deliver to this sink too, also while running.

        Raises:
            TapelineError: the name is taken, or the sink cannot be added now.
        """
        await self._sinks.add_running(settings)

    async def remove_sink(self, name: str) -> bool:
        """Flush a sink and forget it while the others go on; False if unknown."""
        return await self._sinks.remove_running(name, self.settings.stop_timeout_s)

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
        journal.retain_sinks(self._sinks.names)
        try:
            await self._restore(journal)
            async with anyio.create_task_group() as outer:
                outer.start_soon(journal.run)
                outer.start_soon(self.live.run)
                await self._sinks.start(outer, journal)
                await self._sinks.wait_opened()
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
                    stopped_ns = self.seams.clock.monotonic_ns()
                    await self._stop_feeds()
                    await self._heal_rest()
                    for raw_files in self._raw.values():
                        raw_files.stop()
                    pipeline_scope.cancel()
                self._tasks = None
                await self._finish(journal, stopped_ns)
                outer.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._close(journal)

    @property
    def data_dir(self) -> Path:
        """Where the journal lives, when there is one on disk."""
        return self.settings.data_dir or _DATA_DIR

    async def _open_journal(self) -> JournalLike:
        if not self._sinks.durable:
            return MemoryJournal(
                self.seams.clock, settings=JournalSettings(draw_id=self._draw_id)
            )
        return await Journal.open(
            self.data_dir,
            clock=self.seams.clock,
            executor=self.seams.executor,
            settings=JournalSettings(
                commit_ms=self.settings.commit_ms,
                quota_bytes=self.settings.quota_bytes,
                memory_bytes=self.settings.memory_bytes,
                draw_id=self._draw_id,
            ),
        )

    def _draw_id(self) -> str:
        return f"{self.seams.random.getrandbits(128):032x}"

    async def _restore(self, journal: JournalLike) -> None:
        streams = await load_state(journal, self.pipeline)
        now_ns = self.seams.clock.wall_ns()
        for subscription in streams:
            self.ledger.lost(subscription, "downtime", now_ns)
        self._leftovers.begin()
        await self.consolidations.restore(journal)
        keep_checkpoints(journal, self.consolidations.checkpoint_names)

    async def _run_feed(self, feed: Feed) -> None:
        name = feed.settings.name
        part = self.parts[name]
        backoff = Backoff(self.seams.random)
        supervisor = Supervisor(
            self.seams.clock,
            lambda _: backoff.next_delay_s(),
            self._changed,
            feed.settings.logger("supervisor"),
        )
        with anyio.CancelScope() as scope:
            self._scopes[name] = scope
            await supervisor.run(part, feed.run)
        if self._scopes.get(name) is scope:
            del self._scopes[name]

    async def _close_feed(
        self, feed: Feed, scope: anyio.CancelScope, raw_files: RawFiles | None
    ) -> None:
        """Let the sockets of a removed feed close, then end whatever is left."""
        with anyio.move_on_after(_CLOSE_TIMEOUT_S):
            await feed.link.stop()
        scope.cancel()
        if raw_files is not None:
            raw_files.stop()

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
                with anyio.move_on_after(self._tick_s()):
                    await self.inbox.wait()
                self.step()
                monotonic_ns = self.seams.clock.monotonic_ns()
                if monotonic_ns - advance_ns >= _TICK_S * 10**9:
                    advance_ns = monotonic_ns
                    self._emit(self.pipeline.advance(self.seams.clock.wall_ns()))
                    swept = self._leftovers.sweep()
                    if swept is not None:
                        self._emit(swept)
                # One turn of the loop for everybody else, also under a flood.
                await anyio.lowlevel.checkpoint()

    def _tick_s(self) -> float:
        """Until the next turn, if nothing comes: longer in an idle market.

        Bars end, books are asked for and checkpoints are due by the clock.
        """
        calm_ns = self.seams.clock.monotonic_ns() - self._news_ns
        busy = calm_ns < _CALM_NS or self._unsaved or self.pipeline.keeps_time
        return _TICK_S if busy else _IDLE_TICK_S

    def step(self) -> None:
        """Take what is in the inbox through the pipeline."""
        clock = self.seams.clock
        self.heartbeat_ns = clock.monotonic_ns()
        items = self.inbox.swap()
        journal = self.journal
        self.pipeline.refuse(journal is not None and journal.full, clock.wall_ns())
        if items:
            self._unsaved = True
            self._news_ns = self.heartbeat_ns
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

    def _emit(self, out: Output, *, ends: bool = False) -> None:
        journal = self.journal
        if journal is None:
            return
        if self.audits:
            self.audits.take(out)
        if self.consolidations:
            self.consolidations.take(out, self.seams.clock.wall_ns(), ends=ends)
        if out.journal:
            # What the pipeline has taken counts as stored, so it is never refused:
            # ``step`` sees to it that little is taken while the journal is full.
            journal.append(out.journal, urgent=True)
            self._unsaved = True
            if self._gap_board is not None:
                self._gap_board.take(out.journal)
        if out.live:
            self.live.publish(out.live)
        for subscription in out.broken_books:
            self.books.broke(subscription)
        for subscription, connection in out.broken_standbys:
            self.standbys.broke(subscription, connection)
        self.books.look()
        self.standbys.look()
        if self._gap_ids.last != self._gap_id:
            self._gap_id = self._gap_ids.last
            for caretaker in self._caretakers.values():
                caretaker.backfiller.poke()
        if self._unsaved:
            self._checkpoint(journal, at_once=out.ended)

    def _checkpoint(self, journal: JournalLike, *, at_once: bool) -> None:
        monotonic_ns = self.seams.clock.monotonic_ns()
        if self._leftovers.hold_checkpoints or (
            not at_once
            and monotonic_ns - self._checkpoint_ns < self.settings.checkpoint_s * 10**9
        ):
            return
        self._checkpoint_ns = monotonic_ns
        self._unsaved = False
        save_state(journal, self.pipeline)
        self.consolidations.save(journal)

    async def _finish(self, journal: JournalLike, stopped_ns: int) -> None:
        self.step()
        last = self.pipeline.finish(self.seams.clock.wall_ns())
        self._emit(last, ends=True)
        if not self._leftovers.hold_checkpoints:
            save_state(journal, self.pipeline)
        self.consolidations.save(journal, force=True)
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
        caretaker = self._caretakers.get(name)
        if caretaker is not None:
            return caretaker.status()
        return self.feeds[name].link.status()

    def failed_parts(self, name: str) -> list[Supervised]:
        """What looks after feed *name* no more, though it should."""
        caretaker = self._caretakers.get(name)
        return [] if caretaker is None else caretaker.failed_parts()

    def is_given_up(self, name: str, subscription: Subscription) -> bool:
        """Whether a silent stream of feed *name* could not be judged for too long."""
        caretaker = self._caretakers.get(name)
        return caretaker is not None and caretaker.watcher.is_given_up(subscription)

    def health(self) -> Health:
        """Whether what is wanted is being delivered, as of now."""
        return judge(self)

    def status(self) -> dict[str, object]:
        """Journal, sinks, links and streams, JSON-ready."""
        moment = now(self.seams.clock)
        return {
            "running": self.running,
            "last_error": self.last_error,
            "journal": None if self.journal is None else self.journal.statistics(),
            "sinks": self._sinks.status(),
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
            "audit": self.audits.status(),
            "consolidated": self.consolidations.status(),
            "inbox": {"items": len(self.inbox.items), "peak": self.inbox.peak},
            "shed": self.pipeline.shed,
            "heartbeat_age_s": (moment.monotonic_ns - self.heartbeat_ns) / 1e9,
        }


def _only(error: Exception) -> Exception:
    """The one error inside nested groups of one; else *error* itself."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
