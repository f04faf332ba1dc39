"""The sinks of one engine: building, opening, running and stopping them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.abc

from tapeline.delivery import LiveFanOut, RunnerSettings, SinkRunner
from tapeline.errors import SinkError, TapelineError
from tapeline.hookspecs import SinkContext
from tapeline.journal import JournalLike
from tapeline.model import StatusChange
from tapeline.runtime.own_sink import OwnSink
from tapeline.runtime.settings import SinkSettings
from tapeline.runtime.sink_desk import SinkDesk
from tapeline.seams import Seams

_OPEN_TIMEOUT_S = 10.0


class Sinks:
    """Durable sinks with a runner each, live sinks in the fan-out.

    Args:
        live: where live sinks are fed.
        changed: told of every change of a sink's state; must return quickly.

    Attributes:
        runners: of the durable sinks, while they run.
    """

    def __init__(
        self,
        seams: Seams,
        live: LiveFanOut,
        data_dir: Path,
        changed: Callable[[StatusChange], None],
    ) -> None:
        self.runners: dict[str, SinkRunner] = {}
        self._seams = seams
        self._live = live
        self._data_dir = data_dir
        self._on_change = changed
        self._settings: dict[str, SinkSettings] = {}
        self._moved = anyio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._journal: JournalLike | None = None

    def __len__(self) -> int:
        return len(self._settings)

    @property
    def names(self) -> list[str]:
        """Names of all sinks, in the order they were added."""
        return list(self._settings)

    @property
    def durable(self) -> bool:
        """Whether any sink needs a journal on the disk."""
        return any(
            sink.adapter.promise == "durable" for sink in self._settings.values()
        )

    def add(self, settings: SinkSettings) -> None:
        """One more sink; before ``start``.

        Raises:
            TapelineError: the name is taken.
        """
        if settings.name in self._settings:
            raise TapelineError(
                f"expected sink names to differ, found {settings.name!r} twice"
            )
        self._settings[settings.name] = settings

    async def start(self, tasks: anyio.abc.TaskGroup, journal: JournalLike) -> None:
        """Build every sink and begin to feed it.

        Raises:
            Exception: what a live sink says when it can never be opened.
        """
        self._tasks, self._journal = tasks, journal
        if self.durable:
            desk = SinkDesk(
                self._data_dir, self.runners, self._live.sink_statistics, self._seams
            )
            tasks.start_soon(desk.run)
        for sink in self._settings.values():
            await self._begin(sink, tasks, journal)

    async def add_running(self, settings: SinkSettings) -> None:
        """One more sink while the others are fed; it gets what comes from now on.

        Raises:
            TapelineError: the name is taken, or it needs a journal on disk and there
                is none.
            SinkError: it can never be used.
        """
        tasks, journal = self._tasks, self._journal
        if tasks is None or journal is None:
            self.add(settings)
            return
        if settings.adapter.promise == "durable" and not self.durable:
            raise TapelineError(
                f"expected sink {settings.name!r} at the start, as it needs a journal "
                "on disk, found none there; start again"
            )
        self.add(settings)
        try:
            await self._begin(settings, tasks, journal)
            await self.wait_opened()
        except BaseException:
            del self._settings[settings.name]
            runner = self.runners.pop(settings.name, None)
            if runner is not None:
                with anyio.CancelScope(shield=True):  # bounded: nothing is flushed
                    await runner.stop(0.0)
            raise

    async def remove_running(self, name: str, deadline_s: float) -> bool:
        """Flush one sink and forget it, journal included; False when unknown."""
        if self._settings.pop(name, None) is None:
            return False
        runner = self.runners.pop(name, None)
        if runner is None:
            await self._live.remove_sink(name, deadline_s)
        else:
            await runner.stop(deadline_s)
        if self._journal is not None:
            self._journal.retain_sinks(self.names)
        return True

    async def _begin(
        self, sink: SinkSettings, tasks: anyio.abc.TaskGroup, journal: JournalLike
    ) -> None:
        context = SinkContext(
            name=sink.name,
            clock=self._seams.clock,
            executor=self._seams.executor,
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
            await self._live.add_sink(sink.name, built, accepts)
            return
        runner = SinkRunner(
            sink.name,
            built,
            accepts=accepts,
            journal=journal,
            clock=self._seams.clock,
            rng=self._seams.random,
            settings=RunnerSettings(),
            changed=self._changed,
        )
        self.runners[sink.name] = runner
        tasks.start_soon(runner.run)

    async def wait_opened(self) -> None:
        """Wait until every durable sink has tried to open.

        A sink that is merely away is not waited for: the journal keeps its rows.

        Raises:
            SinkError: one can never be used.
        """
        with anyio.move_on_after(_OPEN_TIMEOUT_S):
            while any(runner.state == "starting" for runner in self.runners.values()):
                self._moved = anyio.Event()
                await self._moved.wait()
        for name, runner in self.runners.items():
            if runner.state == "failed":
                raise SinkError(f"sink {name!r} cannot be used: {runner.reason}")

    async def stop(self, deadline_s: float) -> None:
        """Flush durable and live sinks, within *deadline_s* seconds each."""
        async with anyio.create_task_group() as tasks:
            for runner in self.runners.values():
                tasks.start_soon(runner.stop, deadline_s)
            tasks.start_soon(self._live.drain, deadline_s)

    def clear(self) -> None:
        """Forget the runners of a run that is over."""
        self.runners.clear()
        self._tasks = self._journal = None

    def _changed(self, change: StatusChange) -> None:
        self._moved.set()
        self._on_change(change)
