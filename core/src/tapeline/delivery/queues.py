"""The bounded queue of one live consumer: the oldest are dropped, and counted."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import anyio

Item = TypeVar("Item")


class DropOldest(Generic[Item]):
    """Items with their counts and bytes; never more than the bounds.

    One task takes; anybody puts, without waiting.
    """

    __slots__ = (
        "_event",
        "_items",
        "_max_bytes",
        "_max_items",
        "closed",
        "dropped",
        "items",
        "nbytes",
    )

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._items: deque[tuple[Item, int, int]] = deque()
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._event = anyio.Event()
        self.items = 0
        self.nbytes = 0
        self.dropped = 0
        self.closed = False

    def put(self, item: Item, count: int, nbytes: int) -> None:
        """Add *item*, which stands for *count* records."""
        if self.closed:
            return
        self._items.append((item, count, nbytes))
        self.items += count
        self.nbytes += nbytes
        while len(self._items) > 1 and (
            self.items > self._max_items or self.nbytes > self._max_bytes
        ):
            _, old, size = self._items.popleft()
            self.items -= old
            self.nbytes -= size
            self.dropped += old
        self._event.set()

    def take(self) -> Item | None:
        """The oldest item, None when there is none."""
        if not self._items:
            return None
        item, count, nbytes = self._items.popleft()
        self.items -= count
        self.nbytes -= nbytes
        return item

    async def wait(self) -> None:
        """Wait until there is something, or it is closed; no deadline."""
        while not self._items and not self.closed:
            self._event = anyio.Event()
            await self._event.wait()

    def close(self) -> None:
        """Drop everything; whoever waits goes on."""
        self._items.clear()
        self.items = self.nbytes = 0
        self.closed = True
        self._event.set()
