"""Worker threads for blocking calls: one limiter per owner keeps its calls in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class ThreadWorker:
    """Runs calls one after the other, each in a worker thread of the loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._limiter = anyio.CapacityLimiter(1)

    async def run(
        self, call: Callable[[*Arguments], Result], *args: *Arguments
    ) -> Result:
        """Run ``call(*args)``; cancellation waits until it has returned."""
        # Not abandoned on cancel: a driver call is never left half-way. Its own
        # deadline (busy timeout, statement timeout) bounds it.
        return await anyio.to_thread.run_sync(
            call, *args, abandon_on_cancel=False, limiter=self._limiter
        )

    async def aclose(self) -> None:
        """Wait for the call that runs; bounded by that call's own deadline."""
        async with self._limiter:
            pass


class ThreadExecutor:
    """Gives every owner a worker of its own."""

    def worker(self, name: str) -> ThreadWorker:
        """A new worker, named for diagnostics."""
        return ThreadWorker(name)
