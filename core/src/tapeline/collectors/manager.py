"""Many collectors, one runtime: coordinated start, stop and restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import attrs

from tapeline.candles import ConsolidationSettings
from tapeline.clock import SystemClock
from tapeline.collectors.base import BaseDataCollector
from tapeline.collectors.configs import CollectorConfig
from tapeline.collectors.consolidation import Consolidation
from tapeline.collectors.control import ManagerControl
from tapeline.collectors.defaults import health_check_interval_s
from tapeline.collectors.exchange import ExchangeCollector
from tapeline.collectors.life import outside
from tapeline.collectors.notices import Notices
from tapeline.collectors.registry import plugins as installed_plugins
from tapeline.collectors.services import Services
from tapeline.collectors.sinks import SinkLike, resolve_sink
from tapeline.config import Defaults
from tapeline.errors import UsageError
from tapeline.hookspecs import ServiceAdapter
from tapeline.logs import ConditionalLogger
from tapeline.model import (
    CollectorStatus,
    DataType,
    Health,
    HealthLevel,
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

COLLECTION = "collection"
"""Component of the changes of the health of the whole."""

_LOOK_S = 5.0


@attrs.define
class _Member:
    collector: BaseDataCollector
    config: CollectorConfig
    enabled: bool = True


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
        self._members: dict[str, _Member] = {}
        self._engine: Engine | None = None
        self._running = False
        self._started_ns: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: set[asyncio.Task[Any]] = set()
        self._last_restart_ns: int | None = None
        self._restart_lock = asyncio.Lock()
        self._settling: dict[str, asyncio.Lock] = {}
        self._leaving: dict[str, list[_Member]] = {}
        self._meter = ResourceMeter(self._seams.clock)
        self._watchdog: Watchdog | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.beaten: Callable[[float], None] | None = None
        self._observers: list[Callable[[StatusChange], None]] = []
        self._notices = Notices(self._seams.clock, self._tell)
        self._level = HealthLevel.STARTING
        self._services = Services(self._seams, self._notify)
        self._consolidations: dict[str, Consolidation] = {}

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
        for timeframe in timeframes:
            width_ns(timeframe)
        if len(set(exchanges)) < 2 or len(set(exchanges)) < len(exchanges):
            raise UsageError(
                f"expected two or more exchanges, each once, found {list(exchanges)!r}"
            )
        if wait_s < 0 or stale_after_s <= 0:
            raise UsageError(
                "expected a wait_s of 0 or more and a stale_after_s above 0, found "
                f"{wait_s} and {stale_after_s}"
            )
        made = Consolidation(
            ConsolidationSettings(
                name,
                symbol,
                tuple(exchanges),
                market,
                tuple(sorted(set(timeframes), key=width_ns)),
                wait_s,
                stale_after_s,
            )
        )
        for other in self._consolidations.values():
            made.check_beside(other)
        if self._engine is not None:
            made.attach(self._engine)
        self._consolidations[name] = made
        return made

    def consolidations(self) -> list[Consolidation]:
        """What ``consolidate`` made, in that order."""
        return list(self._consolidations.values())

    # -- membership -------------------------------------------------------------

    def add_collector(
        self, collector: BaseDataCollector, config: CollectorConfig | None = None
    ) -> None:
        """Take *collector* in; while running it is started as well.

        Raises:
            UsageError: *config* names another exchange or other symbols, or its
                name is taken.
        """
        if config is not None:
            _check(collector, config)
            if config.name in self._members:
                raise UsageError(
                    f"expected collector names to differ, found {config.name!r} twice"
                )
            name = config.name
            collector.data_types = [_data_type(name) for name in config.data_types]
            collector.auto_restart = config.auto_restart
            collector.health_check_interval = health_check_interval_s(
                config.health_check_interval, self._defaults
            )
            enabled = config.enabled
        else:
            name = self._unique(collector.component_name)
            enabled = True
            config = CollectorConfig(
                name,
                collector.exchange_name,
                list(collector.symbols),
                [str(data_type) for data_type in collector.data_types],
                collector.auto_restart,
                collector.health_check_interval,
            )
        if self._running and collector.has_sinks:
            raise UsageError(
                f"expected collector {name!r}, which has sinks of its own, to be "
                "added before the manager starts, found the manager running; "
                "stop it first, or give the sinks to the manager"
            )
        collector.component_name = name
        collector.observe(self._notify)
        self._members[name] = _Member(collector, config, enabled)
        if self._running and enabled:
            self._schedule(self._settle(name))

    def remove_collector(self, name: str) -> bool:
        """Stop *name* and forget it; False when there is none of that name."""
        member = self._members.pop(name, None)
        if member is None:
            return False
        self._notices.forget(f"collector {name}")
        if self._running:
            self._leaving.setdefault(name, []).append(member)
            self._schedule(self._settle(name))
        return True

    def enable_collector(self, name: str) -> bool:
        """Let *name* run (again); False when there is none of that name."""
        member = self._members.get(name)
        if member is None:
            return False
        if not member.enabled:
            member.enabled = True
            if self._running:
                self._schedule(self._settle(name))
        return True

    def disable_collector(self, name: str) -> bool:
        """Stop *name* and keep it; False when there is none of that name."""
        member = self._members.get(name)
        if member is None:
            return False
        if member.enabled:
            member.enabled = False
            if self._running:
                self._schedule(self._settle(name))
        return True

    # -- life -------------------------------------------------------------------

    async def start(self) -> bool:
        """Start every enabled collector.

        Returns:
            True when all of them started; those that did not are in
            ``get_failed_collectors()``.
        """
        if self._running:
            return True
        self._loop = asyncio.get_running_loop()
        engine = self._engine = self._build_engine()
        try:
            await engine.start()
        except BaseException:
            self._engine = None
            with anyio.CancelScope(shield=True):
                # Bounded by the engine's own deadlines.
                await engine.stop(force=True)
            raise
        self._running = True
        self._warn_of_missing_parts()
        self._started_ns = self._seams.clock.monotonic_ns()
        started = [
            await self._start_member(member)
            for member in list(self._members.values())
            if member.enabled
        ]
        self._log.info(
            f"{self.manager_name}: {sum(started)} of {len(started)} collectors started"
        )
        self._guard_loop()
        self._watcher = asyncio.create_task(
            self._watch(), name=f"tapeline-{self.manager_name}-watch"
        )
        await self._services.start(self.control)
        return all(started)

    async def stop(self) -> None:
        """Stop all collectors, flush all sinks, close the journal.

        Called from a callback of a collector it returns at once, and the end follows.
        """
        if not self._running:
            return
        if any(member.collector.is_inside for member in self._members.values()):
            self._schedule(self.stop())
            return
        self._running = False
        await self._services.stop()
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
            self._watcher = None
        jobs = [job for job in self._jobs if job is not asyncio.current_task()]
        if jobs:
            await asyncio.wait(jobs, timeout=10.0)
        # The engine first: streams that end with the process are a downtime, those
        # of a collector that is removed are not wanted any more.
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.stop()
        for consolidation in self._consolidations.values():
            consolidation.detach()
        await asyncio.gather(
            *(self._stop_member(member) for member in self._members.values())
        )
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
            for name, member in list(self._members.items())
            if member.enabled
        }

    # -- status -----------------------------------------------------------------

    @property
    def engine(self) -> Engine | None:
        """The runtime that exchange collectors share; None while stopped."""
        return self._engine

    def health(self) -> Health:
        """Whether what all enabled collectors want is being delivered, as of now."""
        engine = self._engine
        if engine is None:
            return Health(HealthLevel.FAILING, False, False, ("nothing is running",))
        issues: list[str] = []
        for name, member in self._members.items():
            collector = member.collector
            if not member.enabled:
                continue
            if not isinstance(collector, ExchangeCollector):
                told = collector.get_health_status()["issues"]
                issues += [f"collector {name}: {issue}" for issue in told]
            elif name not in engine.feeds:
                why = collector.get_status()["statistics"]["last_error"]
                reason = f": {why}" if why else ""
                issues.append(f"collector {name} is {collector.status}{reason}")
        health = engine.health()
        if not issues:
            return health
        level = HealthLevel.FAILING
        return attrs.evolve(
            health, level=level, ready=False, issues=(*health.issues, *issues)
        )

    def get_status(self) -> dict[str, Any]:
        """The manager, every collector, totals and resources; JSON-ready."""
        collectors = {
            name: member.collector.get_status()
            for name, member in self._members.items()
        }
        statistics = [status["statistics"] for status in collectors.values()]
        uptime = self._uptime_s()
        received = sum(s["messages_received"] for s in statistics)
        return {
            "manager_name": self.manager_name,
            "status": "running" if self._running else "stopped",
            "collectors": collectors,
            "statistics": {
                "total_collectors": len(self._members),
                "enabled_collectors": sum(m.enabled for m in self._members.values()),
                "running_collectors": len(self.get_running_collectors()),
                "failed_collectors": len(self.get_failed_collectors()),
                "messages_received": received,
                "messages_processed": sum(s["messages_processed"] for s in statistics),
                "errors": sum(s["errors"] for s in statistics),
                "restarts": sum(s["restarts"] for s in statistics),
                "messages_per_second": received / uptime if uptime else 0.0,
                "uptime_seconds": uptime,
            },
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
        return list(self._members)

    def get_running_collectors(self) -> list[str]:
        """Names of those that run."""
        return [
            name
            for name, member in self._members.items()
            if member.collector.status is CollectorStatus.RUNNING
        ]

    def get_failed_collectors(self) -> list[str]:
        """Names of those that should run and are in error or unhealthy."""
        failed = (CollectorStatus.ERROR, CollectorStatus.UNHEALTHY)
        return [
            name
            for name, member in self._members.items()
            if member.collector.status in failed
        ]

    # -- inside -----------------------------------------------------------------

    def _build_engine(self) -> Engine:
        sinks = list(self._sinks)
        for member in self._members.values():
            sinks += member.collector.own_sinks(embedded=self._embedded and not sinks)
        engine = Engine(
            self._seams,
            self._settings,
            wrappers=self._plugins.session_wrappers(),
            observers=[self._notify],
        )
        for sink in sinks:
            engine.add_sink(sink)
        for consolidation in self._consolidations.values():
            consolidation.attach(engine)
        return engine

    def _warn_of_missing_parts(self) -> None:
        """Say which venues of a consolidation nobody collects, as of now."""
        for consolidation in self._consolidations.values():
            settings = consolidation.settings
            for exchange in settings.exchanges:
                if not any(
                    isinstance(member.collector, ExchangeCollector)
                    and member.collector.collects_trades_of(
                        exchange, settings.market, settings.symbol
                    )
                    for member in self._members.values()
                ):
                    self._log.warning(
                        f"consolidation {settings.name}: no collector collects trades "
                        f"of {settings.symbol} ({settings.market}) from {exchange}; "
                        "its bars are partial without it"
                    )

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

    async def _watch(self) -> None:
        """Look after health and collectors; nothing that fails there ends it."""
        clock = self._seams.clock
        looked_ns = clock.monotonic_ns()
        while True:
            interval_s = self.global_health_check_interval
            try:
                await clock.sleep(min(_LOOK_S, interval_s))
                self._tell_of_health()
                self._notices.due()
                if clock.monotonic_ns() - looked_ns >= interval_s * 1e9:
                    looked_ns = clock.monotonic_ns()
                    await self._start_missing()
            except Exception as error:  # a supervisor: the next look may do
                self._log.error(f"{self.manager_name}: a look failed: {error!r}")

    async def _start_missing(self) -> None:
        """Start what should run and does not."""
        for name, member in list(self._members.items()):
            if member.enabled and member.collector.needs_start:
                self._log.warning(
                    f"{self.manager_name}: {name} does not run; starting it again"
                )
                await self.restart_collector(name)

    def _tell_of_health(self) -> None:
        health = self.health()
        before, self._level = self._level, health.level
        if before is not health.level:
            reason = "; ".join([*health.issues, *health.warnings][:3])
            now_ns = self._seams.clock.wall_ns()
            level = health.level.value
            self._notify(StatusChange(COLLECTION, before.value, level, reason, now_ns))

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

    async def _start_member(self, member: _Member) -> bool:
        collector = member.collector
        engine = self._engine
        if engine is not None and isinstance(collector, ExchangeCollector):
            collector.attach(engine)
        elif engine is not None and engine.has_sinks:
            collector.publish_into(engine)
        return await collector.start()

    async def _stop_member(self, member: _Member) -> None:
        collector = member.collector
        await collector.stop()
        collector.publish_to(None)
        if isinstance(collector, ExchangeCollector):
            collector.detach()

    async def _settle(self, name: str) -> None:
        """Bring *name* to what is wanted of it by now; one at a time for a name."""
        async with self._settling.setdefault(name, asyncio.Lock()):
            for old in self._leaving.pop(name, ()):
                await self._stop_member(old)
            member = self._members.get(name)
            if member is None or not self._running:
                return
            running = member.collector.status is not CollectorStatus.STOPPED
            if member.enabled and not running:
                await self._start_member(member)
            elif running and not member.enabled:
                await self._stop_member(member)

    async def _pause(self) -> None:
        now = self._seams.clock.monotonic_ns()
        if self._last_restart_ns is not None:
            passed_s = (now - self._last_restart_ns) / 1e9
            await self._seams.clock.sleep(self.restart_delay - passed_s)
        self._last_restart_ns = self._seams.clock.monotonic_ns()

    def _schedule(self, job: Any) -> None:
        loop = self._loop
        assert loop is not None

        def begin() -> None:
            task = loop.create_task(job)
            # Kept so that it is not collected while it runs; stop() awaits it.
            self._jobs.add(task)
            task.add_done_callback(self._jobs.discard)

        loop.call_soon_threadsafe(begin, context=outside())

    def _unique(self, name: str) -> str:
        if name not in self._members:
            return name
        number = 2
        while f"{name}_{number}" in self._members:
            number += 1
        return f"{name}_{number}"

    def _uptime_s(self) -> float | None:
        if not self._running or self._started_ns is None:
            return None
        return (self._seams.clock.monotonic_ns() - self._started_ns) / 1e9


def _data_type(name: str) -> DataType | str:
    try:
        return DataType(name)
    except ValueError:
        return name


def _check(collector: BaseDataCollector, config: CollectorConfig) -> None:
    wanted: Mapping[str, tuple[object, object]] = {
        "exchange": (collector.exchange_name, config.exchange),
        "symbols": (sorted(collector.symbols), sorted(config.symbols)),
    }
    for key, (own, given) in wanted.items():
        if own != given:
            raise UsageError(
                f"expected {key} of configuration {config.name!r} to be the "
                f"collector's, {own!r}; found {given!r}"
            )
