"""Keepalive, half-open sockets, refused handshakes, back-off, rotation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline.errors import HandshakeRefused, RequestFailed, TransportError
from tapeline.model import Budget, Keepalive

World = Any
RunWorld = Callable[..., None]


def test_a_silent_socket_gets_text_pings_and_lives(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", settle_s=120):
            pings = [
                at / 1e9 for at, text in world.venue.sockets[0].sent if text == "ping"
            ]
            assert len(pings) == 7
            assert world.marks("A") == ["opened", "trade"]
            assert len(world.venue.sockets) == 1

    run_world(scenario)


def test_a_busy_socket_needs_no_pings(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            for _ in range(60):
                world.venue.trade("A")
                await anyio.sleep(1)
            assert "ping" not in [text for _, text in world.venue.sockets[0].sent]

    run_world(scenario)


@pytest.mark.parametrize("text", ["ping", None], ids=["text", "protocol"])
def test_a_half_open_socket_is_noticed_and_replaced(
    run_world: RunWorld, tiny_config: Any, text: str | None
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", settle_s=1):
            world.rules.dead = True
            await anyio.sleep(24)
            assert world.venue.sockets[0].open
            await anyio.sleep(2)
            assert not world.venue.sockets[0].open
            world.rules.dead = False
            await anyio.sleep(10)
            assert world.states() == {"A": "live"}
            assert world.marks("A")[2:] == ["lost disconnect", "opened", "trade"]

    run_world(scenario, config=tiny_config(keepalive=Keepalive(15.0, 10.0, text)))


def test_protocol_pings_keep_a_silent_socket(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", settle_s=100):
            assert len(world.venue.sockets[0].pings) == 6
            assert len(world.venue.sockets) == 1

    run_world(scenario, config=tiny_config(keepalive=Keepalive(15.0, 10.0, None)))


@pytest.mark.parametrize("status", [401, 451])
def test_a_final_handshake_status_fails_and_says_why(
    run_world: RunWorld, status: int
) -> None:
    async def scenario(world: World) -> None:
        world.rules.dial_errors.append(HandshakeRefused(status, "go away", None))
        async with world.running("A", settle_s=3600):
            assert len(world.venue.dialed_ns) == 1
            shown = world.link.status()
            assert shown.state == "failed"
            assert shown.failed == (
                f"expected a WebSocket handshake, found HTTP {status}"
            )
            assert world.changes[-1].kind == "failed"

    run_world(scenario)


@pytest.mark.parametrize(
    ("status", "after_s", "least_s"),
    [(403, None, 60.0), (403, 300.0, 300.0), (429, 42.0, 42.0), (503, None, 5.0)],
)
def test_other_handshake_statuses_wait_long_enough(
    run_world: RunWorld, status: int, after_s: float | None, least_s: float
) -> None:
    async def scenario(world: World) -> None:
        world.rules.dial_errors.append(HandshakeRefused(status, "", after_s))
        async with world.running("A", settle_s=700):
            first, second = world.venue.dialed_ns
            assert (second - first) / 1e9 >= least_s
            assert world.states() == {"A": "live"}

    run_world(scenario)


def test_transport_is_tried_for_ever_and_at_the_slowest_rate(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        world.rules.dial_errors.extend(TransportError("no way") for _ in range(10_000))
        async with world.running("A", settle_s=2 * 3600):
            dials = world.venue.dialed_ns
            assert 120 <= len(dials) <= 400
            assert max(b - a for a, b in itertools.pairwise(dials)) <= 60e9
            status = world.link.status()
            assert status.attempts_in_a_row == len(dials)
            assert status.last_error == "no way"
            assert world.states() == {"A": "disconnected"}
            world.rules.dial_errors.clear()
            await anyio.sleep(61)
            assert world.states() == {"A": "live"}
            assert world.link.status().attempts_in_a_row == 0

    run_world(scenario)


def test_an_accepted_socket_alone_does_not_reset_the_back_off(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        world.rules.closes_at_once = True
        async with world.running("A", settle_s=3600):
            assert len(world.venue.sockets) < 250

    run_world(scenario)


def test_a_minute_of_data_resets_the_back_off(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.rules.dial_errors.extend(TransportError("no way") for _ in range(12))
        async with world.running("A"):
            (line,) = next(iter(world.link._bundles.values())).lines
            for _ in range(900):
                if world.states() == {"A": "live"}:
                    break
                await anyio.sleep(1)
            assert line._backoff.attempts == 12
            for _ in range(58):
                world.venue.trade("A")
                await anyio.sleep(1)
            assert line._backoff.attempts == 12
            world.venue.trade("A")
            await anyio.sleep(4)
            world.venue.trade("A")
            await anyio.sleep(11)
            assert line._backoff.attempts == 0

    run_world(scenario)


def test_a_fatal_close_code_is_final(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            world.venue.open_sockets[0].end(4001, "login failed")
            await anyio.sleep(600)
            assert len(world.venue.sockets) == 1
            assert world.link.status().failed == (
                "socket closed, close code 4001: login failed"
            )

    run_world(scenario)


def test_rotation_overlaps_and_loses_nothing(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            old = world.venue.open_sockets[0]
            world.rules.dial_takes_s = 2.0
            world.rules.mute = True
            old.push('{"closing": 60}')
            for _ in range(5):
                world.venue.trade("A")
                await anyio.sleep(1)
            assert len(world.venue.open_sockets) == 2
            assert world.states() == {"A": "live", "B": "live"}
            world.venue.trade("B")
            await anyio.sleep(1)
            assert old.closed_ns is not None
            assert len(world.venue.open_sockets) == 1
            for _ in range(5):
                world.venue.trade("A")
                await anyio.sleep(1)
            ids = set(world.ids("A")) | set(world.ids("B"))
            assert ids == set(range(1, world.venue.next_id))
            marks = world.marks("B")
            assert marks.index("lost rotation") > marks.index("opened", 1)
            assert world.link.status().sockets[0].counters["rotations"] == 1

    run_world(scenario)


def test_a_silent_replacement_takes_over_after_the_overlap(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            old = world.venue.open_sockets[0]
            world.rules.first_data = False
            old.push('{"closing": 60}')
            await anyio.sleep(9)
            assert old.open
            await anyio.sleep(3)
            assert not old.open
            assert world.venue.active == {"A"}

    run_world(scenario)


def test_a_replacement_that_cannot_be_had_leaves_the_old_socket(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            old = world.venue.open_sockets[0]
            world.rules.dial_errors.extend(TransportError("no") for _ in range(3))
            old.push('{"closing": 600}')
            await anyio.sleep(60)
            assert not old.open
            assert world.states() == {"A": "live"}
            assert world.marks("A").count("lost rotation") == 1

    run_world(scenario)


def test_the_old_socket_may_die_during_the_overlap(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            old = world.venue.open_sockets[0]
            world.rules.first_data = False
            old.push('{"closing": 60}')
            await anyio.sleep(3)
            old.end(None)
            await anyio.sleep(1)
            assert len(world.venue.open_sockets) == 1
            assert world.states() == {"A": "acked"}
            world.venue.trade("A")
            await anyio.sleep(1)
            assert world.states() == {"A": "live"}

    run_world(scenario)


def test_a_socket_is_replaced_before_it_gets_too_old(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", settle_s=3600):
            first, second = world.venue.sockets
            assert second.opened_ns <= first.closed_ns
            assert 0.90 <= first.closed_ns / 3600e9 <= 0.985

    run_world(scenario, config=tiny_config(max_age_s=3600))


def test_a_dropped_socket_comes_back(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            number = world.link.status().sockets[0].socket
            world.link.drop_socket(number)
            await anyio.sleep(6)
            assert world.marks("A")[2:] == ["lost stall", "opened", "trade"]
            assert world.link.status().sockets[0].socket == number

    run_world(scenario)


def test_connects_stay_within_their_budget(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running(*[f"S{n}" for n in range(30)], settle_s=60):
            dials = world.venue.dialed_ns
            assert len(dials) == 30
            for at_ns in dials:
                in_window = [one for one in dials if at_ns <= one < at_ns + 10**9]
                assert len(in_window) <= 2
            assert set(world.states().values()) == {"live"}

    config = tiny_config(
        capacity=1, budgets=(Budget("connects", 3, 1.0),), dial_costs={"connects": 1}
    )
    run_world(scenario, config=config)


def test_an_address_may_be_asked_of_rest_first(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        world.http.paths["/token"] = b"abc"
        world.http.script.append(TransportError("no"))
        world.http.script.clear()
        async with world.running("A"):
            url = world.venue.sockets[0].dial.url
            assert url == "wss://venue.test/ws?token=abc"
            assert "abc" not in str(world.link.status().as_dict())
            assert "abc" not in str(world.changes)

    run_world(scenario, config=tiny_config(fetch_first=True))


def test_a_refused_key_on_the_way_to_the_address_is_final(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        world.http.script.append((401, b"", {}))
        async with world.running("A", settle_s=600):
            assert world.link.status().state == "failed"
            assert len(world.http.sent) == 1

    run_world(scenario, config=tiny_config(fetch_first=True))


def test_the_venue_clock_reaches_sessions_and_signatures(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        ahead_ns = 5 * 10**9
        world.http.paths["/time"] = str(world.clock.wall_ns() + ahead_ns).encode()
        async with world.running("A"):
            offset_ns = world.link.status().venue_offset_ns
            assert abs(offset_ns - ahead_ns) < 10**9

    run_world(scenario, config=tiny_config(private=True, time=True))


def test_an_unreachable_venue_is_told_at_once_and_then_once_a_minute(
    run_world: RunWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        world.rules.dial_errors.extend(TransportError("no way") for _ in range(10_000))
        async with world.running("A", settle_s=2):
            first = "tiny: socket 1 could not be opened, trying again: no way"
            assert caplog.messages == [first]
            assert caplog.records[0].levelname == "WARNING"
            assert caplog.records[0].name == "tapeline.link.tiny"
            await anyio.sleep(600)
            assert 5 <= len(caplog.messages) <= 11
            assert all("no way (and " in text for text in caplog.messages[1:])
            assert {one.kind for one in world.changes} == {"unreachable"}
            status = world.link.status()
            assert (status.state, status.last_error) == ("backing-off", "no way")
            assert status.attempts_in_a_row == len(world.venue.dialed_ns) > 10

    run_world(scenario)


def test_missing_instruments_are_told_at_once_and_shown_in_status(
    run_world: RunWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        world.http.script.extend([RequestFailed("no way")] * 3)
        world.http.paths["/instruments"] = b"A,B"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.link.load_instruments, "spot")
            await anyio.sleep(0.05)
            status = world.link.status()
            assert status.attempts_in_a_row >= 1
            assert status.last_error.endswith("/instruments: no way")
        (text,) = caplog.messages
        assert text.startswith("tiny: no list of instruments yet, trying again: GET ")
        assert text.endswith(": no way")
        assert world.link.status().attempts_in_a_row == 0

    run_world(scenario)
