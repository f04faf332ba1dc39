"""Which collector the running code belongs to, and how to get out of it.

Who ends a collector from one of its own callbacks would wait for himself.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

_inside: contextvars.ContextVar[object] = contextvars.ContextVar("tapeline_inside")


def enter(collector: object) -> None:
    """The current task is one of *collector*'s from now on."""
    _inside.set(collector)


def is_inside(collector: object) -> bool:
    """Whether the caller runs in a task of *collector*."""
    return _inside.get(None) is collector


def outside() -> contextvars.Context:
    """The caller's context for a task that does not belong to a collector."""
    context = contextvars.copy_context()
    context.run(_inside.set, None)
    return context


class Asides:
    """Tasks of one collector that nobody waits for; each ends by itself."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(
        self,
        job: Coroutine[Any, Any, object],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None = None,
    ) -> None:
        """Run *job* on *loop*, in *context* or the caller's."""
        task = loop.create_task(job, context=context)
        # Kept so that it is not collected while it runs.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
