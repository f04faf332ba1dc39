"""The seams: sockets, HTTP, worker threads and chance, injected into the runtime.

Core reaches the world only through these, so that simulated time and in-memory
transports replay a run exactly.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol, TypeVar, TypeVarTuple

import attrs

from tapeline.clock import Clock
from tapeline.model import Dial, Request, Response

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Socket(Protocol):
    """One open WebSocket."""

    async def receive(self) -> str | bytes:
        """The next data frame.

        Raises:
            SocketClosed: it ended, on either side.
        """

    async def send(self, frame: str) -> None:
        """Write a text frame; returns when it is handed to the transport.

        Raises:
            SocketClosed: it ended.
        """

    async def ping(self) -> None:
        """Write a protocol ping and wait for its pong.

        Raises:
            SocketClosed: it ended.
        """

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close it within a bounded time; aborts when the peer does not answer."""


class Dialer(Protocol):
    """Opens sockets."""

    async def dial(self, dial: Dial) -> Socket:
        """Open a socket.

        Raises:
            HandshakeRefused: the venue answered with an HTTP status.
            TransportError: anything else on the way.
        """


class Http(Protocol):
    """Sends REST requests."""

    async def send(self, request: Request, timeout_s: float) -> Response:
        """Send *request* and read the whole answer.

        Raises:
            RequestFailed: no answer in time, or a broken one.
        """

    async def aclose(self) -> None:
        """Release all connections."""


class Worker(Protocol):
    """One thread's worth of blocking calls, in order."""

    async def run(
        self, call: Callable[[*Arguments], Result], *args: *Arguments
    ) -> Result:
        """Run ``call(*args)``; never abandoned half-way on cancellation."""

    async def aclose(self) -> None:
        """Wait for what runs and release the thread."""


class Executor(Protocol):
    """Where blocking calls run: worker threads, or inline under simulated time."""

    def worker(self, name: str) -> Worker:
        """A new worker of its own."""


@attrs.frozen
class Seams:
    """All of them together, as the runtime takes them.

    Args:
        dialer: opens sockets.
        http: sends REST requests.
        random: the only source of chance: jitter of pauses.
    """

    clock: Clock
    dialer: Dialer
    http: Http
    executor: Executor
    random: random.Random
