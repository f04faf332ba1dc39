"""Ping and pong frames between simulators and clients, in memory and for real."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import connect

from tapeline.hookspecs import SimPing
from tapeline.model import Dial
from tapeline.testing import (
    HearsPings,
    HearsPongs,
    LoopbackServer,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)

Build = Callable[..., Any]


def _ping_all(venue: SimulatorBase, payload: str) -> Callable[[int], None]:
    def ping(now_ns: int) -> None:
        for connection in venue.connections.values():
            venue.ping(connection, payload)

    return ping


def test_every_simulator_may_hear_control_frames(plain_venue: Build) -> None:
    venue = plain_venue()

    assert isinstance(venue, HearsPings)
    assert isinstance(venue, HearsPongs)
    # Those of connections that are not there are ignored.
    venue.pong(9, "x", 10**18)
    venue.pinged(9, 10**18)


def test_a_half_open_connection_is_neither_pinged_nor_heard(
    plain_venue: Build,
) -> None:
    venue = plain_venue()
    assert venue.open(1, "/", {}, 10**18) is None
    connection = venue.connections[1]
    venue.outputs()
    venue.ping(connection, "a")
    assert venue.outputs() == [SimPing(1, "a")]

    connection.silent = True
    venue.ping(connection, "b")
    venue.pong(1, "a", 10**18)
    venue.pinged(1, 10**18)

    assert venue.outputs() == []
    assert venue.heard == []


def test_a_socket_in_memory_answers_at_once_until_it_is_half_open(
    plain_venue: Build,
) -> None:
    async def main() -> list[str]:
        clock = VirtualClock()
        venue = plain_venue(start_ns=clock.wall_ns())
        async with MemoryVenue(venue, clock) as memory:
            socket = await memory.dial(Dial("ws://plain.test/"))
            venue.timers.at(memory.now_ns() + 10**9, _ping_all(venue, "one"))
            await clock.sleep(2)
            await socket.ping()
            venue.connections[1].silent = True
            venue.timers.at(memory.now_ns() + 10**9, _ping_all(venue, "two"))
            await clock.sleep(2)
            return list(venue.heard)

    assert run_virtual(main) == ["pong one", "ping"]


def test_what_opening_schedules_comes_in_time(plain_venue: Build) -> None:
    """The pump sleeps long before a client comes; it must not oversleep."""

    async def main() -> tuple[float, list[str]]:
        clock = VirtualClock()
        venue = plain_venue(start_ns=clock.wall_ns())
        ping = _ping_all(venue, "now")
        times: list[int] = []
        async with MemoryVenue(venue, clock) as memory:
            await clock.sleep(5)
            started_ns = memory.now_ns()

            def tell(now_ns: int) -> None:
                times.append(memory.now_ns() - started_ns)
                ping(now_ns)

            venue.timers.at(started_ns + 10**9, tell)
            await memory.dial(Dial("ws://plain.test/"))
            await clock.sleep(5)
            return times[0] / 1e9, list(venue.heard)

    late_s, heard = run_virtual(main)
    assert late_s == pytest.approx(1.0, abs=0.05)
    assert heard == ["pong now"]


@pytest.mark.anyio
async def test_real_control_frames_are_heard_with_their_payload(
    plain_venue: Build,
) -> None:
    venue = plain_venue()
    async with (
        LoopbackServer(venue) as server,
        connect(f"{server.ws_base}/", ping_interval=None) as socket,
    ):
        assert await socket.recv() == "hello"
        venue.timers.at(server.now_ns(), _ping_all(venue, "1767225600000"))
        await socket.pong(b"unasked")
        await socket.send("wake")
        assert await socket.recv() == "echo wake"
        await (await socket.ping())
        with anyio.move_on_after(5):
            while len(venue.heard) < 3:
                await socket.send("turn")
                await socket.recv()

        assert sorted(venue.heard) == ["ping", "pong 1767225600000", "pong unasked"]
