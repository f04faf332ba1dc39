"""A wire that can be cut, and the faults that tear or mislead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline.errors import SocketClosed
from tapeline.hookspecs import SimClose, SimFrame
from tapeline.model import Dial, Request
from tapeline.testing import (
    START_NS,
    Fault,
    MemoryVenue,
    MemoryWire,
    VirtualClock,
    run_virtual,
)

URL = "wss://ws.plain.test/ws"
SECOND = 10**9
T0 = 10**18

BuildVenue = Callable[..., Any]


def test_nothing_passes_a_wire_that_was_cut(plain_venue: BuildVenue) -> None:
    async def main() -> None:
        clock = VirtualClock()
        exchange = plain_venue(start_ns=START_NS)
        async with MemoryVenue(exchange, clock, latency_s=0.05) as venue:
            wire, other = MemoryWire(venue, clock), MemoryWire(venue, clock)
            asked: list[str] = []
            wire.on_request = lambda request: asked.append(request.url)
            socket, kept = await wire.dial(Dial(URL)), await other.dial(Dial(URL))
            request = Request("GET", "https://plain.test/a")
            assert (await wire.send(request, 5.0)).status == 200
            answered = venue.requests
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wire.send, request, 5.0)
                await anyio.sleep(0.06)
                wire.cut()
                wire.cut()
                with pytest.raises(SocketClosed):
                    await socket.receive()
                with anyio.move_on_after(100) as scope:
                    await wire.dial(Dial(URL))
                assert scope.cancelled_caught
                tasks.cancel_scope.cancel()
            assert asked == [request.url] * 2
            assert venue.requests == answered + 1
            assert list(exchange.connections) == [2]
            assert await kept.receive() == "hello"

    run_virtual(main)


def test_answers_come_late_on_a_slow_wire(plain_venue: BuildVenue) -> None:
    async def main() -> float:
        clock = VirtualClock()
        async with MemoryVenue(plain_venue(start_ns=START_NS), clock) as venue:
            wire = MemoryWire(venue, clock)
            wire.delay_s = 7.0
            await wire.send(Request("GET", "https://plain.test/a"), 30.0)
            return clock.monotonic_ns() / 1e9

    assert 7.0 < run_virtual(main) < 7.1


def test_a_cut_connection_ends_within_its_bytes(plain_venue: BuildVenue) -> None:
    faults = [Fault(kind="cut", after_bytes=300, for_s=60)]
    lengths = set()
    for seed in range(8):
        venue = plain_venue(rate_hz=100, faults=faults, seed=seed)
        venue.open(1, "/", {}, T0)
        venue.advance(T0 + 30 * SECOND)
        sent = venue.outputs()
        frames = [one.frame for one in sent if isinstance(one, SimFrame)]
        lengths.add(sum(map(len, frames)))
        assert isinstance(sent[-1], SimClose)
        assert sent[-1].code is None
        assert venue.connections == {}

    assert max(lengths) < 300
    assert len(lengths) > 3


def test_asking_before_retry_after_has_passed_is_a_violation(
    plain_venue: BuildVenue,
) -> None:
    fault = Fault(kind="rest-status", status=429, retry_after_s=10, for_s=1)
    venue = plain_venue(faults=[fault])
    answer = venue.request("GET", "/a?x=1", {}, T0)
    venue.request("GET", "/b", {}, T0 + 2 * SECOND)
    venue.request("GET", "/a", {}, T0 + 10 * SECOND)

    assert (answer.status, answer.headers["retry-after"]) == (429, "10")
    assert venue.police.total == 0
    venue.request("GET", "/a", {}, T0 + 11 * SECOND)
    assert venue.police.total == 0
    answer = venue.request("GET", "/a", {}, T0 + 12 * SECOND)
    assert answer.status == 200

    venue = plain_venue(faults=[fault])
    venue.request("GET", "/a?x=1", {}, T0)
    venue.request("GET", "/a?x=2", {}, T0 + 5 * SECOND)
    assert venue.police.violations == {"retry-after": 1}
