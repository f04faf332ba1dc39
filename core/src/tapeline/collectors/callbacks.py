"""Callbacks by data type: sync or async, named, counted, never in the way."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import attrs

from tapeline.clock import Clock
from tapeline.delivery import DropOldest, LiveConsumer, LiveSettings, callback_name
from tapeline.model import MarketDataPoint

Callback = Callable[[Any], Any]

_DRAIN_S = 1.0
_POLL_S = 0.01


@attrs.define
class CallbackErrors:
    """How often each callback raised, by name."""

    by_name: dict[str, int] = attrs.field(factory=dict)

    def count(self, callback: Callback) -> int:
        """Remember that *callback* raised; how often it has by now."""
        name = callback_name(callback)
        self.by_name[name] = self.by_name.get(name, 0) + 1
        return self.by_name[name]


class CallbackTasks:
    """Asynchronous callbacks of a running collector: a task and a queue each.

    One that never returns fills its own queue and holds back nobody else.

    Args:
        failed: told of every callback that raises.
        slow: told of a callback that missed points, and of how many by now.
        entered: called in each task first.
    """

    def __init__(
        self,
        clock: Clock,
        failed: Callable[[Callback, Exception], None],
        slow: Callable[[Callback, int], None],
        entered: Callable[[], None],
        settings: LiveSettings | None = None,
    ) -> None:
        self._clock = clock
        self._failed = failed
        self._slow = slow
        self._entered = entered
        self._settings = settings or LiveSettings()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._consumers: dict[int, tuple[Callback, LiveConsumer]] = {}
        self._dropped: dict[int, int] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Call callbacks in tasks while inside; at the end they may finish shortly."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
                await self._drain()
            finally:
                self._tasks = None
                for _, consumer in self._consumers.values():
                    consumer.remove()
                self._consumers.clear()
                tasks.cancel_scope.cancel()

    def offer(self, callback: Callback, point: MarketDataPoint) -> bool:
        """Give *point* to the task of *callback*; False when nothing is running."""
        consumer = self._consumer(callback)
        if consumer is None:
            return False
        consumer.offer(point)
        dropped = consumer.queue.dropped
        if dropped > self._dropped.get(id(callback), 0):
            self._dropped[id(callback)] = dropped
            self._slow(callback, dropped)
        return True

    def finish(self, callback: Callback, outcome: object) -> None:
        """Await what a callback gave that only looked synchronous."""
        if not inspect.isawaitable(outcome):
            return
        consumer = self._consumer(callback)
        if consumer is not None:
            awaited: Awaitable[object] = outcome
            consumer.queue.put(awaited, 1, 0)
        elif inspect.iscoroutine(outcome):
            outcome.close()

    def knows(self, callback: Callback) -> bool:
        """Whether *callback* has a task."""
        return id(callback) in self._consumers

    def remove(self, callback: Callback) -> None:
        """Give nothing more to *callback*; safe when it has no task."""
        for key, (known, consumer) in list(self._consumers.items()):
            if known == callback:
                del self._consumers[key]
                self._dropped.pop(key, None)
                consumer.remove()

    def _consumer(self, callback: Callback) -> LiveConsumer | None:
        known = self._consumers.get(id(callback))
        if known is not None:
            return known[1]
        tasks, settings = self._tasks, self._settings
        if tasks is None:
            return None

        def report(_: str, error: BaseException) -> None:
            if isinstance(error, Exception):
                self._failed(callback, error)

        queue: DropOldest[MarketDataPoint | Awaitable[object]] = DropOldest(
            settings.max_items, settings.max_bytes
        )
        consumer = LiveConsumer(None, callback, "", None, queue, report)
        consumer.is_async = True
        self._consumers[id(callback)] = (callback, consumer)
        tasks.start_soon(self._run, consumer)
        return consumer

    async def _run(self, consumer: LiveConsumer) -> None:
        self._entered()
        await consumer.run(self._settings.turn)

    async def _drain(self) -> None:
        """Let what is queued be handled, for a moment."""
        end_ns = self._clock.monotonic_ns() + int(_DRAIN_S * 1e9)
        while self._clock.monotonic_ns() < end_ns and any(
            consumer.queue.items or consumer.busy
            for _, consumer in self._consumers.values()
        ):
            await self._clock.sleep(_POLL_S)
