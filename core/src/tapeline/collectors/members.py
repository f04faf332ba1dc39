"""The collectors of one manager: which there are, and which of them shall run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

import attrs

from tapeline.collectors.base import BaseDataCollector
from tapeline.collectors.configs import CollectorConfig
from tapeline.collectors.defaults import health_check_interval_s
from tapeline.collectors.exchange import ExchangeCollector
from tapeline.collectors.jobs import Jobs
from tapeline.config import Defaults
from tapeline.errors import UsageError
from tapeline.model import CollectorStatus, DataType, StatusChange
from tapeline.runtime import Engine


@attrs.define(eq=False)
class Member:
    """One collector of a manager.

    Args:
        config: how the manager treats it.
        enabled: whether it shall run while the manager does.
    """

    collector: BaseDataCollector
    config: CollectorConfig
    enabled: bool = True


class Members:
    """Collectors by name; while running, each is brought to what is wanted of it.

    Args:
        jobs: which start and stop collectors while the others run.
        defaults: for what a configuration leaves open.
        changed: told of every change of a collector's status; must return quickly.

    Attributes:
        running: whether what is added, removed, enabled or disabled takes effect now.
    """

    def __init__(
        self, jobs: Jobs, defaults: Defaults, changed: Callable[[StatusChange], None]
    ) -> None:
        self.running = False
        self._jobs = jobs
        self._defaults = defaults
        self._changed = changed
        self._engine: Engine | None = None
        self._by_name: dict[str, Member] = {}
        self._leaving: dict[str, list[Member]] = {}
        self._settling: dict[str, asyncio.Lock] = {}

    # -- which there are --------------------------------------------------------

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[tuple[str, Member]]:
        """Names and members, in the order of adding, as of now."""
        return iter(list(self._by_name.items()))

    def get(self, name: str) -> Member | None:
        """The member *name*; None when there is none."""
        return self._by_name.get(name)

    def collectors(self) -> list[BaseDataCollector]:
        """All collectors, in the order of adding."""
        return [member.collector for member in self._by_name.values()]

    def names(self, *statuses: CollectorStatus) -> list[str]:
        """Names of those with one of *statuses*."""
        return [
            name
            for name, member in self._by_name.items()
            if member.collector.status in statuses
        ]

    # -- which are wanted -------------------------------------------------------

    def add(self, collector: BaseDataCollector, config: CollectorConfig | None) -> None:
        """Take *collector* in; *config* wins over what it says itself.

        Raises:
            UsageError: *config* names another exchange or other symbols, its name is
                taken, or the collector cannot be added while running.
        """
        if config is not None:
            _check(collector, config)
            name = config.name
            if name in self._by_name:
                raise UsageError(
                    f"expected collector names to differ, found {name!r} twice"
                )
            collector.data_types = [_data_type(one) for one in config.data_types]
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
        if self.running and collector.has_sinks:
            raise UsageError(
                f"expected collector {name!r}, which has sinks of its own, to be "
                "added before the manager starts, found the manager running; "
                "stop it first, or give the sinks to the manager"
            )
        collector.component_name = name
        collector.observe(self._changed)
        self._by_name[name] = Member(collector, config, enabled)
        if enabled:
            self._settle_soon(name)

    def remove(self, name: str) -> bool:
        """Stop *name* and forget it; False when there is none of that name."""
        member = self._by_name.pop(name, None)
        if member is None:
            return False
        if self.running:
            self._leaving.setdefault(name, []).append(member)
            self._settle_soon(name)
        return True

    def enable(self, name: str, enabled: bool) -> bool:
        """Whether *name* shall run; False when there is none of that name."""
        member = self._by_name.get(name)
        if member is None:
            return False
        if member.enabled is not enabled:
            member.enabled = enabled
            self._settle_soon(name)
        return True

    def _unique(self, name: str) -> str:
        if name not in self._by_name:
            return name
        number = 2
        while f"{name}_{number}" in self._by_name:
            number += 1
        return f"{name}_{number}"

    # -- running ----------------------------------------------------------------

    async def start(self, engine: Engine) -> list[bool]:
        """Start every enabled collector, those of exchange plugins on *engine*.

        Returns:
            of each of them, whether it started.
        """
        self._engine = engine
        self.running = True
        return [await self._start(member) for _, member in self if member.enabled]

    async def stop(self) -> None:
        """Stop all collectors; their engine has ended."""
        self._engine = None
        await asyncio.gather(*(self._stop(member) for member in self._by_name.values()))

    def _settle_soon(self, name: str) -> None:
        if self.running:
            self._jobs.begin(self._settle(name))

    async def _settle(self, name: str) -> None:
        """Bring *name* to what is wanted of it by now; one at a time for a name."""
        async with self._settling.setdefault(name, asyncio.Lock()):
            for old in self._leaving.pop(name, ()):
                await self._stop(old)
            member = self._by_name.get(name)
            if member is None or not self.running:
                return
            runs = member.collector.status is not CollectorStatus.STOPPED
            if member.enabled and not runs:
                await self._start(member)
            elif runs and not member.enabled:
                await self._stop(member)

    async def _start(self, member: Member) -> bool:
        collector = member.collector
        engine = self._engine
        if engine is not None and isinstance(collector, ExchangeCollector):
            collector.attach(engine)
        elif engine is not None and engine.has_sinks:
            collector.publish_into(engine)
        return await collector.start()

    async def _stop(self, member: Member) -> None:
        collector = member.collector
        await collector.stop()
        collector.publish_to(None)
        if isinstance(collector, ExchangeCollector):
            collector.detach()


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
