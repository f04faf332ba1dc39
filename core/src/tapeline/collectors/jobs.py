"""Work that a manager begins and does not wait for at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tapeline.collectors.inside import outside


class Jobs:
    """Tasks of one manager; each is waited for when the manager stops."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def use_running_loop(self) -> None:
        """Jobs run on the caller's loop from now on, whoever begins them."""
        self._loop = asyncio.get_running_loop()

    def begin(self, job: Coroutine[Any, Any, object]) -> None:
        """Run *job* soon, outside of any collector; from any thread."""
        loop = self._loop
        assert loop is not None

        def create() -> None:
            task = loop.create_task(job)
            # Kept so that it is not collected while it runs; ``wait`` awaits it.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        loop.call_soon_threadsafe(create, context=outside())

    async def wait(self, timeout_s: float) -> None:
        """Wait until all but the caller's own have ended, *timeout_s* at most."""
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        if others:
            await asyncio.wait(others, timeout=timeout_s)
