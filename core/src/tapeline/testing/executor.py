"""An executor without threads, for simulated time."""

from __future__ import annotations

from collections.abc import Callable

import anyio.lowlevel

from tapeline.seams import Arguments, Result


class InlineWorker:
    """Runs each call at once, on the loop."""

    async def run(
        self, call: Callable[[*Arguments], Result], *args: *Arguments
    ) -> Result:
        """Give others one turn, then run ``call(*args)`` to its end."""
        await anyio.lowlevel.checkpoint()
        return call(*args)

    async def aclose(self) -> None:
        """Nothing to release."""


class InlineExecutor:
    """Hands out ``InlineWorker``s: no thread, so no race and no real time."""

    def worker(self, name: str) -> InlineWorker:
        """A new worker of its own."""
        return InlineWorker()
