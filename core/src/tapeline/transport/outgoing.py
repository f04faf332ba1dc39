"""Frames on their way out: in order, within the connection's frame budgets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import anyio

from tapeline.errors import TransportError
from tapeline.model import SUBSCRIBE, UNSUBSCRIBE, Send, Subscription
from tapeline.seams import Socket
from tapeline.transport.budgets import BudgetKeeper

_STEERING = (SUBSCRIBE, UNSUBSCRIBE)


class Outgoing:
    """The send queue of one connection.

    Nothing in it is worth saving when the connection ends: subscriptions are
    derived anew from what is wanted.

    Args:
        written: called with each frame just after it was written.
        max_frames: bound of the queue.
        write_timeout_s: a socket that takes longer for one frame is dead.
    """

    def __init__(
        self,
        budgets: BudgetKeeper,
        written: Callable[[Send], None],
        max_frames: int = 4096,
        write_timeout_s: float = 10.0,
    ) -> None:
        self._budgets = budgets
        self._written = written
        self._max_frames = max_frames
        self._write_timeout_s = write_timeout_s
        self._queue: deque[Send] = deque()
        self._filled = anyio.Event()
        self._steering = 0
        self.sent = 0

    def __len__(self) -> int:
        return len(self._queue)

    def holds(self, subscription: Subscription) -> bool:
        """Whether a frame for *subscription* is not written yet."""
        return any(subscription in send.subscriptions for send in self._queue)

    @property
    def steering(self) -> int:
        """Subscribe and unsubscribe frames that are not written yet."""
        return self._steering

    def put(self, sends: Sequence[Send]) -> None:
        """Append *sends*.

        Raises:
            TransportError: the queue is full; the connection must start afresh.
        """
        if len(self._queue) + len(sends) > self._max_frames:
            raise TransportError(
                f"expected at most {self._max_frames} frames to wait, found "
                f"{len(self._queue) + len(sends)}; the session sends too much"
            )
        self._queue.extend(sends)
        self._steering += sum(send.purpose in _STEERING for send in sends)
        self._filled.set()

    async def run(self, socket: Socket) -> None:
        """Write what is put, until cancelled.

        Raises:
            SocketClosed: the socket ended.
            TransportError: the socket took no frame in time.
        """
        while True:
            while self._queue:
                send = self._queue[0]
                # As long as the venue's own window: not a wait for the venue.
                await self._budgets.take(send.costs)
                await self.write(socket, send.frame)
                self._queue.popleft()
                self._steering -= send.purpose in _STEERING
                self._written(send)
            self._filled = anyio.Event()
            await self._filled.wait()

    async def write(self, socket: Socket, frame: str) -> None:
        """Write one frame past the queue, for keepalives.

        Raises:
            SocketClosed: the socket ended.
            TransportError: the socket took no frame in time.
        """
        try:
            with anyio.fail_after(self._write_timeout_s):
                await socket.send(frame)
        except TimeoutError as error:
            raise TransportError(
                f"expected the socket to take a frame within "
                f"{self._write_timeout_s:g} s, found its buffer full"
            ) from error
        self.sent += 1
