"""One connection to Redis that is whole or gone: never half a reply behind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import TimeoutError as RedisTimeout

Argument = bytes | str | int
Command = Sequence[Argument]

_GRACE_S = 1.0


def connection_options(url: str) -> dict[str, Any]:
    """What *url* says, as the driver's options.

    Raises:
        ValueError: it is no address of Redis; the sentence holds no secret.
    """
    try:
        scheme = urlsplit(url).scheme
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError:
        scheme = ""
    if scheme not in ("redis", "rediss", "unix"):
        raise ValueError(
            "expected an address like redis://host:6379/0, rediss://… or unix:///path, "
            "found another text; correct it"
        )
    return options


def address_of(url: str) -> str:
    """*url* without user and password, for sentences."""
    options = connection_options(url)
    if "path" in options:
        return str(options["path"])
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    return f"{host}:{port}/{options.get('db', 0)}"


class Line:
    """Calls one after the other over one connection, which is made when needed.

    The driver is used below its client: no pool and no retry of its own. A call that
    fails or is given up takes its connection along, so that no later call can read
    its reply.

    Args:
        timeout_s: for connecting, and for each call as a whole.
    """

    def __init__(self, url: str, timeout_s: float, name: str) -> None:
        options = connection_options(url)
        kind = options.pop("connection_class", Connection)
        # Ours win over what the address asks for.
        for key in ("retry", "retry_on_timeout", "retry_on_error", "protocol"):
            options.pop(key, None)
        self._kind: type[AbstractConnection] = kind
        self._options: Mapping[str, Any] = {
            **options,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "health_check_interval": 0,
            "client_name": f"tapeline-{name}",
            "protocol": 2,
        }
        self._timeout_s = timeout_s
        self._connection: AbstractConnection | None = None
        self._transport: asyncio.WriteTransport | None = None

    async def call(self, *commands: Command) -> list[Any]:
        """Send *commands* at once and read a reply to each.

        Returns:
            The replies in order; an error reply raises, and all of them are lost.

        Raises:
            redis.exceptions.RedisError: no connection, no reply, an error reply.
            OSError: the same, from the system.
        """
        # The driver leaves a reply unread when it is cancelled: it runs in a task of
        # its own that nobody cancels, and ends when its connection does.
        task = asyncio.ensure_future(self._exchange(commands))
        try:
            done, _ = await asyncio.wait({task}, timeout=2 * self._timeout_s)
        finally:
            if not task.done():
                await self._end(task)
        if not done:
            raise RedisTimeout("no answer in time")
        return task.result()

    async def close(self) -> None:
        """Drop the connection; safe twice."""
        if self._connection is not None:
            await self._discard(self._connection)

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._kind(**self._options)
            self._transport = None
        try:
            if not connection.is_connected:
                await connection.connect()  # type: ignore[no-untyped-call]
                self._transport = _transport(connection)
            packed = connection.pack_commands(commands)
            await connection.send_packed_command(packed, check_health=False)
            return [await connection.read_response() for _ in commands]
        except BaseException:
            await self._discard(connection)
            raise

    async def _end(self, task: asyncio.Task[list[Any]]) -> None:
        """Take the connection away from a call, and wait until it noticed."""
        if self._transport is not None:
            self._transport.abort()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({task}, timeout=self._timeout_s + _GRACE_S)
            if not task.done():
                # It was still dialing, with a deadline that did not hold.
                task.cancel()
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()

    async def _discard(self, connection: AbstractConnection) -> None:
        if self._connection is connection:
            self._connection = None
        transport, self._transport = self._transport, None
        # Closing politely waits until everything is written, which a server that
        # stands still never lets happen.
        if transport is not None:
            transport.abort()
        with anyio.CancelScope(shield=True):  # nothing is waited for any more
            await connection.disconnect(nowait=True)
            await anyio.lowlevel.checkpoint()


def _transport(connection: AbstractConnection) -> asyncio.WriteTransport | None:
    """What the driver writes to; it has no way of its own to abort."""
    writer = getattr(connection, "_writer", None)
    return None if writer is None else writer.transport
