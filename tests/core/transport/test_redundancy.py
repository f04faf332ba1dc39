"""Two sockets that carry the same streams, each with a life of its own."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from tapeline.errors import TransportError
from tapeline.model import Budget
from tapeline.transport import LinkSettings, StreamDropped
from tapeline.transport.rotation import rotation_ns

World = Any
RunWorld = Callable[..., None]

BOTH = LinkSettings(redundancy=2)
S = 10**9


def test_two_sockets_carry_every_stream_and_status_shows_both(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B", "C"):
            active = sorted(sorted(one.active) for one in world.venue.open_sockets)
            assert active == [["A", "B"], ["A", "B"], ["C"], ["C"]]
            shown = world.link.status()
            assert [(one.socket, one.copy) for one in shown.sockets] == [
                (1, 1),
                (1, 2),
                (2, 1),
                (2, 2),
            ]
            assert len({one.connection for one in shown.sockets}) == 4
            assert world.states() == {"A": "live", "B": "live", "C": "live"}

    run_world(scenario, settings=BOTH, config=tiny_config(capacity=2))


def test_a_new_symbol_moves_nobody_and_comes_on_both(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            before = world.venue.open_sockets
            world.want(["A", "B"])
            await anyio.sleep(1)
            assert world.venue.open_sockets == before
            assert [one.active for one in before] == [{"A", "B"}, {"A", "B"}]
            world.want(["B"])
            await anyio.sleep(1)
            assert [one.active for one in before] == [{"B"}, {"B"}]
            (mark,) = [i for i in world.items if isinstance(i, StreamDropped)]
            assert len(mark.connections) == 2
            world.want([])
            await anyio.sleep(1)
            assert world.venue.open_sockets == []

    run_world(scenario, settings=BOTH)


def test_one_of_two_ends_and_the_stream_stays_live(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            world.rules.dial_errors.append(TransportError("no"))
            dead, other = world.venue.open_sockets
            dead.end(None)
            await anyio.sleep(0.1)
            assert world.states() == {"A": "live"}
            assert world.link.status().state == "open"
            await anyio.sleep(30)
            assert other.open
            assert len(world.venue.open_sockets) == 2
            assert world.marks("A").count("lost disconnect") == 1

    run_world(scenario, settings=BOTH)


def test_a_venue_that_refuses_the_second_socket_fails_nothing(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            (_, second) = world.venue.open_sockets
            world.rules.dial_errors.extend(TransportError("no") for _ in range(50))
            second.end(None)
            await anyio.sleep(300)
            status = world.link.status()
            assert status.attempts_in_a_row == 0
            assert (status.state, status.failed) == ("open", "")
            worst = max(one.attempts for one in status.sockets)
            assert worst > 3

    run_world(scenario, settings=BOTH)


def test_both_sockets_are_counted_in_the_venue_s_budget(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        world.want(["A"])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.link.run)
            await anyio.sleep(5)
            assert len(world.venue.open_sockets) == 1
            await anyio.sleep(10)
            assert len(world.venue.open_sockets) == 2
            await world.link.stop()

    config = tiny_config(
        dial_costs={"connects": 1}, budgets=(Budget("connects", 1, 10.0, "ip"),)
    )
    run_world(scenario, settings=BOTH, config=config)


def test_two_sockets_grow_old_apart(run_world: RunWorld, tiny_config: Any) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", settle_s=40 * 3600):
            begun = [
                (one.wall_ns, one.copy)
                for one in world.changes
                if one.kind == "replacing"
            ]
            assert len(begun) > 80
            for (earlier_ns, copy), (later_ns, other) in itertools.pairwise(begun):
                apart = later_ns - earlier_ns > 0.1 * 3600 * S
                assert apart, (earlier_ns, copy, later_ns, other)
            assert world.marks("A").count("lost disconnect") == 0
            assert len(world.venue.open_sockets) == 2

    run_world(scenario, settings=BOTH, config=tiny_config(max_age_s=3600))


@given(
    seed=st.integers(0, 10**6),
    age_s=st.floats(60, 86_400),
    opened=st.floats(0, 10),
    other=st.none() | st.floats(-1, 12),
)
def test_a_rotation_is_ahead_before_the_cut_and_apart_from_the_other(
    seed: int, age_s: float, opened: float, other: float | None
) -> None:
    age_ns = int(age_s * S)
    opened_ns = int(opened * age_ns)
    other_ns = None if other is None else int(other * age_ns)

    at_ns = rotation_ns(opened_ns, age_s, random.Random(seed), other_ns)

    assert opened_ns + 0.1 * age_ns < at_ns < opened_ns + 0.981 * age_ns
    if other_ns is not None:
        assert abs(at_ns - other_ns) >= 0.2499 * age_ns
