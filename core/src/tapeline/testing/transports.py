"""Transports in memory: a simulated venue without sockets, in any kind of time."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from itertools import count
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import anyio
import anyio.abc
import anyio.lowlevel

from tapeline.clock import Clock
from tapeline.errors import (
    HandshakeRefused,
    RequestFailed,
    SocketClosed,
    TransportError,
)
from tapeline.hookspecs import SimClose, SimFrame, SimPing, SimulatedExchange
from tapeline.model import Dial, Request, Response
from tapeline.seams import Seams
from tapeline.testing.executor import InlineExecutor
from tapeline.testing.simulator import HalfOpen, HearsPings, HearsPongs

_LONGEST_NAP_S = 60.0


class MemorySocket:
    """One open socket to a ``MemoryVenue``."""

    def __init__(self, venue: MemoryVenue, conn: int, max_bytes: int) -> None:
        self._venue = venue
        self._conn = conn
        self._max_bytes = max_bytes
        self._frames: deque[tuple[int, str]] = deque()
        self._end: tuple[int, SocketClosed] | None = None
        self._local_end: SocketClosed | None = None
        self._news = anyio.Event()

    def deliver(self, due_ns: int, frame: str) -> None:
        """Put *frame* on the way; it arrives at monotonic *due_ns*."""
        self._frames.append((due_ns, frame))
        self._news.set()

    def end(self, due_ns: int, code: int | None, reason: str) -> None:
        """The venue ended it; that arrives after everything on the way."""
        if self._end is None:
            self._end = (due_ns, SocketClosed(code, reason))
            self._news.set()

    async def receive(self) -> str | bytes:
        """The next data frame, when it has arrived."""
        clock = self._venue.clock
        while True:
            if self._local_end is not None:
                raise self._local_end
            # A torn connection loses what was still on the way.
            end = self._end
            if end is not None and end[1].code is None:
                self._frames.clear()
            if self._frames:
                due_ns = self._frames[0][0]
            elif end is not None:
                due_ns = end[0]
            else:
                self._news = anyio.Event()
                # Ends with a frame or the connection; the caller sets a deadline.
                await self._news.wait()
                continue
            wait_ns = due_ns - clock.monotonic_ns()
            if wait_ns > 0:
                await clock.sleep(wait_ns / 1e9)
                continue
            if self._frames:
                frame = self._frames.popleft()[1]
                if len(frame) > self._max_bytes:
                    await self.aclose(1009, "frame too large")
                    raise SocketClosed(1009, "frame too large")
                return frame
            if end is not None:
                raise end[1]

    async def send(self, frame: str) -> None:
        """Hand *frame* to the venue."""
        self._check_open()
        self._venue.receive(self._conn, frame)
        await anyio.lowlevel.checkpoint()

    async def ping(self) -> None:
        """Wait for a pong; for ever when the connection is half-open."""
        self._check_open()
        self._venue.hear_ping(self._conn)
        await self._venue.clock.sleep(self._venue.latency_s)
        while self._venue.is_half_open(self._conn):
            # Only the caller's deadline ends this, as on a dead wire.
            self._check_open()
            await self._venue.clock.sleep(1.0)
        self._check_open()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close it; never waits for a venue that is silent."""
        self._hang_up(code, reason)
        await anyio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Tear it down at once, without a close frame; safe twice."""
        self._hang_up(None, "")

    @property
    def is_open(self) -> bool:
        """Whether neither side has ended it."""
        return self._local_end is None and self._end is None

    def _hang_up(self, code: int | None, reason: str) -> None:
        if self._local_end is None:
            self._local_end = SocketClosed(code, reason)
            self._frames.clear()
            self._news.set()
            self._venue.hang_up(self._conn)

    def _check_open(self) -> None:
        if self._local_end is not None:
            raise self._local_end
        if self._end is not None and self._end[0] <= self._venue.clock.monotonic_ns():
            raise self._end[1]


class MemoryVenue:
    """A simulated exchange in this process, with a ``dialer`` and an ``http``.

    An asynchronous context manager: its pump runs while it is open.

    Args:
        exchange: the simulator.
        clock: shared with the client. The venue reads its wall clock once, at
            entry, so that later steps of it are the client's alone.
        latency_s: one way, of everything that the venue sends.
        granularity_s: least pause between two turns of the pump.
    """

    def __init__(
        self,
        exchange: SimulatedExchange,
        clock: Clock,
        *,
        latency_s: float = 0.001,
        granularity_s: float = 0.001,
    ) -> None:
        self.exchange = exchange
        self.clock = clock
        self.latency_s = latency_s
        self.reachable = True
        self.dials = 0
        self.requests = 0
        self._granularity_s = granularity_s
        self._offset_ns = clock.wall_ns() - clock.monotonic_ns()
        self._latency_ns = int(latency_s * 1e9)
        self._sockets: dict[int, MemorySocket] = {}
        self._ids = count(1)
        self._poke = anyio.Event()
        self._stack = AsyncExitStack()
        self._half_open = exchange if isinstance(exchange, HalfOpen) else None
        self._hears_pings = exchange if isinstance(exchange, HearsPings) else None
        self._hears_pongs = exchange if isinstance(exchange, HearsPongs) else None

    @property
    def dialer(self) -> MemoryVenue:
        """This venue as the ``Dialer`` seam, whatever the host of a URL."""
        return self

    @property
    def http(self) -> MemoryHttp:
        """This venue as the ``Http`` seam, whatever the host of a URL."""
        return MemoryHttp(self)

    def seams(self, seed: int = 0) -> Seams:
        """What makes a runtime talk to this venue; see ``tapeline.use_seams``.

        Blocking calls run inline, as virtual time needs it.
        """
        chance = random.Random(seed)
        return Seams(self.clock, self.dialer, self.http, InlineExecutor(), chance)

    def now_ns(self) -> int:
        """The venue's wall clock, nanoseconds UTC."""
        return self._offset_ns + self.clock.monotonic_ns()

    async def __aenter__(self) -> Self:
        self._offset_ns = self.clock.wall_ns() - self.clock.monotonic_ns()
        async with AsyncExitStack() as stack:
            group = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(group.cancel_scope.cancel)
            group.start_soon(self._pump, name="venue-pump")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        for socket in self._sockets.values():
            socket.end(self.clock.monotonic_ns(), None, "")
        self._sockets.clear()
        return await self._stack.__aexit__(kind, error, trace)

    def set_reachable(self, reachable: bool) -> None:
        """Take the venue off the network, tearing every connection, or bring it back.

        Its market goes on meanwhile.
        """
        self.reachable = reachable
        if not reachable:
            now_ns = self.now_ns()
            for conn, socket in list(self._sockets.items()):
                socket.end(self.clock.monotonic_ns(), None, "")
                self.exchange.closed(conn, now_ns)
            self._sockets.clear()
            self._distribute()

    async def dial(self, dial: Dial) -> MemorySocket:
        """Open a socket, one round trip later."""
        self.dials += 1
        with anyio.move_on_after(dial.open_timeout_s) as scope:
            await self.clock.sleep(2 * self.latency_s)
        if scope.cancelled_caught:
            raise TransportError(
                f"expected a WebSocket within {dial.open_timeout_s} s, found none"
            )
        self._check_reachable(dial.url)
        conn = next(self._ids)
        refusal = self.exchange.open(
            conn, _target(dial.url), _lower(dial.headers), self.now_ns()
        )
        if refusal is not None:
            self._distribute()
            raise HandshakeRefused(
                refusal.status, refusal.body, _retry_after(refusal.headers)
            )
        socket = MemorySocket(self, conn, dial.max_bytes)
        self._sockets[conn] = socket
        self._distribute()
        # What opening it has scheduled may come before the pump's next turn.
        self._poke.set()
        return socket

    async def request(self, request: Request, timeout_s: float) -> Response:
        """Ask the REST side, one round trip long."""
        self.requests += 1
        with anyio.move_on_after(timeout_s) as scope:
            await self.clock.sleep(2 * self.latency_s)
        if scope.cancelled_caught:
            raise RequestFailed(f"expected an answer within {timeout_s} s, found none")
        if not self.reachable:
            raise RequestFailed(
                f"expected an answer of {urlsplit(request.url).netloc}, found the "
                "connection refused"
            )
        answer = self.exchange.request(
            request.method,
            _target(request.url),
            _lower(request.headers),
            self.now_ns(),
        )
        self._distribute()
        return Response(
            request,
            answer.status,
            _lower(answer.headers),
            answer.body,
            self.clock.wall_ns(),
        )

    def receive(self, conn: int, frame: str) -> None:
        """A frame of the client's socket *conn*."""
        self.exchange.receive(conn, frame, self.now_ns())
        self._distribute()
        self._poke.set()

    def hear_ping(self, conn: int) -> None:
        """A ping frame of the client's socket *conn*."""
        if self._hears_pings is not None:
            self._hears_pings.pinged(conn, self.now_ns())
            self._distribute()

    def hang_up(self, conn: int) -> None:
        """The client closed its socket *conn*."""
        self._sockets.pop(conn, None)
        self.exchange.closed(conn, self.now_ns())
        self._distribute()

    def is_half_open(self, conn: int) -> bool:
        """True when nothing passes on *conn* any more."""
        return self._half_open is not None and conn in self._silent()

    def _silent(self) -> Collection[int]:
        return () if self._half_open is None else self._half_open.half_open()

    def _check_reachable(self, url: str) -> None:
        if not self.reachable:
            raise TransportError(
                f"expected a WebSocket at {urlsplit(url).netloc}, found the "
                "connection refused"
            )

    def _distribute(self) -> None:
        due_ns = self.clock.monotonic_ns() + self._latency_ns
        sockets = self._sockets
        while outputs := self.exchange.outputs():
            pings: list[SimPing] = []
            for output in outputs:
                socket = sockets.get(output.conn)
                if socket is None:
                    continue
                if isinstance(output, SimFrame):
                    socket.deliver(due_ns, output.frame)
                elif isinstance(output, SimClose):
                    socket.end(due_ns, output.code, output.reason)
                    del sockets[output.conn]
                else:
                    pings.append(output)
            # A client's socket answers by itself, whatever its reader does.
            for ping in pings:
                if self._hears_pongs is not None and not self.is_half_open(ping.conn):
                    self._hears_pongs.pong(ping.conn, ping.payload, self.now_ns())

    async def _pump(self) -> None:
        while True:
            now_ns = self.now_ns()
            self.exchange.advance(now_ns)
            self._distribute()
            wake_ns = self.exchange.wake_at_ns()
            nap_s = _LONGEST_NAP_S
            if wake_ns is not None:
                nap_s = min(nap_s, (wake_ns - now_ns) / 1e9)
            nap_s = max(self._granularity_s, nap_s)
            if nap_s <= 0.01:
                await self.clock.sleep(nap_s)
                continue
            self._poke = anyio.Event()
            with anyio.move_on_after(nap_s):
                await self._poke.wait()


class MemoryHttp:
    """The ``Http`` seam of a venue or a network in memory."""

    def __init__(self, target: MemoryVenue | MemoryNetwork) -> None:
        self._target = target

    async def send(self, request: Request, timeout_s: float) -> Response:
        """Send *request* and read the whole answer."""
        return await self._target.request(request, timeout_s)

    async def aclose(self) -> None:
        """Nothing to release."""


class MemoryNetwork:
    """Several venues by host name; itself the ``Dialer`` seam.

    An asynchronous context manager: it opens and closes its venues.

    Args:
        venues: ``host`` or ``host:port`` → venue; one venue may have many hosts.
    """

    def __init__(self, venues: Mapping[str, MemoryVenue]) -> None:
        self.venues = dict(venues)
        self._stack = AsyncExitStack()

    @property
    def dialer(self) -> MemoryNetwork:
        """This network as the ``Dialer`` seam."""
        return self

    @property
    def http(self) -> MemoryHttp:
        """This network as the ``Http`` seam."""
        return MemoryHttp(self)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for venue in dict.fromkeys(self.venues.values()):
                await stack.enter_async_context(venue)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def dial(self, dial: Dial) -> MemorySocket:
        """Open a socket to the venue of the URL's host."""
        venue = self._find(dial.url)
        if venue is None:
            raise TransportError(self._unknown(dial.url))
        return await venue.dial(dial)

    async def request(self, request: Request, timeout_s: float) -> Response:
        """Ask the venue of the URL's host."""
        venue = self._find(request.url)
        if venue is None:
            raise RequestFailed(self._unknown(request.url))
        return await venue.request(request, timeout_s)

    def _find(self, url: str) -> MemoryVenue | None:
        parts = urlsplit(url)
        return self.venues.get(parts.netloc) or self.venues.get(parts.hostname or "")

    def _unknown(self, url: str) -> str:
        return (
            f"expected a host of this network ({', '.join(sorted(self.venues))}), "
            f"found {urlsplit(url).netloc!r}"
        )


def _target(url: str) -> str:
    parts = urlsplit(url)
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return float(_lower(headers).get("retry-after", ""))
    except ValueError:
        return None
