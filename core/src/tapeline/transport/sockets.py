"""WebSockets over the ``websockets`` client."""

from __future__ import annotations

import logging
import ssl
from typing import Any, Literal, cast

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from tapeline.errors import HandshakeRefused, SocketClosed, TransportError
from tapeline.model import Dial
from tapeline.seams import Socket
from tapeline.transport.addresses import shown_url
from tapeline.transport.retry_after import read_retry_after_s

MAX_QUEUE = 1024
_BODY_CHARS = 200

# The driver logs handshake headers, and so keys, at DEBUG: never let it.
_logger = logging.getLogger("tapeline.transport.websockets")
_logger.setLevel(logging.INFO)


class _Connect(connect):
    """``connect`` that follows no redirects: headers never reach another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Give the answer back as the error that it is."""
        return exc


class WebsocketsSocket:
    """``seams.Socket`` over one open connection."""

    __slots__ = ("_close_timeout_s", "_connection", "_receive")

    def __init__(self, connection: ClientConnection, close_timeout_s: float) -> None:
        self._connection = connection
        self._receive = connection.recv
        self._close_timeout_s = close_timeout_s

    async def receive(self) -> str | bytes:
        """The next data frame, as bytes.

        Raises:
            SocketClosed: it ended, on either side.
        """
        # hot path
        try:
            return await self._receive(decode=False)
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def send(self, frame: str) -> None:
        """Write a text frame.

        Raises:
            SocketClosed: it ended.
        """
        try:
            await self._connection.send(frame)
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def ping(self) -> None:
        """Write a protocol ping and wait for its pong; the caller sets a deadline.

        Raises:
            SocketClosed: it ended.
        """
        try:
            await (await self._connection.ping())
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close with a handshake, and tear the connection down if that takes long."""
        try:
            # Shielded but bounded: a cancelled owner still leaves no socket behind.
            with anyio.move_on_after(self._close_timeout_s, shield=True):
                await self._connection.close(code, reason)
        finally:
            self._connection.transport.abort()


class WebsocketsDialer:
    """``seams.Dialer`` over the ``websockets`` client.

    Args:
        proxy: address of a proxy; True uses the environment's, None uses none.
        ssl_context: for ``wss``; None verifies against the system's authorities.
        close_timeout_s: bound of a closing handshake.
    """

    def __init__(
        self,
        proxy: str | Literal[True] | None = True,
        *,
        ssl_context: ssl.SSLContext | None = None,
        close_timeout_s: float = 1.0,
    ) -> None:
        self._proxy = proxy
        self._ssl_context = ssl_context
        self._close_timeout_s = close_timeout_s

    async def dial(self, dial: Dial) -> Socket:
        """Open a socket.

        Raises:
            HandshakeRefused: the venue answered with an HTTP status.
            TransportError: name resolution, TCP, TLS, proxy or time-out.
        """
        shown = shown_url(dial.url)
        # True is the driver's own default; a context is refused on plain ws://.
        secure = dial.url.startswith("wss:")
        tls = {"ssl": self._ssl_context or True} if secure else {}
        try:
            connection = await _Connect(
                dial.url,
                additional_headers=dict(dial.headers),
                compression="deflate" if dial.compression else None,
                proxy=self._proxy,
                open_timeout=dial.open_timeout_s,
                ping_interval=None,
                close_timeout=self._close_timeout_s,
                max_size=dial.max_bytes,
                max_queue=MAX_QUEUE,
                logger=_logger,
                **cast(Any, tls),
            )
        except InvalidStatus as error:
            answer = error.response
            headers = {name.lower(): text for name, text in answer.headers.raw_items()}
            body = (answer.body or b"")[:_BODY_CHARS].decode("utf-8", "replace")
            raise HandshakeRefused(
                answer.status_code, body, read_retry_after_s(headers)
            ) from error
        except TimeoutError as error:
            raise TransportError(
                f"expected {shown} to open within {dial.open_timeout_s:g} s, "
                "found no answer"
            ) from error
        except ImportError as error:
            raise TransportError(
                "expected python-socks for a SOCKS proxy, found it missing; "
                "install it with 'pip install python-socks'"
            ) from error
        except (WebSocketException, OSError, EOFError, ValueError) as error:
            text = str(error).replace(dial.url, shown)
            raise TransportError(
                f"expected {shown} to open, found {type(error).__name__}"
                f"{': ' if text else ''}{text[:200]}"
            ) from error
        return WebsocketsSocket(connection, self._close_timeout_s)


def _closed(error: ConnectionClosed) -> SocketClosed:
    """The peer's close frame, or ours when it sent none."""
    frame = error.rcvd or error.sent
    if frame is None:
        return SocketClosed(None, "")
    return SocketClosed(frame.code, frame.reason)
