"""Acks, refusals, and answers that never come."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio

from tapeline.model import Budget, Rejected

World = Any
RunWorld = Callable[..., None]


def asked(world: World, symbol: str) -> list[float]:
    """Seconds at which a frame asked for *symbol*."""
    return [
        at_ns / 1e9
        for socket in world.venue.sockets
        for at_ns, frame in socket.sent
        if frame != "ping" and symbol in json.loads(frame).get("symbols", ())
    ]


def test_one_refused_symbol_leaves_the_others_alone(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.rules.refused["BAD"] = ("60018", True)
        async with world.running("A", "BAD", "B", settle_s=120):
            assert world.states() == {"A": "live", "BAD": "rejected", "B": "live"}
            status = {
                one.subscription.symbol: one
                for one in world.link.status().subscriptions
            }
            assert status["BAD"].reason == "60018 not for you"
            assert len(asked(world, "BAD")) == 1
            assert len(world.venue.sockets) == 1
            told = [item for item in world.items if isinstance(item, Rejected)]
            assert [one.code for one in told] == ["60018"]
            assert [one.kind for one in world.changes] == ["connected", "rejected"]

    run_world(scenario)


def test_a_refusal_for_now_is_asked_again_more_and_more_slowly(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        world.rules.refused["BUSY"] = ("50001", False)
        async with world.running("A", "BUSY", settle_s=60):
            times = asked(world, "BUSY")
            assert 3 <= len(times) <= 8
            assert times[-1] - times[-2] > times[1] - times[0]
            del world.rules.refused["BUSY"]
            await anyio.sleep(120)
            assert world.states() == {"A": "live", "BUSY": "live"}
            assert world.marks("A") == ["opened", "trade"]

    run_world(scenario)


def test_a_refused_symbol_is_asked_again_on_a_new_socket(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.rules.refused["BAD"] = ("60018", True)
        async with world.running("A", "BAD"):
            del world.rules.refused["BAD"]
            world.venue.open_sockets[0].end(1006)
            await anyio.sleep(10)
            assert world.venue.active == {"A", "BAD"}

    run_world(scenario)


def test_a_refusal_ends_a_stream_that_was_open(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            world.venue.open_sockets[0].push('{"refused": "A", "code": "1"}')
            await anyio.sleep(1)
            assert world.marks("A") == ["opened", "trade", "lost disconnect"]
            assert world.marks("B") == ["opened", "trade"]

    run_world(scenario)


def test_a_lost_ack_is_no_harm_when_data_flows(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.rules.lost_acks["A"] = 9
        async with world.running("A", settle_s=60):
            assert world.states() == {"A": "live"}
            assert len(asked(world, "A")) == 1

    run_world(scenario)


def test_a_lost_ack_of_a_quiet_stream_is_asked_for_again(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.rules.first_data = False
        world.rules.lost_acks["A"] = 1
        async with world.running("A", "B", settle_s=9.9):
            assert len(asked(world, "A")) == 1
            assert world.states() == {"A": "requested", "B": "acked"}
            await anyio.sleep(5)
            assert len(asked(world, "A")) == 2
            assert world.states() == {"A": "acked", "B": "acked"}
            assert len(asked(world, "B")) == 1
            assert len(world.venue.sockets) == 1

    run_world(scenario)


def test_three_missed_answers_replace_a_socket_that_serves_nobody(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        world.rules.silent_for.add("A")
        async with world.running("A", settle_s=60):
            assert len(world.venue.sockets) == 2
            assert world.changes[1].kind == "disconnected"
            assert "no answer" in world.changes[1].detail
            world.rules.silent_for.clear()
            await anyio.sleep(900)
            assert world.states() == {"A": "live"}

    run_world(scenario)


def test_a_symbol_that_is_never_answered_does_not_interrupt_its_neighbors(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        world.rules.silent_for.add("MUTE")
        async with world.running("A", "MUTE", settle_s=1):
            for _ in range(3600):
                world.venue.trade("A")
                await anyio.sleep(1)
            assert world.states() == {"A": "live", "MUTE": "rejected"}
            ids = set(world.ids("A"))
            assert ids.issuperset(range(min(ids), world.venue.next_id))
            assert len(world.venue.sockets) == 2
            assert len(asked(world, "MUTE")) < 20

    run_world(scenario)


def test_a_batch_that_is_refused_as_a_whole_is_taken_apart(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        plain = world.venue.receive

        def all_or_nothing(socket: Any, frame: str) -> None:
            if "BAD" in frame:
                socket.push('{"refused": null, "code": "1"}')
            else:
                plain(socket, frame)

        world.venue.receive = all_or_nothing
        names = [f"S{n}" for n in range(8)]
        async with world.running(*names[:4], "BAD", *names[4:], settle_s=60):
            live = [name for name, state in world.states().items() if state == "live"]
            assert live == names

    run_world(scenario)


def test_an_answer_to_something_else_confirms_nothing(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.rules.first_data = False
        world.rules.answers_with_wrong_id = True
        async with world.running("A", settle_s=5):
            assert world.states() == {"A": "requested"}
            socket = world.link.status().sockets[0]
            assert socket.counters["unmatched"] == 1
            world.rules.answers_with_wrong_id = False
            await anyio.sleep(20)
            assert world.states() == {"A": "acked"}

    run_world(scenario)


def test_an_unconfirmed_end_is_asked_for_again(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            world.rules.silent_for.add("A")
            world.want(["B"])
            await anyio.sleep(5)
            assert world.venue.active == {"A", "B"}
            world.rules.silent_for.clear()
            await anyio.sleep(30)
            assert world.venue.active == {"B"}
            assert world.marks("B") == ["opened", "trade"]

    run_world(scenario)


def test_the_ack_deadline_starts_when_the_frame_is_written(
    run_world: RunWorld, tiny_config: Any
) -> None:
    """A frame that waits an hour for its budget is not late."""

    async def scenario(world: World) -> None:
        world.rules.first_data = False
        async with world.running("A"):
            world.want(["A", "B"])
            await anyio.sleep(3000)
            assert world.states() == {"A": "acked", "B": "requested"}
            await anyio.sleep(1000)
            assert world.states() == {"A": "acked", "B": "acked"}
            await anyio.sleep(8000)
            assert len(asked(world, "B")) == 1
            assert len(world.venue.sockets) == 1

    config = tiny_config(
        budgets=(Budget("frames", 1, 3600, "connection"),), frame_costs={"frames": 1}
    )
    run_world(scenario, config=config)


def test_a_private_socket_subscribes_after_its_login(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            frames = [frame for _, frame in world.venue.sockets[0].sent]
            assert [json.loads(frame)["op"] for frame in frames] == [
                "login",
                "subscribe",
            ]
            assert world.states() == {"A": "live"}

    run_world(scenario, config=tiny_config(private=True))


def test_a_refused_login_is_final(run_world: RunWorld, tiny_config: Any) -> None:
    async def scenario(world: World) -> None:
        world.rules.login = "refused"
        async with world.running("A", settle_s=600):
            status = world.link.status()
            assert (status.state, len(world.venue.sockets)) == ("failed", 1)
            assert status.failed == "login refused: 60009 not for you"

    run_world(scenario, config=tiny_config(private=True))


def test_an_unanswered_login_is_tried_again(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        world.rules.login = "silent"
        async with world.running("A", settle_s=12):
            assert world.states() == {"A": "disconnected"}
            world.rules.login = "ok"
            await anyio.sleep(20)
            assert world.states() == {"A": "live"}

    run_world(scenario, config=tiny_config(private=True))


def test_resubscribing_marks_the_stream_and_touches_no_other(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            world.link.resubscribe(world.stream("A"))
            world.venue.trade("A")
            await anyio.sleep(2)
            assert world.marks("A") == [
                "opened",
                "trade",
                "lost stall",
                "opened",
                "trade",
            ]
            assert world.marks("B") == ["opened", "trade"]
            assert len(world.venue.sockets) == 1

    run_world(scenario)


def test_a_resync_goes_over_rest_and_back_into_the_stream(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.http.paths["/book"] = b"777"
        async with world.running("A"):
            world.link.resync(world.stream("A"))
            await anyio.sleep(1)
            assert world.ids("A")[-1] == 777

    run_world(scenario)


def test_a_failed_request_of_a_session_is_tried_again_from_its_cause(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        world.http.paths["/book"] = b"777"
        async with world.running("A"):
            world.http.script.append((400, b"", {}))
            world.link.resync(world.stream("A"))
            await anyio.sleep(1)
            assert world.ids("A") == [1]
            await anyio.sleep(10)
            assert world.ids("A") == [1, 777]
            assert len(world.venue.sockets) == 1

    run_world(scenario)
