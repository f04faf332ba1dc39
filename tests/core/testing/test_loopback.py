"""The loopback server, met by real clients."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tapeline.errors import UsageError
from tapeline.testing import Fault, LoopbackServer

pytestmark = pytest.mark.anyio

BuildVenue = Callable[..., Any]


async def _until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - a simulator has no event for tests
            await anyio.sleep(0.01)


async def _read_to_the_end(client: ClientConnection) -> None:
    while True:
        await client.recv()


async def test_websockets_and_rest_share_one_port(plain_venue: BuildVenue) -> None:
    exchange = plain_venue()
    async with LoopbackServer(exchange) as server:
        async with connect(f"{server.ws_base}/ws?x=1", proxy=None) as client:
            assert await client.recv() == "hello"
            await client.send("a")
            assert await client.recv() == "echo a"
            assert exchange.connections[1].path == "/ws?x=1"
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(
                f"{server.rest_base}/a?b=c%20d", headers={"X-Key": "k"}
            )
        assert (answer.status_code, answer.text) == (200, "GET /a?b=c%20d k")
        assert answer.headers["content-type"] == "text/plain"
        await _until(lambda: not exchange.connections)


async def test_a_refused_handshake_is_an_http_status(plain_venue: BuildVenue) -> None:
    async with LoopbackServer(plain_venue()) as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{server.ws_base}/no", proxy=None)
        assert caught.value.response.status_code == 403
        assert caught.value.response.body == b"no"
        assert caught.value.response.headers["Retry-After"] == "7"


async def test_closes_carry_their_code_and_aborts_have_none(
    plain_venue: BuildVenue,
) -> None:
    async with LoopbackServer(plain_venue()) as server:
        async with connect(server.ws_base, proxy=None) as client:
            await client.send("close")
            with pytest.raises(ConnectionClosed) as caught:
                await _read_to_the_end(client)
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (
                4004,
                "as you wish",
            )
        async with connect(server.ws_base, proxy=None) as client:
            await client.send("abort")
            with pytest.raises(ConnectionClosed) as caught:
                await _read_to_the_end(client)
            assert caught.value.rcvd is None


async def test_a_half_open_connection_does_not_even_answer_protocol_pings(
    plain_venue: BuildVenue,
) -> None:
    exchange = plain_venue(faults=[Fault(kind="half-open", at_s=0.2)])
    async with LoopbackServer(exchange) as server:
        client = await connect(server.ws_base, proxy=None, close_timeout=0.2)
        pong = await client.ping()
        with anyio.fail_after(10):
            await pong
        await _until(exchange.half_open)
        await anyio.sleep(0.1)
        pong = await client.ping()
        with anyio.move_on_after(0.5) as scope:
            await pong
        assert scope.cancelled_caught
        await client.close()


async def test_a_port_in_use_is_named_with_what_to_do(plain_venue: BuildVenue) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} .*choose another port"):
            async with LoopbackServer(plain_venue(), port=port):
                pass


async def test_garbage_on_the_port_hurts_nobody(plain_venue: BuildVenue) -> None:
    async with LoopbackServer(plain_venue()) as server:
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        await stream.send(b"\x00\xff nonsense\r\n\r\n")
        await stream.aclose()
        async with connect(server.ws_base, proxy=None) as client:
            with anyio.fail_after(10):
                assert await client.recv() == "hello"


async def test_large_answers_arrive_whole(plain_venue: BuildVenue) -> None:
    body = "x" * 3_000_000
    exchange = plain_venue(faults=[Fault(kind="rest-status", status=200, body=body)])
    async with (
        LoopbackServer(exchange) as server,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        answer = await http.get(f"{server.rest_base}/")
        assert len(answer.content) == len(body)


async def test_a_slow_client_is_closed(plain_venue: BuildVenue) -> None:
    exchange = plain_venue(
        faults=[Fault(kind="malformed", at_s=0.3, body="y" * 9_000_000)]
    )
    overflow = (4005, "buffer is full")
    async with LoopbackServer(
        exchange, max_buffer_bytes=100_000, overflow=overflow
    ) as server:
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        await stream.send(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await _until(lambda: exchange.connections)
        await _until(lambda: not exchange.connections)
        await stream.aclose()


async def test_stopping_the_server_closes_its_clients(plain_venue: BuildVenue) -> None:
    async with LoopbackServer(plain_venue()) as server:
        client = await connect(server.ws_base, proxy=None)
    with pytest.raises(ConnectionClosed) as caught:
        await _read_to_the_end(client)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001
