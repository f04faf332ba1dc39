"""A simulated venue on a real port: WebSocket and REST, for anybody's client."""

from __future__ import annotations

import errno
import http
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from itertools import count
from types import TracebackType
from typing import Self

import anyio
import anyio.abc
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State

from tapeline.clock import Clock, SystemClock
from tapeline.errors import UsageError
from tapeline.hookspecs import SimFrame, SimOutput, SimPing, SimulatedExchange
from tapeline.testing.simulator import HalfOpen, HearsPings, HearsPongs

_LONGEST_NAP_S = 1.0
_CLOSE_TIMEOUT_S = 2.0

_logger = logging.getLogger("tapeline.testing.loopback")
_logger.setLevel(logging.ERROR)


class _Connection(ServerConnection):
    """One that tells of the control frames it received."""

    heard: Callable[[ServerConnection, Frame], None] | None = None

    def process_event(self, event: Event) -> None:
        super().process_event(event)
        if (
            self.heard is not None
            and isinstance(event, Frame)
            and event.opcode in (Opcode.PING, Opcode.PONG)
        ):
            self.heard(self, event)


class LoopbackServer:
    """Serves one simulated exchange; an asynchronous context manager.

    Runs on asyncio, as the ``websockets`` server does.

    Args:
        exchange: the simulator.
        host: address to listen on.
        port: 0 lets the system choose one; see ``port`` once it is open.
        clock: read once for the wall time, then only for what has passed.
        granularity_s: least pause between two turns of the pump.
        compression: whether permessage-deflate is offered.
        max_buffer_bytes: unsent bytes after which a client is too slow.
        overflow: code and reason with which a slow client is closed.

    Raises:
        UsageError: on entry, when it cannot listen there.
    """

    def __init__(
        self,
        exchange: SimulatedExchange,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        *,
        granularity_s: float = 0.002,
        compression: bool = False,
        max_buffer_bytes: int = 64 * 2**20,
        overflow: tuple[int, str] = (1008, "slow consumer"),
    ) -> None:
        self.exchange = exchange
        self.host = host
        self.port = port
        self.clock: Clock = SystemClock() if clock is None else clock
        self._granularity_s = granularity_s
        self._compression = "deflate" if compression else None
        self._max_buffer_bytes = max_buffer_bytes
        self._overflow = overflow
        self._offset_ns = 0
        self._ids = count(1)
        self._waiting: dict[ServerConnection, int] = {}
        self._early: dict[int, list[SimOutput]] = {}
        self._clients: dict[int, ServerConnection] = {}
        self._conns: dict[ServerConnection, int] = {}
        self._paused: set[int] = set()
        self._poke = anyio.Event()
        self._stack = AsyncExitStack()
        self._group: anyio.abc.TaskGroup | None = None
        self._half_open = exchange if isinstance(exchange, HalfOpen) else None
        self._hears_pings = exchange if isinstance(exchange, HearsPings) else None
        self._hears_pongs = exchange if isinstance(exchange, HearsPongs) else None

    @property
    def ws_base(self) -> str:
        """``ws://host:port``, without a path."""
        return f"ws://{self._netloc}"

    @property
    def rest_base(self) -> str:
        """``http://host:port``, without a path."""
        return f"http://{self._netloc}"

    @property
    def _netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def now_ns(self) -> int:
        """The venue's wall clock, nanoseconds UTC."""
        return self._offset_ns + self.clock.monotonic_ns()

    async def __aenter__(self) -> Self:
        self._offset_ns = self.clock.wall_ns() - self.clock.monotonic_ns()
        async with AsyncExitStack() as stack:
            server = await self._listen()
            stack.push_async_callback(self._shut, server)
            self.port = next(iter(server.sockets)).getsockname()[1]
            group = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(group.cancel_scope.cancel)
            self._group = group
            group.start_soon(self._pump, name="loopback-pump")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def _listen(self) -> Server:
        try:
            return await serve(
                self._handle,
                self.host,
                self.port,
                process_request=self._process,
                create_connection=_Connection,
                compression=self._compression,
                ping_interval=None,
                close_timeout=_CLOSE_TIMEOUT_S,
                max_size=2**20,
                # No flow control of its own: it would resume a half-open connection.
                max_queue=None,
                logger=_logger,
                server_header=None,
            )
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                text = (
                    f"expected port {self.port} on {self.host} to be free, found it in "
                    "use; choose another port, or 0 to have a free one chosen"
                )
            else:
                text = (
                    f"expected to listen on {self.host} port {self.port}, found "
                    f"{problem.strerror or problem}; choose another host or port"
                )
            raise UsageError(text) from problem

    async def _shut(self, server: Server) -> None:
        # Connections that play dead would hold up a closing handshake.
        for conn in self._paused:
            client = self._clients.get(conn)
            if client is not None:
                client.transport.abort()
        server.close(code=1001, reason="simulator stopped")
        with anyio.move_on_after(2 * _CLOSE_TIMEOUT_S, shield=True):
            await server.wait_closed()

    async def _process(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        now_ns = self.now_ns()
        if headers.get("upgrade", "").lower() != "websocket":
            method: str = getattr(request, "method", "GET")
            answer = self.exchange.request(method, request.path, headers, now_ns)
            self._distribute()
            return _response(answer.status, answer.body, answer.headers)
        conn = next(self._ids)
        refusal = self.exchange.open(conn, request.path, headers, now_ns)
        if refusal is not None:
            self._distribute()
            return _response(refusal.status, refusal.body.encode(), refusal.headers)
        self._waiting[connection] = conn
        self._early[conn] = []
        self._distribute()
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        conn = self._waiting.pop(connection)
        self._clients[conn] = connection
        self._conns[connection] = conn
        if isinstance(connection, _Connection):
            connection.heard = self._hear
        receive = self.exchange.receive
        try:
            for output in self._early.pop(conn):
                self._pass_on(output)
            self._distribute()
            # What opening it has scheduled may come before the pump's next turn.
            self._poke.set()
            async for frame in connection:
                text = frame if isinstance(frame, str) else frame.decode("latin-1")
                receive(conn, text, self.now_ns())
                self._distribute()
                self._poke.set()
        except ConnectionClosed:
            # Ended without a close frame, which clients are free to do.
            pass
        finally:
            self._clients.pop(conn, None)
            self._conns.pop(connection, None)
            self._paused.discard(conn)
            self.exchange.closed(conn, self.now_ns())

    def _hear(self, connection: ServerConnection, frame: Frame) -> None:
        conn = self._conns.get(connection)
        if conn is None:
            return
        if frame.opcode is Opcode.PING:
            if self._hears_pings is not None:
                self._hears_pings.pinged(conn, self.now_ns())
        elif self._hears_pongs is not None:
            payload = bytes(frame.data).decode("latin-1")
            self._hears_pongs.pong(conn, payload, self.now_ns())
        self._distribute()

    def _distribute(self) -> None:
        for output in self.exchange.outputs():
            self._pass_on(output)

    def _pass_on(self, output: SimOutput) -> None:
        client = self._clients.get(output.conn)
        if client is None:
            # Accepted, but the handshake's answer is still on its way out.
            early = self._early.get(output.conn)
            if early is not None:
                early.append(output)
        elif isinstance(output, SimFrame):
            # Written at once and in order; a client that does not read is found by
            # the size of its buffer.
            broadcast((client,), output.frame)
        elif isinstance(output, SimPing):
            if client.state is State.OPEN:
                # As ``broadcast`` does with data: written at once and in order.
                client.protocol.send_ping(output.payload.encode())
                client.send_data()
        else:
            del self._clients[output.conn]
            self._end(client, output.code, output.reason)

    def _end(self, client: ServerConnection, code: int | None, reason: str) -> None:
        if code is None or self._group is None:
            client.transport.abort()
        else:
            self._group.start_soon(client.close, code, reason)

    def _check_clients(self) -> None:
        code, reason = self._overflow
        for conn, client in list(self._clients.items()):
            if client.transport.get_write_buffer_size() > self._max_buffer_bytes:
                del self._clients[conn]
                self.exchange.closed(conn, self.now_ns())
                self._end(client, code, reason)
        if self._half_open is not None:
            for conn in self._half_open.half_open():
                if conn in self._clients and conn not in self._paused:
                    self._paused.add(conn)
                    self._clients[conn].transport.pause_reading()
        for connection, conn in list(self._waiting.items()):
            # The client left between our answer and the first turn of its handler.
            if connection.state is State.CLOSED:
                del self._waiting[connection]
                del self._early[conn]
                self.exchange.closed(conn, self.now_ns())

    async def _pump(self) -> None:
        while True:
            now_ns = self.now_ns()
            self.exchange.advance(now_ns)
            self._distribute()
            self._check_clients()
            wake_ns = self.exchange.wake_at_ns()
            nap_s = _LONGEST_NAP_S
            if wake_ns is not None:
                nap_s = min(nap_s, (wake_ns - self.now_ns()) / 1e9)
            nap_s = max(self._granularity_s, nap_s)
            self._poke = anyio.Event()
            with anyio.move_on_after(nap_s):
                await self._poke.wait()


def _response(status: int, body: bytes, headers: Mapping[str, str]) -> Response:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = Headers(
        {
            **headers,
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
    )
    return Response(status, phrase, lines, body)
