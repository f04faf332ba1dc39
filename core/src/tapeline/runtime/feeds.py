"""The feeds of one engine: adding, running, looking after and removing them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.abc

from tapeline.backoff import Backoff
from tapeline.errors import TapelineError
from tapeline.model import DataType, StatusChange, Subscription
from tapeline.runtime.accounts import check_accounts
from tapeline.runtime.caretaker import Caretaker
from tapeline.runtime.feed import Feed
from tapeline.runtime.feed_factory import FeedFactory
from tapeline.runtime.raw_files import RawFiles
from tapeline.runtime.settings import FeedSettings
from tapeline.runtime.supervision import Supervised, Supervisor
from tapeline.seams import Seams
from tapeline.transport import ExchangeLink

RAW_FOLDER = "raw"
"""Folder in the data folder with one folder of recordings per collector."""
_CLOSE_TIMEOUT_S = 5.0


class Feeds:
    """All feeds by name; each is supervised and has a caretaker while it runs.

    Args:
        care: makes what looks after a feed.
        data_dir: where raw messages go, when files are wanted.
        changed: told of every change of a feed's state; must return quickly.

    Attributes:
        by_name: what is collected.
        parts: how the supervision of each feed is.
        caretakers: of the feeds that run.
    """

    def __init__(
        self,
        factory: FeedFactory,
        care: Callable[[Feed], Caretaker],
        seams: Seams,
        data_dir: Path,
        changed: Callable[[StatusChange], None],
    ) -> None:
        self.by_name: dict[str, Feed] = {}
        self.parts: dict[str, Supervised] = {}
        self.caretakers: dict[str, Caretaker] = {}
        self._factory = factory
        self._care = care
        self._seams = seams
        self._data_dir = data_dir
        self._changed = changed
        self._raw: dict[str, RawFiles] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._tasks: anyio.abc.TaskGroup | None = None

    # -- which there are --------------------------------------------------------

    def add(self, settings: FeedSettings, *, begin: bool = True) -> Feed:
        """Collect these streams; at once while the others run.

        Args:
            begin: False lets it wait for the next ``start``.

        Raises:
            TapelineError: the name is taken, or two accounts cannot be told apart.
        """
        name = settings.name
        if name in self.by_name:
            raise TapelineError(
                f"expected collector names to differ, found {name!r} twice"
            )
        check_accounts(settings, (feed.settings for feed in self.by_name.values()))
        raw_files = self._raw_files(settings)
        seams = self._seams if raw_files is None else raw_files.seams(self._seams)
        feed = self._factory.build(settings, seams)
        feed.on_change = self._changed
        self.by_name[name] = feed
        self.parts[name] = Supervised(f"feed {name}", limit=settings.restart_limit)
        if self._tasks is not None and begin:
            self._begin(self._tasks, feed)
        return feed

    def remove(self, name: str, *, comes_back: bool = False) -> bool:
        """Stop collecting for *name* without touching others; False if unknown.

        Args:
            comes_back: its streams stay wanted, so what is missed is a downtime.
        """
        feed = self.by_name.pop(name, None)
        if feed is None:
            return False
        feed.removed = True
        if not comes_back:
            feed.leave()
        scope = self._scopes.pop(name, None)
        raw_files = self._raw.pop(name, None)
        if self._tasks is not None and scope is not None:
            self._tasks.start_soon(self._close, feed, scope, raw_files)
        elif raw_files is not None:
            raw_files.stop()
        self.parts.pop(name, None)
        caretaker = self.caretakers.pop(name, None)
        if caretaker is not None:
            caretaker.stop()
        return True

    def _raw_files(self, settings: FeedSettings) -> RawFiles | None:
        """Where the raw messages of this feed go, when files are wanted."""
        if not settings.raw_files:
            return None
        files = self._raw[settings.name] = RawFiles(
            self._data_dir / RAW_FOLDER / settings.name,
            self._seams.clock,
            self._seams.executor,
            private=DataType.BALANCE in settings.data_types,
        )
        return files

    # -- whose a stream is ------------------------------------------------------

    def links_of(self, subscription: Subscription) -> list[ExchangeLink]:
        """The links that are to carry a stream."""
        return [f.link for f in self.by_name.values() if subscription in f.wanted]

    def cause_of_drop(self, subscription: Subscription) -> str:
        """Why a stream that some feed wants is not carried; empty when none does."""
        causes = [
            feed.cause_of_drop(subscription)
            for feed in self.by_name.values()
            if feed.owns(subscription)
        ]
        return causes[0] if causes else ""

    # -- running ----------------------------------------------------------------

    def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Run them all, and those that are added later, in *tasks*."""
        self._tasks = tasks
        for feed in list(self.by_name.values()):
            self._begin(tasks, feed)

    async def close_sockets(self, *, force: bool = False) -> None:
        """End all feeds; their caretakers go on.

        Args:
            force: do not wait until the sockets are closed.
        """
        for feed in self.by_name.values():
            feed.link.request_stop()
        with anyio.move_on_after(0.0 if force else _CLOSE_TIMEOUT_S):
            async with anyio.create_task_group() as tasks:
                for feed in self.by_name.values():
                    tasks.start_soon(feed.link.stop)
        for scope in list(self._scopes.values()):
            scope.cancel()

    async def fill_gaps(self, timeout_s: float) -> None:
        """Fill what is missing, within *timeout_s*, and end the caretakers."""
        with anyio.move_on_after(timeout_s):
            async with anyio.create_task_group() as tasks:
                for caretaker in self.caretakers.values():
                    tasks.start_soon(caretaker.backfiller.drain)
        for caretaker in self.caretakers.values():
            caretaker.stop()

    def finish_raw_files(self) -> None:
        """Let what waits be written, and end the recordings."""
        for raw_files in self._raw.values():
            raw_files.stop()

    def end(self) -> None:
        """The tasks of ``start`` have ended; the feeds stay for the next one."""
        self._tasks = None

    def clear(self) -> None:
        """Forget who looked after the feeds of a run that is over."""
        self._scopes.clear()
        self.caretakers.clear()

    def poke_backfills(self) -> None:
        """There are gaps that were not there before."""
        for caretaker in self.caretakers.values():
            caretaker.backfiller.poke()

    def _begin(self, tasks: anyio.abc.TaskGroup, feed: Feed) -> None:
        name = feed.settings.name
        caretaker = self.caretakers[name] = self._care(feed)
        raw_files = self._raw.get(name)
        if raw_files is not None:
            tasks.start_soon(raw_files.run)
        tasks.start_soon(self._run, feed)
        tasks.start_soon(caretaker.run)

    async def _run(self, feed: Feed) -> None:
        name = feed.settings.name
        part = self.parts[name]
        backoff = Backoff(self._seams.random)
        supervisor = Supervisor(
            self._seams.clock,
            lambda _: backoff.next_delay_s(),
            self._changed,
            feed.settings.logger("supervisor"),
        )
        with anyio.CancelScope() as scope:
            self._scopes[name] = scope
            await supervisor.run(part, feed.run)
        if self._scopes.get(name) is scope:
            del self._scopes[name]

    async def _close(
        self, feed: Feed, scope: anyio.CancelScope, raw_files: RawFiles | None
    ) -> None:
        """Let the sockets of a removed feed close, then end whatever is left."""
        with anyio.move_on_after(_CLOSE_TIMEOUT_S):
            await feed.link.stop()
        scope.cancel()
        if raw_files is not None:
            raw_files.stop()
