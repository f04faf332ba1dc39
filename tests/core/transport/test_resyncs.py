"""Beginning a stream afresh: what is under way, what is due, and how many frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio

from tapeline.model import Budget

World = Any
RunWorld = Callable[..., None]


def frames(world: World, op: str) -> list[list[str]]:
    """The symbols of each frame *op* that was sent."""
    return [
        json.loads(frame)["symbols"]
        for socket in world.venue.sockets
        for _, frame in socket.sent
        if frame != "ping" and json.loads(frame)["op"] == op
    ]


def test_a_resync_that_is_answered_loses_nothing(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            world.link.resync(world.stream("A"))
            await anyio.sleep(60)
            assert frames(world, "unsubscribe") == [["A"]]
            assert frames(world, "subscribe") == [["A", "B"], ["A"]]
            assert world.states() == {"A": "live", "B": "live"}
            assert world.marks("A") == ["opened", "trade", "trade"]
            assert world.marks("B") == ["opened", "trade"]

    run_world(scenario, config=tiny_config(resync_by_frames=True))


def test_a_resync_whose_end_is_not_confirmed_is_lost_and_asked_again(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            world.rules.silent_for.add("A")
            world.link.resync(world.stream("A"))
            await anyio.sleep(9.5)
            assert world.states()["A"] == "live"
            assert world.link.pending(world.stream("A")) == "answer"
            await anyio.sleep(1)
            assert world.states()["A"] == "requested"
            assert world.marks("A") == ["opened", "trade", "lost stall"]
            world.rules.silent_for.clear()
            await anyio.sleep(30)
            assert world.states() == {"A": "live", "B": "live"}
            assert world.marks("A")[3:] == ["opened", "trade"]
            assert world.marks("B") == ["opened", "trade"]
            assert len(world.venue.sockets) == 1

    run_world(scenario, config=tiny_config(resync_by_frames=True))


def test_a_resync_whose_new_start_is_not_confirmed_is_lost_and_asked_again(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            world.rules.mute = True
            world.rules.lost_acks["A"] = 1
            world.link.resync(world.stream("A"))
            await anyio.sleep(5)
            assert world.states() == {"A": "acked"}
            await anyio.sleep(6)
            assert world.marks("A") == ["opened", "trade", "lost stall"]
            world.rules.mute = False
            await anyio.sleep(30)
            assert world.states() == {"A": "live"}
            assert world.marks("A")[3:] == ["opened", "trade"]

    run_world(scenario, config=tiny_config(resync_by_frames=True))


def test_data_proves_a_new_start_whose_ack_was_lost(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            world.rules.lost_acks["A"] = 1
            world.link.resync(world.stream("A"))
            await anyio.sleep(60)
            assert world.states() == {"A": "live"}
            assert world.marks("A") == ["opened", "trade", "trade"]
            assert world.link.pending(world.stream("A")) == ""

    run_world(scenario, config=tiny_config(resync_by_frames=True))


def test_waiting_for_our_own_budget_is_not_held_against_the_venue(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            world.link.resync(world.stream("A"))
            await anyio.sleep(30)
            # Its end was confirmed; the frame that asks for it waits.
            assert world.link.pending(world.stream("A")) == "frame"
            assert world.states() == {"A": "acked"}
            await anyio.sleep(40)
            assert world.states() == {"A": "live"}
            assert world.marks("A") == ["opened", "trade", "trade"]

    config = tiny_config(
        resync_by_frames=True,
        budgets=(Budget("frames", 2, 60.0, share=1.0, scope="connection"),),
        frame_costs={"frames": 1},
    )
    run_world(scenario, config=config)


def test_a_resync_over_rest_is_under_way_until_it_is_answered(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        world.http.paths["/book"] = b"777"
        async with world.running("A"):
            world.http.takes_s = 5.0
            world.link.resync(world.stream("A"))
            assert world.link.pending(world.stream("A")) == "request"
            await anyio.sleep(4)
            assert world.link.pending(world.stream("A")) == "request"
            await anyio.sleep(2)
            assert world.link.pending(world.stream("A")) == ""
            assert world.link.pending(world.stream("B")) == ""

    run_world(scenario)


def test_many_streams_are_subscribed_anew_in_few_frames(
    run_world: RunWorld, tiny_config: Any
) -> None:
    symbols = [f"S{number}" for number in range(50)]

    async def scenario(world: World) -> None:
        async with world.running(*symbols):
            world.link.resubscribe_all([world.stream(s) for s in symbols[:40]])
            await anyio.sleep(5)
            assert [len(f) for f in frames(world, "unsubscribe")] == [25, 15]
            assert [len(f) for f in frames(world, "subscribe")] == [25, 25, 25, 15]
            assert set(world.states().values()) == {"live"}
            assert world.marks("S1") == [
                *("opened", "trade"),
                *("lost stall", "opened", "trade"),
            ]
            assert world.marks("S49") == ["opened", "trade"]

    run_world(scenario, config=tiny_config(capacity=25))


def test_streams_whose_ends_are_confirmed_one_by_one_are_asked_for_together(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B", "C"):
            world.rules.silent_for.update("ABC")
            world.link.resubscribe_all([world.stream(s) for s in "ABC"])
            # Just after a quarter of a second, so that all come within the next one.
            await anyio.sleep(0.26)
            world.rules.silent_for.clear()
            (socket,) = world.venue.sockets
            socket.active.clear()
            for symbol in "ABC":
                socket.push(json.dumps({"gone": symbol}))
                await anyio.sleep(0.05)
            await anyio.sleep(1)
            assert frames(world, "subscribe") == [["A", "B", "C"], ["A", "B", "C"]]
            assert set(world.states().values()) == {"live"}

    run_world(scenario)
