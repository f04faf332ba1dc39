"""The loopback proxy cuts, freezes and swallows exactly what it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import anyio.abc
import pytest

from tapeline.testing import TcpProxy

pytestmark = pytest.mark.anyio
GONE = (anyio.EndOfStream, anyio.BrokenResourceError)


class Echo:
    """A server that answers each chunk with itself, and remembers it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard: list[bytes] = []

    async def answer(self, client: anyio.abc.SocketStream) -> None:
        """Until the client ends."""
        async with client:
            try:
                while True:
                    chunk = await client.receive()
                    self.heard.append(chunk)
                    await client.send(chunk)
            except GONE:
                return


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """A running server."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    server = Echo(listener.extra(anyio.abc.SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.answer)
        yield server
        tasks.cancel_scope.cancel()


async def ask(stream: anyio.abc.SocketStream, text: bytes) -> bytes:
    """Send, and read one answer."""
    with anyio.fail_after(20):
        await stream.send(text)
        return await stream.receive()


async def test_what_is_sent_arrives_and_comes_back(echo: Echo) -> None:
    async with (
        TcpProxy("127.0.0.1", echo.port) as proxy,
        await anyio.connect_tcp("127.0.0.1", proxy.port) as stream,
    ):
        assert await ask(stream, b"one") == b"one"
        assert (proxy.connections, proxy.cuts) == (1, 0)


async def test_a_cut_ends_open_connections_and_not_new_ones(echo: Echo) -> None:
    async with TcpProxy("127.0.0.1", echo.port) as proxy:
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            await ask(stream, b"one")
            proxy.cut()
            with pytest.raises(GONE):
                await ask(stream, b"two")
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert await ask(stream, b"three") == b"three"
        assert proxy.cuts == 1


async def test_the_server_hears_what_it_is_not_let_answer(echo: Echo) -> None:
    async with TcpProxy("127.0.0.1", echo.port) as proxy:
        proxy.cut_reply_to(b"COMMIT")
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert await ask(stream, b"INSERT") == b"INSERT"
            with pytest.raises(GONE):
                await ask(stream, b"x COMMIT y")
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert await ask(stream, b"COMMIT") == b"COMMIT"
        assert echo.heard == [b"INSERT", b"x COMMIT y", b"COMMIT"]


async def test_frozen_it_takes_everything_and_gives_it_when_thawed(echo: Echo) -> None:
    async with (
        TcpProxy("127.0.0.1", echo.port) as proxy,
        await anyio.connect_tcp("127.0.0.1", proxy.port) as stream,
    ):
        await ask(stream, b"one")
        proxy.freeze()
        await stream.send(b"two")
        with anyio.move_on_after(0.1) as scope:
            await stream.receive()
        assert scope.cancelled_caught
        assert echo.heard == [b"one"]
        proxy.thaw()
        with anyio.fail_after(20):
            assert await stream.receive() == b"two"


async def test_refusing_it_closes_who_connects(echo: Echo) -> None:
    async with TcpProxy("127.0.0.1", echo.port) as proxy:
        proxy.refusing = True
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            with anyio.fail_after(20), pytest.raises(GONE):
                await stream.receive()
        assert echo.heard == []


async def test_without_a_server_clients_are_closed(echo: Echo) -> None:
    async with (
        TcpProxy("/nowhere/at/all.sock") as proxy,
        await anyio.connect_tcp("127.0.0.1", proxy.port) as stream,
    ):
        with anyio.fail_after(20), pytest.raises(GONE):
            await stream.receive()
