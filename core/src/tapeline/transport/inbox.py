"""The one hand-over between sockets and the pipeline: a list and an event."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio
import attrs

from tapeline.model import (
    Malformed,
    MarketDataPoint,
    RawMessage,
    Rejected,
    Subscription,
)
from tapeline.transport.carriers import Carriers


@attrs.frozen
class StreamOpened:
    """The venue confirmed a stream on a connection (an ack, or its first data)."""

    subscription: Subscription
    connection: int
    at_ns: int


@attrs.frozen
class StreamLost:
    """A stream ended without being unwanted: what comes next may not join on.

    Args:
        cause: ``disconnect``, ``stall``, ``rotation`` …, as in table ``gaps``.
    """

    subscription: Subscription
    connection: int
    cause: str
    at_ns: int


@attrs.frozen
class StreamDropped:
    """A stream is not wanted any more and was let go on purpose.

    Args:
        connections: those of this link that carried it; another link may go on.
    """

    subscription: Subscription
    at_ns: int
    connections: Collection[int] = ()


@attrs.frozen
class StreamMissed:
    """A connection lost messages of a stream, and goes on."""

    subscription: Subscription
    connection: int
    at_ns: int


@attrs.frozen
class FrameLost:
    """A connection brought something that nobody could read, of whatever stream."""

    connection: int
    at_ns: int


@attrs.frozen(eq=False)
class Sourced:
    """An event of a stream that several connections carry, and which of them did."""

    event: MarketDataPoint
    connection: int


Mark = (
    StreamOpened
    | StreamLost
    | StreamMissed
    | StreamDropped
    | FrameLost
    | Rejected
    | Malformed
    | RawMessage
)
Item = MarketDataPoint | Sourced | Mark


class Inbox:
    """Items of all sockets in arrival order, swapped out whole by the pipeline.

    ``items`` is appended to directly by the receive loop (hot path), which then
    calls ``wake``. Bounded: a receive loop that finds ``full`` waits for ``room``.
    """

    __slots__ = ("_event", "_room", "carriers", "items", "max_items", "peak")

    def __init__(self, max_items: int = 200_000) -> None:
        self.items: list[Item] = []
        self.max_items = max_items
        self.peak = 0
        self.carriers = Carriers()
        self._event = anyio.Event()
        self._room = anyio.Event()

    def put(self, *items: Item) -> None:
        """Append *items* and wake the pipeline."""
        self.items.extend(items)
        self._event.set()

    def wake(self) -> None:
        """Tell the pipeline that there is something."""
        self._event.set()

    @property
    def full(self) -> bool:
        """True when the receive loops have to wait."""
        return len(self.items) >= self.max_items

    async def room(self) -> None:
        """Wait until the pipeline has swapped; bounded by its own progress."""
        while self.full:
            self._event.set()
            if self._room.is_set():  # several receive loops may wait on one event
                self._room = anyio.Event()
            await self._room.wait()

    async def wait(self) -> None:
        """Wait until there is something; the caller sets a deadline."""
        if not self.items:
            self._event = anyio.Event()
            await self._event.wait()

    def swap(self) -> Sequence[Item]:
        """Take all items, leaving the inbox empty."""
        taken = self.items
        self.items = []
        if len(taken) > self.peak:
            self.peak = len(taken)
        self._room.set()
        return taken
