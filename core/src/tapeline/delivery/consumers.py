"""One live consumer: a callback with its filter, its queue and its counts."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import anyio.lowlevel

from tapeline.delivery.queues import DropOldest
from tapeline.delivery.weights import approximate_bytes
from tapeline.model import MarketDataPoint

Callback = Callable[[Any], object]
Reporter = Callable[[str, BaseException], None]


class LiveConsumer:
    """What ``LiveFanOut.add`` returns: pass it to ``remove``.

    Args:
        data_type: the only one it is given; None for all.
        symbols: the only ones it is given; None for all.
        reporter: told of every callback that raises; limits its own rate.
    """

    def __init__(
        self,
        data_type: str | None,
        callback: Callback,
        name: str,
        symbols: Collection[str] | None,
        queue: DropOldest[MarketDataPoint | Awaitable[object]],
        reporter: Reporter,
    ) -> None:
        self.name = name or callback_name(callback)
        self.data_type = data_type
        self.symbols = None if symbols is None else frozenset(symbols)
        self.removed = False
        self.calls = 0
        self.errors = 0
        self.last_error = ""
        self.queue = queue
        self.is_async = is_async(callback)
        self.busy = False
        self._callback = callback
        self._reporter = reporter

    # hot path
    def offer(self, event: MarketDataPoint) -> bool:
        """Give it *event*: called at once, or queued for its own task.

        Returns:
            True when it has just turned out to need a task of its own.
        """
        symbols = self.symbols
        if symbols is not None and event.symbol not in symbols:
            return False
        if self.is_async:
            self.queue.put(event, 1, approximate_bytes(event))
            return False
        self.calls += 1
        # The supervisor of a user's function, which may raise anything: the
        # others are still called.
        try:
            result = self._callback(event)
        except Exception as error:
            self._failed(error)
            return False
        if result is None or not inspect.isawaitable(result):
            return False
        # It only looked synchronous (a lambda, a partial): its own task awaits.
        self.calls -= 1
        self.is_async = True
        self.queue.put(result, 1, approximate_bytes(event))
        return True

    async def run(self, turn: int) -> None:
        """Call an asynchronous callback with what is queued, until removed."""
        count = 0
        while not self.removed:
            item = self.queue.take()
            if item is None:
                # Silence of a market is no fault: no deadline.
                await self.queue.wait()
                continue
            self.busy = True
            self.calls += 1
            # As in ``offer``.
            try:
                if isinstance(item, MarketDataPoint):
                    result = self._callback(item)
                    if inspect.isawaitable(result):
                        await result
                else:
                    await item
            except Exception as error:
                self._failed(error)
            finally:
                self.busy = False
            count += 1
            if count % turn == 0:
                await anyio.lowlevel.checkpoint()

    def remove(self) -> None:
        """Nothing more is given to it."""
        self.removed = True
        while (item := self.queue.take()) is not None:
            if inspect.iscoroutine(item):
                item.close()
        self.queue.close()

    def statistics(self) -> dict[str, int | str]:
        """JSON-ready figures."""
        return {
            "name": self.name,
            "calls": self.calls,
            "errors": self.errors,
            "last_error": self.last_error,
            "queued": self.queue.items,
            "queued_bytes": self.queue.nbytes,
            "dropped": self.queue.dropped,
        }

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        self.last_error = f"{type(error).__name__}: {error}"
        self._reporter(self.name, error)


def callback_name(callback: Callback) -> str:
    """A name for logs: where the function is defined."""
    inner = inspect.unwrap(getattr(callback, "func", callback))
    module = getattr(inner, "__module__", "") or ""
    name = getattr(inner, "__qualname__", "") or type(inner).__qualname__
    return f"{module}.{name}" if module else name


def is_async(callback: Callback) -> bool:
    """True when calling it gives something to await, as far as can be seen."""
    inner = getattr(callback, "func", callback)
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(
        getattr(inner, "__call__", None)  # noqa: B004 - an object with async __call__
    )
