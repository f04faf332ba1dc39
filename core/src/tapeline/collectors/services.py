"""Services beside the collection: started last, stopped first, never in its way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import anyio
import attrs

from tapeline.errors import UsageError
from tapeline.hookspecs import Control, Service, ServiceAdapter, ServiceContext
from tapeline.model import StatusChange
from tapeline.runtime import Backoff, Supervised, Supervisor
from tapeline.seams import Seams

_READY_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 5.0


@attrs.frozen
class _Wanted:
    adapter: ServiceAdapter
    config: Any


class Services:
    """Runs services, each supervised; one that fails hurts nobody else.

    Args:
        changed: told of every change of a service's state; must return quickly.
    """

    def __init__(self, seams: Seams, changed: Callable[[StatusChange], None]) -> None:
        self.parts: dict[str, Supervised] = {}
        self._seams = seams
        self._changed = changed
        self._wanted: dict[str, _Wanted] = {}
        self._owner: asyncio.Task[None] | None = None
        self._stop = anyio.Event()

    def add(self, name: str, adapter: ServiceAdapter, config: Any) -> None:
        """Run a service called *name*; before ``start``.

        Raises:
            UsageError: the name is taken.
        """
        if name in self._wanted:
            raise UsageError(f"expected service names to differ, found {name!r} twice")
        self._wanted[name] = _Wanted(adapter, config)

    async def start(self, control: Control) -> None:
        """Start them all, and wait a short time until they serve."""
        if not self._wanted or self._owner is not None:
            return
        self._stop = anyio.Event()
        ready = {name: anyio.Event() for name in self._wanted}
        # The owner task outlives this call by design; stop() awaits it.
        self._owner = asyncio.create_task(
            self._own(control, ready), name="tapeline-services"
        )
        with anyio.move_on_after(_READY_TIMEOUT_S):
            for event in ready.values():
                await event.wait()

    async def stop(self) -> None:
        """End them all; one that does not end in time is left to its cancellation."""
        owner, self._owner = self._owner, None
        if owner is None:
            return
        self._stop.set()
        await asyncio.wait([owner], timeout=_STOP_TIMEOUT_S)

    async def _own(self, control: Control, ready: dict[str, anyio.Event]) -> None:
        async with anyio.create_task_group() as tasks:
            for name, wanted in self._wanted.items():
                tasks.start_soon(self._run, name, wanted, control, ready[name])
            # Waits for stop() for as long as the user wants to collect.
            await self._stop.wait()
            tasks.cancel_scope.cancel()

    async def _run(
        self, name: str, wanted: _Wanted, control: Control, ready: anyio.Event
    ) -> None:
        part = self.parts[name] = Supervised(f"service {name}")
        backoff = Backoff(self._seams.random)
        supervisor = Supervisor(
            self._seams.clock, lambda _: backoff.next_delay_s(), self._changed
        )
        context = ServiceContext(
            name, self._seams.clock, logging.getLogger(f"tapeline.service.{name}")
        )

        async def serve() -> None:
            service: Service = wanted.adapter.service(wanted.config, control, context)
            await service.run(ready.set)

        try:
            await supervisor.run(part, serve)
        finally:
            ready.set()
