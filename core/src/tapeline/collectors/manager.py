"""Many collectors, one runtime: coordinated start, stop and restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from tapeline.candles import ConsolidationSettings
from tapeline.clock import SystemClock
from tapeline.collectors.base import BaseDataCollector
from tapeline.collectors.configs import CollectorConfig
from tapeline.collectors.consolidation import Consolidation
from tapeline.collectors.consolidations import Consolidations
from tapeline.collectors.control import ManagerControl
from tapeline.collectors.jobs import Jobs
from tapeline.collectors.manager_status import FAILED, judge, status_of
from tapeline.collectors.members import Members
from tapeline.collectors.notices import Notices
from tapeline.collectors.overseer import Overseer
from tapeline.collectors.registry import plugins as installed_plugins
from tapeline.collectors.services import Services
from tapeline.collectors.sinks import SinkLike, resolve_sink
from tapeline.config import Defaults
from tapeline.hookspecs import ServiceAdapter
from tapeline.logs import ConditionalLogger
from tapeline.model import (
    CollectorStatus,
    Health,
    StatusChange,
    width_ns,
)
from tapeline.plugins import PluginRegistry
from tapeline.runtime import (
    Engine,
    EngineSettings,
    ResourceMeter,
    Watchdog,
    current_seams,
)

_JOBS_TIMEOUT_S = 10.0


class CollectorManager:
    """Supervises collectors; those of exchange plugins share one engine.

    Args:
        manager_name: for logs and status.
        global_health_check_interval: seconds between checks of all collectors.
        restart_delay: least seconds between two restarts by the manager.
        logger: None keeps the manager silent.
        sinks: where all collectors store; see ``ExchangeCollector.add_sink``.
        settings: of the engine, e.g. its data folder.
        embedded: give the embedded database to collectors that need a sink and have
            none; False stores nothing then.
        plugins: whose observers are told of every change, and whose session wrappers
            stand around sessions; None for the installed plugins.

    Attributes:
        beaten: set before ``start`` to be told, from a thread and a few times a
            second, how many seconds ago the loop turned; for a service manager.
    """

    def __init__(
        self,
        manager_name: str = "collector_manager",
        global_health_check_interval: float = 60.0,
        restart_delay: float = 5.0,
        logger: logging.Logger | None = None,
        log_errors_only: bool = False,
        sinks: Sequence[SinkLike] = (),
        *,
        settings: EngineSettings | None = None,
        embedded: bool = True,
        plugins: PluginRegistry | None = None,
    ) -> None:
        self._plugins = installed_plugins() if plugins is None else plugins
        self.manager_name = manager_name
        self.global_health_check_interval = global_health_check_interval
        self.restart_delay = restart_delay
        self.logger = logger
        self._log = ConditionalLogger(logger, log_errors_only)
        self._seams = current_seams()
        self._sinks = [resolve_sink(sink, number) for number, sink in enumerate(sinks)]
        self._defaults = Defaults.from_environ()
        self._settings = settings or EngineSettings(
            reconnect_delay_s=self._defaults.reconnect_delay_s,
            max_silence_s=self._defaults.max_silence_duration_s,
        )
        self._embedded = embedded
        self._jobs = Jobs()
        self._members = Members(self._jobs, self._defaults, self._notify)
        self._engine: Engine | None = None
        self._started_ns: int | None = None
        self._last_restart_ns: int | None = None
        self._restart_lock = asyncio.Lock()
        self._meter = ResourceMeter(self._seams.clock)
        self._watchdog: Watchdog | None = None
        self.beaten: Callable[[float], None] | None = None
        self._observers: list[Callable[[StatusChange], None]] = []
        self._notices = Notices(self._seams.clock, self._tell)
        self._overseer = Overseer(
            manager_name,
            self._members,
            self._notices,
            self.health,
            self.restart_collector,
            self._seams.clock,
            self._log,
        )
        self._services = Services(self._seams, self._notify)
        self._consolidations = Consolidations()

    def add_service(self, name: str, adapter: ServiceAdapter, config: Any) -> None:
        """Run a service beside the collectors; before ``start``.

        Raises:
            UsageError: the name is taken.
        """
        self._services.add(name, adapter, config)

    @property
    def control(self) -> ManagerControl:
        """The manager as services see it, for an application of one's own."""
        return ManagerControl(self)

    def add_observer(self, observer: Callable[[StatusChange], None]) -> None:
        """Tell *observer* of every change of state; it must return quickly."""
        self._observers.append(observer)

    async def add_sink(self, sink: SinkLike) -> None:
        """Store in one more sink, at once when running; see ``sinks``.

        Raises:
            TapelineError: its name is taken, or it cannot be added while running.
        """
        settings = resolve_sink(sink, len(self._sinks))
        if self._engine is not None:
            await self._engine.add_sink_now(settings)
        self._sinks.append(settings)

    async def remove_sink(self, name: str) -> bool:
        """Flush a sink and let it go; False when there is none of that name."""
        if self._engine is not None:
            await self._engine.remove_sink(name)
        kept = [sink for sink in self._sinks if sink.name != name]
        found = len(kept) < len(self._sinks)
        self._sinks = kept
        return found

    def consolidate(
        self,
        name: str,
        symbol: str,
        exchanges: Sequence[str],
        *,
        market: str = "spot",
        timeframes: Sequence[str] = ("1m",),
        wait_s: float = 5.0,
        stale_after_s: float = 60.0,
    ) -> Consolidation:
        """Merge the trades and candles of *symbol* over *exchanges* into one stream.

        A collector of each exchange must collect its trades; one that comes later is
        taken in when it starts. While running it begins at once.

        Args:
            name: for status and logs, unique in the manager.
            market: the same on every exchange.
            timeframes: of the consolidated candles.
            wait_s: how long after its end a bar waits for exchanges that are not
                whole.
            stale_after_s: silence after which bars do not wait for an exchange.

        Raises:
            UsageError: the name is taken, another consolidation has this symbol, or
                fewer than two exchanges are given.
            UnknownTimeframe: one of *timeframes* is not among the eleven.
        """
        return self._consolidations.add(
            ConsolidationSettings(
                name,
                symbol,
                tuple(exchanges),
                market,
                tuple(sorted(set(timeframes), key=width_ns)),
                wait_s,
                stale_after_s,
            ),
            self._engine,
        )

    def consolidations(self) -> list[Consolidation]:
        """What ``consolidate`` made, in that order."""
        return list(self._consolidations)

    # -- membership -------------------------------------------------------------

    def add_collector(
        self, collector: BaseDataCollector, config: CollectorConfig | None = None
    ) -> None:
        """Take *collector* in; while running it is started as well.

        Raises:
            UsageError: *config* names another exchange or other symbols, or its
                name is taken.
        """
        self._members.add(collector, config)

    def remove_collector(self, name: str) -> bool:
        """Stop *name* and forget it; False when there is none of that name."""
        removed = self._members.remove(name)
        if removed:
            self._notices.forget(f"collector {name}")
        return removed

    def enable_collector(self, name: str) -> bool:
        """Let *name* run (again); False when there is none of that name."""
        return self._members.enable(name, True)

    def disable_collector(self, name: str) -> bool:
        """Stop *name* and keep it; False when there is none of that name."""
        return self._members.enable(name, False)

    # -- life -------------------------------------------------------------------

    async def start(self) -> bool:
        """Start every enabled collector.

        Returns:
            True when all of them started; those that did not are in
            ``get_failed_collectors()``.
        """
        if self._members.running:
            return True
        self._jobs.use_running_loop()
        engine = self._engine = self._build_engine()
        try:
            await engine.start()
        except BaseException:
            self._engine = None
            with anyio.CancelScope(shield=True):
                # Bounded by the engine's own deadlines.
                await engine.stop(force=True)
            raise
        for sentence in self._consolidations.missing_venues(self._members.collectors()):
            self._log.warning(sentence)
        self._started_ns = self._seams.clock.monotonic_ns()
        started = await self._members.start(engine)
        self._log.info(
            f"{self.manager_name}: {sum(started)} of {len(started)} collectors started"
        )
        self._guard_loop()
        self._overseer.start(lambda: self.global_health_check_interval)
        await self._services.start(self.control)
        return all(started)

    async def stop(self) -> None:
        """Stop all collectors, flush all sinks, close the journal.

        Called from a callback of a collector it returns at once, and the end follows.
        """
        if not self._members.running:
            return
        if any(collector.is_inside for collector in self._members.collectors()):
            self._jobs.begin(self.stop())
            return
        self._members.running = False
        await self._services.stop()
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        await self._overseer.stop()
        await self._jobs.wait(_JOBS_TIMEOUT_S)
        # The engine first: streams that end with the process are a downtime, those
        # of a collector that is removed are not wanted any more.
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.stop()
        self._consolidations.detach()
        await self._members.stop()
        self._log.info(f"{self.manager_name}: stopped")

    async def restart_collector(self, name: str) -> bool:
        """Restart *name*; False when unknown, disabled, or when it did not start."""
        member = self._members.get(name)
        if member is None or not member.enabled:
            return False
        async with self._restart_lock:
            await self._pause()
            # It may have been disabled or removed while this one waited its turn.
            if self._members.get(name) is not member or not member.enabled:
                return False
            return await member.collector.restart()

    async def restart_all_collectors(self) -> dict[str, bool]:
        """Restart every enabled collector, one after the other."""
        return {
            name: await self.restart_collector(name)
            for name, member in self._members
            if member.enabled
        }

    # -- status -----------------------------------------------------------------

    @property
    def engine(self) -> Engine | None:
        """The runtime that exchange collectors share; None while stopped."""
        return self._engine

    def health(self) -> Health:
        """Whether what all enabled collectors want is being delivered, as of now."""
        return judge(self._members, self._engine)

    def get_status(self) -> dict[str, Any]:
        """The manager, every collector, totals and resources; JSON-ready."""
        return {
            "manager_name": self.manager_name,
            "status": "running" if self._members.running else "stopped",
            **status_of(self._members, self._uptime_s()),
            "loop": self._loop_status(),
            "services": {
                name: {"state": part.state, "last_error": part.last_error}
                for name, part in self._services.parts.items()
            },
            "resources": self._meter.measure(self._engine),
            "engine": None if self._engine is None else self._engine.status(),
        }

    def get_collector_status(self, name: str) -> dict[str, Any] | None:
        """Status of *name*; None when there is none of that name."""
        member = self._members.get(name)
        return None if member is None else member.collector.get_status()

    def collector(self, name: str) -> BaseDataCollector | None:
        """The collector *name*; None when there is none of that name."""
        member = self._members.get(name)
        return None if member is None else member.collector

    def list_collectors(self) -> list[str]:
        """Names of all collectors, in the order of adding."""
        return [name for name, _ in self._members]

    def get_running_collectors(self) -> list[str]:
        """Names of those that run."""
        return self._members.names(CollectorStatus.RUNNING)

    def get_failed_collectors(self) -> list[str]:
        """Names of those that should run and are in error or unhealthy."""
        return self._members.names(*FAILED)

    # -- inside -----------------------------------------------------------------

    def _build_engine(self) -> Engine:
        sinks = list(self._sinks)
        for collector in self._members.collectors():
            sinks += collector.own_sinks(embedded=self._embedded and not sinks)
        engine = Engine(
            self._seams,
            self._settings,
            wrappers=self._plugins.session_wrappers(),
            observers=[self._notify],
        )
        for sink in sinks:
            engine.add_sink(sink)
        self._consolidations.attach(engine)
        return engine

    def _guard_loop(self) -> None:
        # Simulated time stands still while a thread looks at it.
        if isinstance(self._seams.clock, SystemClock):
            self._watchdog = Watchdog(self._seams.clock, beaten=self.beaten)
            self._watchdog.start()

    def _loop_status(self) -> dict[str, Any]:
        dog = self._watchdog
        return {
            "lag_s": None if dog is None else dog.lag_s,
            "blocked": 0 if dog is None else dog.blocked,
            "blocker": None if dog is None or dog.blocker is None else str(dog.blocker),
        }

    def _notify(self, change: StatusChange) -> None:
        self._notices.change(change)

    def _tell(self, change: StatusChange) -> None:
        self._plugins.notify_status(change)
        for observer in self._observers:
            # A supervisor: an observer that raises must not end what it observes.
            try:
                observer(change)
            except Exception as error:
                self._log.error(f"an observer of status changes raised {error!r}")

    async def _pause(self) -> None:
        now = self._seams.clock.monotonic_ns()
        if self._last_restart_ns is not None:
            passed_s = (now - self._last_restart_ns) / 1e9
            await self._seams.clock.sleep(self.restart_delay - passed_s)
        self._last_restart_ns = self._seams.clock.monotonic_ns()

    def _uptime_s(self) -> float | None:
        if not self._members.running or self._started_ns is None:
            return None
        return (self._seams.clock.monotonic_ns() - self._started_ns) / 1e9
