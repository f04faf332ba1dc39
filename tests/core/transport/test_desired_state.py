"""The active set is the desired set, whatever happens in between."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.transport import StreamDropped

World = Any
RunWorld = Callable[..., None]


def test_what_is_wanted_becomes_active_and_live(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            assert world.venue.active == {"A", "B"}
            assert world.states() == {"A": "live", "B": "live"}
            assert world.marks("A") == ["opened", "trade"]
            assert world.link.status().state == "open"
        assert world.venue.open_sockets == []

    run_world(scenario)


def test_acked_without_data_is_not_live(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.rules.first_data = False
        async with world.running("A"):
            assert world.states() == {"A": "acked"}

    run_world(scenario)


def test_symbols_come_and_go_while_running(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            first = world.venue.open_sockets
            world.want(["B", "C"])
            world.venue.trade("A")
            await anyio.sleep(1)
            assert world.venue.active == {"B", "C"}
            assert world.venue.open_sockets == first
            assert len(world.ids("A")) == 1
            dropped = [i for i in world.items if isinstance(i, StreamDropped)]
            assert [one.subscription.symbol for one in dropped] == ["A"]
            assert world.marks("B") == ["opened", "trade"]

    run_world(scenario)


def test_a_stream_that_comes_back_is_opened_anew(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            world.want(["B"])
            world.want(["A", "B"])
            await anyio.sleep(1)
            world.venue.trade("A")
            await anyio.sleep(1)
            assert world.venue.active == {"A", "B"}
            assert world.marks("A") == ["opened", "trade", "opened", "trade"]
            world.want(["B"])
            await anyio.sleep(1)
            world.want(["A", "B"])
            await anyio.sleep(1)
            assert world.venue.active == {"A", "B"}
            assert world.marks("A")[-2:] == ["opened", "trade"]

    run_world(scenario)


def test_nothing_wanted_closes_the_socket(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            world.want([])
            await anyio.sleep(1)
            assert world.venue.open_sockets == []
            assert world.link.status().sockets == []
            world.want(["B"])
            await anyio.sleep(1)
            assert world.venue.active == {"B"}

    run_world(scenario)


def test_a_full_socket_gets_a_neighbor_and_nobody_moves(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            before = {socket.number for socket in world.venue.open_sockets}
            world.want(["A", "B", "C"])
            await anyio.sleep(1)
            active = [sorted(s.active) for s in world.venue.open_sockets]
            assert active == [["A", "B"], ["C"]]
            assert before <= {socket.number for socket in world.venue.open_sockets}

    run_world(scenario, config=tiny_config(capacity=2))


def test_the_loss_of_a_socket_is_marked_before_anything_new(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            world.venue.open_sockets[0].end(1006)
            await anyio.sleep(5)
            assert world.marks("A") == [
                "opened",
                "trade",
                "lost disconnect",
                "opened",
                "trade",
            ]
            assert world.link.status().reconnects == 1

    run_world(scenario)


def test_stopping_marks_streams_as_lost_to_downtime(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            pass
        assert world.marks("A") == ["opened", "trade", "lost downtime"]
        assert world.adapter.sessions[0].ended is not None

    run_world(scenario)


def test_a_link_runs_again_after_it_was_stopped(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            pass
        async with world.running("A", "B"):
            assert world.venue.active == {"A", "B"}

    run_world(scenario)


@pytest.mark.parametrize("seed", range(8))
def test_active_is_desired_after_any_mix_of_changes_and_losses(
    run_world: RunWorld, tiny_config: Any, seed: int
) -> None:
    async def scenario(world: World) -> None:
        chance = random.Random(seed)
        symbols = [f"S{n}" for n in range(12)]
        wanted: list[str] = symbols[:3]
        async with world.running(*wanted):
            for _ in range(60):
                move = chance.random()
                if move < 0.5:
                    wanted = chance.sample(symbols, chance.randrange(len(symbols)))
                    world.want(wanted)
                elif move < 0.7 and world.venue.open_sockets:
                    chance.choice(world.venue.open_sockets).end(None)
                elif move < 0.8:
                    world.rules.lost_acks[chance.choice(symbols)] = 1
                elif move < 0.9:
                    for socket in world.venue.open_sockets[:1]:
                        socket.push('{"closing": 5}')
                await anyio.sleep(chance.choice([0, 0.001, 0.2, 3, 20]))
            await anyio.sleep(400)
            assert world.venue.active == set(wanted)
            assert sorted(world.states()) == sorted(wanted)
            assert set(world.states().values()) <= {"live"}
            carried = [s for one in world.venue.open_sockets for s in one.active]
            assert len(carried) == len(set(carried))
            assert world.link.status().sockets == [] or all(
                one.state == "open" for one in world.link.status().sockets
            )

    run_world(scenario, config=tiny_config(capacity=4), seed=seed)


@settings(max_examples=30, deadline=None)
@given(
    at_s=st.floats(0, 3),
    dial_takes_s=st.sampled_from([0.0, 0.5]),
    cancel=st.booleans(),
)
def test_closing_at_any_point_leaves_no_socket(
    run_world: RunWorld, at_s: float, dial_takes_s: float, cancel: bool
) -> None:
    async def scenario(world: World) -> None:
        world.rules.dial_takes_s = dial_takes_s
        world.want(["A", "B"])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.link.run)
            await anyio.sleep(at_s / 2)
            for socket in world.venue.open_sockets:
                socket.push('{"closing": 5}')
            await anyio.sleep(at_s / 2)
            if cancel:
                tasks.cancel_scope.cancel()
            else:
                await world.link.stop()
        assert world.venue.open_sockets == []
        marks = world.marks("A")
        assert marks.count("opened") == sum(m.startswith("lost") for m in marks)

    run_world(scenario)
