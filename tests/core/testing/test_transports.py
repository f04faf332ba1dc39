"""Transports in memory, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline.errors import (
    HandshakeRefused,
    RequestFailed,
    SocketClosed,
    TransportError,
)
from tapeline.model import Dial, Request
from tapeline.seams import Dialer, Http, Socket
from tapeline.testing import (
    START_NS,
    Fault,
    MemoryNetwork,
    MemoryVenue,
    VirtualClock,
    run_virtual,
)

URL = "wss://ws.plain.test:8443/ws?x=1"

BuildVenue = Callable[..., Any]


async def _read_to_the_end(socket: Socket) -> None:
    while True:
        await socket.receive()


def test_frames_pass_both_ways_after_the_latency(plain_venue: BuildVenue) -> None:
    async def main() -> None:
        clock = VirtualClock()
        exchange = plain_venue(start_ns=START_NS)
        async with MemoryVenue(exchange, clock, latency_s=0.05) as venue:
            dialer: Dialer = venue.dialer
            socket: Socket = await dialer.dial(Dial(URL))
            assert exchange.connections[1].path == "/ws?x=1"
            assert await socket.receive() == "hello"
            before_ns = clock.monotonic_ns()
            await socket.send("a")
            await socket.send("b")
            assert [await socket.receive(), await socket.receive()] == [
                "echo a",
                "echo b",
            ]
            assert clock.monotonic_ns() - before_ns == 50_000_000
            await socket.ping()
            await socket.aclose()
            assert exchange.told == ["gone 1"]
            with pytest.raises(SocketClosed):
                await socket.receive()
            with pytest.raises(SocketClosed):
                await socket.send("c")

    run_virtual(main)


def test_the_pump_pushes_what_the_market_does(plain_venue: BuildVenue) -> None:
    async def main() -> None:
        exchange = plain_venue(rate_hz=20, start_ns=START_NS)
        async with MemoryVenue(exchange, VirtualClock()) as venue:
            socket = await venue.dialer.dial(Dial(URL))
            seen = [await socket.receive() for _ in range(200)]
        assert all(str(frame).startswith("AAA-BBB:") for frame in seen[1:])

    run_virtual(main)


def test_a_close_arrives_after_the_frames_before_it(plain_venue: BuildVenue) -> None:
    async def main() -> None:
        async with MemoryVenue(plain_venue(), VirtualClock()) as venue:
            socket = await venue.dialer.dial(Dial(URL))
            await socket.send("a")
            await socket.send("close")
            assert await socket.receive() == "hello"
            assert await socket.receive() == "echo a"
            with pytest.raises(SocketClosed) as caught:
                await socket.receive()
            assert (caught.value.code, caught.value.reason) == (4004, "as you wish")
            with pytest.raises(SocketClosed):
                await socket.send("more")

    run_virtual(main)


def test_a_torn_connection_has_no_close_code(plain_venue: BuildVenue) -> None:
    async def main() -> None:
        async with MemoryVenue(plain_venue(), VirtualClock()) as venue:
            socket = await venue.dialer.dial(Dial(URL))
            await socket.send("abort")
            with pytest.raises(SocketClosed) as caught:
                await socket.receive()
            assert caught.value.code is None

    run_virtual(main)


def test_a_half_open_connection_hangs_until_the_callers_deadline(
    plain_venue: BuildVenue,
) -> None:
    async def main() -> None:
        exchange = plain_venue(faults=[Fault(kind="half-open", at_s=1)])
        async with MemoryVenue(exchange, VirtualClock()) as venue:
            socket = await venue.dialer.dial(Dial(URL))
            await socket.receive()
            await anyio.sleep(5)
            for wait in (socket.receive, socket.ping):
                with anyio.move_on_after(10) as scope:
                    await wait()
                assert scope.cancelled_caught
            await socket.aclose()

    run_virtual(main)


def test_a_refused_handshake_carries_status_body_and_retry_after(
    plain_venue: BuildVenue,
) -> None:
    async def main() -> None:
        async with MemoryVenue(plain_venue(), VirtualClock()) as venue:
            with pytest.raises(HandshakeRefused) as caught:
                await venue.dialer.dial(Dial("wss://ws.plain.test/no"))
            error = caught.value
            assert (error.status, error.body, error.retry_after_s) == (403, "no", 7.0)

    run_virtual(main)


def test_requests_are_answered_one_round_trip_later(plain_venue: BuildVenue) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with MemoryVenue(plain_venue(), clock, latency_s=0.1) as venue:
            http: Http = venue.http
            request = Request("GET", "https://plain.test/a?b=c", {"X-Key": "k"})
            response = await http.send(request, 5)
            assert (response.status, response.body) == (200, b"GET /a?b=c k")
            assert response.headers["content-type"] == "text/plain"
            assert response.received_ns == clock.wall_ns() == START_NS + 200_000_000
            with pytest.raises(RequestFailed, match=r"within 0\.05 s"):
                await http.send(request, 0.05)
            await http.aclose()

    run_virtual(main)


def test_an_unreachable_venue_tears_and_refuses_and_its_market_goes_on(
    plain_venue: BuildVenue,
) -> None:
    async def main() -> None:
        exchange = plain_venue(rate_hz=50, start_ns=START_NS)
        async with MemoryVenue(exchange, VirtualClock()) as venue:
            socket = await venue.dialer.dial(Dial(URL))
            venue.set_reachable(False)
            before = exchange.emitted
            with pytest.raises(SocketClosed):
                await _read_to_the_end(socket)
            with pytest.raises(TransportError, match="refused"):
                await venue.dialer.dial(Dial(URL))
            with pytest.raises(RequestFailed, match="refused"):
                await venue.http.send(Request("GET", "https://plain.test/"), 5)
            await anyio.sleep(10)
            venue.set_reachable(True)
            await venue.dialer.dial(Dial(URL))
            assert exchange.emitted > before + 100

    run_virtual(main)


def test_a_step_of_the_clients_wall_is_not_the_venues(plain_venue: BuildVenue) -> None:
    async def main() -> None:
        clock = VirtualClock()
        exchange = plain_venue(rate_hz=50, start_ns=START_NS)
        async with MemoryVenue(exchange, clock) as venue:
            await anyio.sleep(5)
            clock.step_wall(-3_600 * 10**9)
            before = exchange.emitted
            await anyio.sleep(5)
            assert exchange.emitted > before + 100
            assert venue.now_ns() == START_NS + 10 * 10**9

    run_virtual(main)


def test_a_frame_larger_than_allowed_closes_the_socket(plain_venue: BuildVenue) -> None:
    async def main() -> None:
        async with MemoryVenue(plain_venue(), VirtualClock()) as venue:
            socket = await venue.dialer.dial(Dial(URL, max_bytes=10))
            await socket.receive()
            await socket.send("x" * 20)
            with pytest.raises(SocketClosed) as caught:
                await socket.receive()
            assert caught.value.code == 1009

    run_virtual(main)


def test_a_network_finds_venues_by_host(plain_venue: BuildVenue) -> None:
    async def main() -> None:
        clock = VirtualClock()
        one = MemoryVenue(plain_venue(), clock)
        two = MemoryVenue(plain_venue(), clock)
        hosts = {"ws.one.test": one, "api.one.test": one, "two.test:9443": two}
        async with MemoryNetwork(hosts) as network:
            await network.dialer.dial(Dial("wss://ws.one.test:8443/"))
            await network.dialer.dial(Dial("wss://two.test:9443/"))
            await network.http.send(Request("GET", "https://api.one.test/"), 5)
            assert (one.dials, two.dials, one.requests) == (1, 1, 1)
            with pytest.raises(TransportError, match=r"found 'three\.test'"):
                await network.dialer.dial(Dial("wss://three.test/"))
            with pytest.raises(RequestFailed, match=r"found 'two\.test'"):
                await network.http.send(Request("GET", "https://two.test/"), 5)

    run_virtual(main)


def test_leaving_a_venue_ends_its_sockets(plain_venue: BuildVenue) -> None:
    async def main() -> None:
        async with MemoryVenue(plain_venue(), VirtualClock()) as venue:
            socket = await venue.dialer.dial(Dial(URL))
        with pytest.raises(SocketClosed):
            await _read_to_the_end(socket)

    run_virtual(main)
