"""Looks after a manager while it runs: its health is told, its collectors started."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tapeline.clock import Clock
from tapeline.collectors.members import Members
from tapeline.collectors.notices import Notices
from tapeline.logs import ConditionalLogger
from tapeline.model import Health, HealthLevel, StatusChange

COLLECTION = "collection"
"""Component of the changes of the health of the whole."""

_LOOK_S = 5.0


class Overseer:
    """Looks every few seconds; no failure of a look ends it.

    Args:
        manager_name: for the log.
        members: started again when they should run and do not.
        notices: told when the health of the whole changes.
        health: how the whole is.
        restart: starts one collector anew.
    """

    def __init__(
        self,
        manager_name: str,
        members: Members,
        notices: Notices,
        health: Callable[[], Health],
        restart: Callable[[str], Awaitable[bool]],
        clock: Clock,
        log: ConditionalLogger,
    ) -> None:
        self._manager_name = manager_name
        self._members = members
        self._notices = notices
        self._health = health
        self._restart = restart
        self._clock = clock
        self._log = log
        self._level = HealthLevel.STARTING
        self._task: asyncio.Task[None] | None = None

    def start(self, interval_s: Callable[[], float]) -> None:
        """Look until ``stop``.

        Args:
            interval_s: seconds between two checks of all collectors.
        """
        # The task outlives this call by design; stop() awaits it.
        self._task = asyncio.create_task(
            self._run(interval_s), name=f"tapeline-{self._manager_name}-watch"
        )

    async def stop(self) -> None:
        """End looking."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self, interval_of: Callable[[], float]) -> None:
        clock = self._clock
        looked_ns = clock.monotonic_ns()
        while True:
            interval_s = interval_of()
            try:
                await clock.sleep(min(_LOOK_S, interval_s))
                self._tell_of_health()
                self._notices.due()
                if clock.monotonic_ns() - looked_ns >= interval_s * 1e9:
                    looked_ns = clock.monotonic_ns()
                    await self._start_missing()
            except Exception as error:  # a supervisor: the next look may do
                self._log.error(f"{self._manager_name}: a look failed: {error!r}")

    def _tell_of_health(self) -> None:
        health = self._health()
        before, self._level = self._level, health.level
        if before is not health.level:
            reason = "; ".join([*health.issues, *health.warnings][:3])
            self._notices.change(
                StatusChange(
                    COLLECTION,
                    before.value,
                    health.level.value,
                    reason,
                    self._clock.wall_ns(),
                )
            )

    async def _start_missing(self) -> None:
        """Start what should run and does not."""
        for name, member in self._members:
            if member.enabled and member.collector.needs_start:
                self._log.warning(
                    f"{self._manager_name}: {name} does not run; starting it again"
                )
                await self._restart(name)
