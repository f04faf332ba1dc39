"""The real drivers against real servers on the loopback interface."""

from __future__ import annotations

import http
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as WireRequest
from websockets.http11 import Response as WireResponse

from tapeline.clock import SystemClock
from tapeline.errors import (
    HandshakeRefused,
    RequestFailed,
    SocketClosed,
    TransportError,
)
from tapeline.model import Dial, Request
from tapeline.seams import Socket
from tapeline.transport import HttpxClient, WebsocketsDialer

pytestmark = pytest.mark.anyio

Handler = Callable[[ServerConnection], Awaitable[None]]


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def server(handler: Handler = echo, **options: object) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, **options) as running:  # type: ignore[arg-type]
        port = running.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws"


@asynccontextmanager
async def opened(dial: Dial) -> AsyncIterator[Socket]:
    socket = await WebsocketsDialer(None).dial(dial)
    try:
        yield socket
    finally:
        await socket.aclose()


@pytest.mark.parametrize("compression", [False, True])
async def test_frames_come_back_as_bytes(compression: bool) -> None:
    async with server() as url, opened(Dial(url, compression=compression)) as socket:
        await socket.send("hello")
        assert await socket.receive() == b"hello"
        await socket.ping()


async def test_headers_reach_the_venue() -> None:
    seen: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request.headers["x-key"])

    async with server(handler) as url, opened(Dial(url, {"x-key": "1"})) as socket:
        with pytest.raises(SocketClosed):
            await socket.receive()
    assert seen == ["1"]


async def test_the_end_tells_code_and_reason() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.close(4004, "no data received in 30s")

    async with server(handler) as url, opened(Dial(url)) as socket:
        with pytest.raises(SocketClosed) as caught:
            await socket.receive()
        assert (caught.value.code, caught.value.reason) == (
            4004,
            "no data received in 30s",
        )
        with pytest.raises(SocketClosed):
            await socket.send("x")
        with pytest.raises(SocketClosed):
            await socket.ping()


async def test_an_abort_has_no_code() -> None:
    async def handler(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with server(handler) as url, opened(Dial(url)) as socket:
        with pytest.raises(SocketClosed) as caught:
            await socket.receive()
        assert caught.value.code is None


async def test_a_frame_above_the_bound_ends_the_socket_with_1009() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("x" * 2000)
        await connection.wait_closed()

    async with server(handler) as url, opened(Dial(url, max_bytes=1000)) as socket:
        with pytest.raises(SocketClosed) as caught:
            await socket.receive()
        assert caught.value.code == 1009


@pytest.mark.parametrize("status", [401, 403, 429, 451, 503])
async def test_a_refused_handshake_tells_status_body_and_wait(status: int) -> None:
    def refuse(_: ServerConnection, __: WireRequest) -> WireResponse:
        headers = Headers({"Retry-After": "7"})
        phrase = http.HTTPStatus(status).phrase
        return WireResponse(status, phrase, headers, b"<html>no</html>")

    async with server(process_request=refuse) as url:
        with pytest.raises(HandshakeRefused) as caught:
            await WebsocketsDialer(None).dial(Dial(url))
    error = caught.value
    assert (error.status, error.body, error.retry_after_s) == (
        status,
        "<html>no</html>",
        7.0,
    )


async def test_redirects_are_not_followed() -> None:
    visits: list[str] = []

    async with server() as other:

        def elsewhere(_: ServerConnection, request: WireRequest) -> WireResponse:
            visits.append(request.path)
            return WireResponse(302, "Found", Headers({"Location": other}))

        async with server(process_request=elsewhere) as url:
            with pytest.raises(HandshakeRefused) as caught:
                await WebsocketsDialer(None).dial(Dial(url))
    assert caught.value.status == 302
    assert len(visits) == 1


async def test_nobody_there_is_a_sentence_without_secrets() -> None:
    async with server() as url:
        pass
    with pytest.raises(TransportError, match="to open, found") as caught:
        await WebsocketsDialer(None).dial(Dial(url + "?token=s3cret"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://x", "ws://", "nonsense", "ws://a b/"])
async def test_a_bad_address_is_a_transport_error(url: str) -> None:
    with pytest.raises(TransportError):
        await WebsocketsDialer(None).dial(Dial(url))


async def test_a_handshake_without_answer_ends_in_time() -> None:
    async def silent(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep(5)

    async with tcp_server(silent) as port:
        dial = Dial(f"ws://127.0.0.1:{port}/", open_timeout_s=0.2)
        with pytest.raises(TransportError, match=r"within 0\.2 s"):
            await WebsocketsDialer(None).dial(dial)


async def test_closing_is_bounded_when_the_peer_does_not_answer() -> None:
    async def flood(connection: ServerConnection) -> None:
        try:
            while True:
                await connection.send("x" * 10_000)
        except ConnectionClosed:
            return

    async with server(flood, close_timeout=0.1) as url:
        dialer = WebsocketsDialer(None, close_timeout_s=0.3)
        socket = await dialer.dial(Dial(url))
        await anyio.sleep(0.3)
        started = time.monotonic()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await socket.aclose()
        assert time.monotonic() - started < 3


async def test_handshake_headers_are_never_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with server() as url, opened(Dial(url, {"x-key": "s3cret"})) as socket:
            await socket.send("hello")
    assert all(
        "s3cret" not in record.getMessage()
        for record in caplog.records
        if "server" not in record.name
    )


@asynccontextmanager
async def tcp_server(
    handler: Callable[[anyio.abc.SocketStream], Awaitable[None]],
) -> AsyncIterator[int]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handler)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


def answering(
    answer: bytes,
) -> Callable[[anyio.abc.SocketStream], Awaitable[None]]:
    async def handler(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            received = b""
            while b"\r\n\r\n" not in received:
                received += await stream.receive()
            await stream.send(answer)

    return handler


@asynccontextmanager
async def client() -> AsyncIterator[HttpxClient]:
    one = HttpxClient(SystemClock(), trust_env=False)
    try:
        yield one
    finally:
        await one.aclose()
        await one.aclose()


async def test_an_answer_has_status_lower_case_headers_and_body() -> None:
    wire = b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\n{}"
    async with tcp_server(answering(wire)) as port, client() as http_client:
        request = Request("GET", f"http://127.0.0.1:{port}/x?y=1")
        response = await http_client.send(request, 5.0)
    assert (response.status, response.body) == (429, b"{}")
    assert response.headers["retry-after"] == "3"
    assert response.request is request
    assert response.received_ns > 0


async def test_a_redirected_request_stays_where_it_is() -> None:
    wire = b"HTTP/1.1 302 Found\r\nLocation: http://other.test/\r\n\r\n"
    async with tcp_server(answering(wire)) as port, client() as http_client:
        response = await http_client.send(
            Request("GET", f"http://127.0.0.1:{port}/"), 5
        )
    assert response.status == 302


async def test_a_late_answer_is_a_failed_request() -> None:
    async def silent(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep(5)

    async with tcp_server(silent) as port, client() as http_client:
        request = Request("GET", f"http://127.0.0.1:{port}/x?signature=s3cret")
        with pytest.raises(RequestFailed, match=r"within 0\.2 s") as caught:
            await http_client.send(request, 0.2)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "wire", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b""]
)
async def test_a_broken_answer_is_a_failed_request(wire: bytes) -> None:
    async with tcp_server(answering(wire or b" ")) as port, client() as http_client:
        with pytest.raises(RequestFailed):
            await http_client.send(Request("GET", f"http://127.0.0.1:{port}/"), 5)


async def test_addresses_that_cannot_be_are_failed_requests() -> None:
    async with client() as http_client:
        for url in ("nonsense", "http://[::1", "ftp://h.test/"):
            with pytest.raises(RequestFailed):
                await http_client.send(Request("GET", url), 1.0)


async def test_signatures_in_queries_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with tcp_server(answering(wire)) as port, client() as http_client:
        with caplog.at_level(logging.DEBUG):
            request = Request("GET", f"http://127.0.0.1:{port}/x?signature=s3cret")
            await http_client.send(request, 5.0)
    assert "HTTP Request" in caplog.text
    assert "s3cret" not in caplog.text
