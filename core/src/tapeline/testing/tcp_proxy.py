"""A loopback proxy that cuts, freezes and swallows what a driver relies on."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import anyio
import anyio.abc

_CHUNK = 65_536
_FAILURES = (
    OSError,
    anyio.EndOfStream,
    anyio.ClosedResourceError,
    anyio.BrokenResourceError,
)


class TcpProxy:
    """Stands between a client and a server on this machine; a context manager.

    Args:
        host, port: of the server; *host* may be the path of its socket file, with
            port 0.

    Attributes:
        port: where clients connect, on 127.0.0.1.
        refusing: while true, new connections are closed at once.
        connections: how many were accepted so far.
        cuts: how many were cut by ``cut`` and ``cut_reply_to``.
    """

    def __init__(self, host: str, port: int = 0) -> None:
        self.port = 0
        self.refusing = False
        self.connections = 0
        self.cuts = 0
        self._target = (host, port)
        self._pattern = b""
        self._times = 0
        self._thawed = anyio.Event()
        self._thawed.set()
        self._open: set[_Pair] = set()
        self._stack = AsyncExitStack()

    def cut(self) -> None:
        """End every open connection, on both sides, without a word."""
        for pair in list(self._open):
            self._end(pair)

    def freeze(self) -> None:
        """Forward nothing from now on; connections stay open and are accepted."""
        if self._thawed.is_set():
            self._thawed = anyio.Event()

    def thaw(self) -> None:
        """Forward again, also what came meanwhile."""
        self._thawed.set()

    def cut_reply_to(self, pattern: bytes, times: int = 1) -> None:
        """Let a client's *pattern* through, and cut instead of giving its answer.

        The server has done what it was asked, and the client cannot know. Both parts
        must be in one chunk of bytes, as drivers send them.

        Args:
            times: so many connections are cut, one after the other.
        """
        self._pattern = pattern
        self._times = times

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            listener = await anyio.create_tcp_listener(
                local_host="127.0.0.1", local_port=0
            )
            stack.push_async_callback(anyio.aclose_forcefully, listener)
            stack.push_async_callback(listener.aclose)
            self.port = listener.extra(anyio.abc.SocketAttribute.local_port)
            group = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(group.cancel_scope.cancel)
            group.start_soon(listener.serve, self._serve)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def _serve(self, client: anyio.abc.SocketStream) -> None:
        self.connections += 1
        if self.refusing:
            await anyio.aclose_forcefully(client)
            return
        try:
            server = await self._dial()
        except OSError:
            await anyio.aclose_forcefully(client)
            return
        pair = _Pair()
        self._open.add(pair)
        try:
            async with anyio.create_task_group() as tasks:
                pair.scope = tasks.cancel_scope
                tasks.start_soon(self._forward, client, server, pair)
                tasks.start_soon(self._return, server, client, pair)
        finally:
            self._open.discard(pair)
            # Shielded: whoever ends us must not leave one of them open.
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(client)
                await anyio.aclose_forcefully(server)

    async def _dial(self) -> anyio.abc.ByteStream:
        host, port = self._target
        if port:
            return await anyio.connect_tcp(host, port)
        return await anyio.connect_unix(host)

    async def _forward(
        self, client: anyio.abc.ByteStream, server: anyio.abc.ByteStream, pair: _Pair
    ) -> None:
        try:
            while True:
                chunk = await client.receive(_CHUNK)
                # For as long as the test keeps it frozen.
                await self._thawed.wait()
                if self._times and self._pattern and self._pattern in chunk:
                    self._times -= 1
                    pair.doomed = True
                await server.send(chunk)
        except _FAILURES:
            pair.scope.cancel()

    async def _return(
        self, server: anyio.abc.ByteStream, client: anyio.abc.ByteStream, pair: _Pair
    ) -> None:
        try:
            while True:
                chunk = await server.receive(_CHUNK)
                await self._thawed.wait()
                if pair.doomed:
                    self._end(pair)
                    return
                await client.send(chunk)
        except _FAILURES:
            pair.scope.cancel()

    def _end(self, pair: _Pair) -> None:
        self.cuts += 1
        self._open.discard(pair)
        pair.scope.cancel()


class _Pair:
    """One client's connection and ours to the server."""

    def __init__(self) -> None:
        self.doomed = False
        self.scope = anyio.CancelScope()
