"""Adapters with bugs, frames of rubbish, a pipeline that does not keep up."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from tapeline.model import Malformed
from tapeline.plugins import bind_session
from tapeline.transport import FrameLost
from tapeline.transport.counters import Counters

World = Any
RunWorld = Callable[..., None]


def test_frames_that_make_parse_raise_are_counted_and_skipped(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            socket = world.venue.open_sockets[0]
            for _ in range(15):
                socket.push("boom")
            world.venue.trade("A")
            for _ in range(15):
                socket.push("boom")
            await anyio.sleep(1)
            world.venue.trade("A")
            await anyio.sleep(1)
            assert world.ids("A") == [1, 2, 3]
            counters = world.link.status().sockets[0].counters
            assert counters["parse_errors"] == 30
            assert counters["malformed"] == {"parse raised KeyError": 30}
            assert len(counters["samples"]) == 20
            lost = [one for one in world.take() if isinstance(one, FrameLost)]
            assert len(lost) == 30, "of which stream they were, nobody knows"

    run_world(scenario)


def test_twenty_failures_of_parse_in_a_row_replace_the_socket(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            for _ in range(20):
                world.venue.open_sockets[0].push("boom")
            await anyio.sleep(6)
            assert len(world.venue.sockets) == 2
            assert world.states() == {"A": "live"}
            assert "20 errors in a row" in world.link.status().last_error

    run_world(scenario)


def test_malformed_frames_are_passed_on_counted_and_sampled(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            socket = world.venue.open_sockets[0]
            for n in range(100):
                socket.push("{" + "x" * 1000 + str(n))
            socket.push(b"\xff\xfe")
            await anyio.sleep(1)
            passed = [one for one in world.take() if isinstance(one, Malformed)]
            assert len(passed) == 101
            lost = [one for one in world.take() if isinstance(one, FrameLost)]
            assert len(lost) == 101
            counters = world.link.status().sockets[0].counters
            assert counters["malformed"] == {"json": 101}
            assert len(counters["samples"]) == 20
            assert max(len(one["text"]) for one in counters["samples"]) == 500
            assert world.states() == {"A": "live"}

    run_world(scenario)


def test_reasons_are_bounded() -> None:
    counters = Counters()
    for n in range(1000):
        counters.note_malformed(f"reason {n}", "", 0)
    assert len(counters.malformed) == 65
    assert counters.malformed["other"] == 936


def test_a_full_inbox_stops_the_receive_loop_and_costs_no_socket(
    run_world: RunWorld,
) -> None:
    async def scenario(world: World) -> None:
        world.want(["A"])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.link.run)
            await anyio.sleep(1)
            for _ in range(100):
                world.venue.trade("A")
            await anyio.sleep(120)
            assert len(world.inbox.items) == 10
            socket = world.venue.open_sockets[0]
            assert len([1 for _, text in socket.sent if text == "ping"]) == 0
            for _ in range(20):
                world.take()
                await anyio.sleep(0.1)
            assert world.ids("A") == list(range(1, 102))
            assert world.venue.open_sockets == [socket]
            tasks.cancel_scope.cancel()

    run_world(scenario, max_items=10)


def test_two_receive_loops_that_wait_for_room_are_both_let_go(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        world.want(["A", "B"])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.link.run)
            await anyio.sleep(1)
            for _ in range(20):
                world.venue.trade("A")
                world.venue.trade("B")
            await anyio.sleep(1)
            for _ in range(50):
                world.take()
                await anyio.sleep(0.1)
            assert len(world.ids("A")) == len(world.ids("B")) == 21
            tasks.cancel_scope.cancel()

    run_world(scenario, config=tiny_config(capacity=1), max_items=4)


@pytest.mark.parametrize("hook", ["opened", "tick", "health", "resync", "closed"])
def test_a_hook_that_raises_is_counted_and_ends_nothing(
    run_world: RunWorld, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", settle_s=2):
            world.link.resync(world.stream("A"))
            await anyio.sleep(1)
            shown = world.link.status().as_dict()
            assert json.dumps(shown)
            assert world.states() == {"A": "live"}

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    def bind(session: Any) -> Any:
        bound = bind_session(session)
        return _Broken(bound, hook, broken)

    class _Broken:
        def __init__(self, bound: Any, name: str, call: Any) -> None:
            self._bound = bound
            setattr(self, name, call)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._bound, name)

    async def with_bug(world: World) -> None:
        world.link._wiring = attrs.evolve(world.link._wiring, bind=bind)
        await scenario(world)

    run_world(with_bug)


def test_a_flooded_socket_lets_others_run(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            for _ in range(5000):
                world.venue.trade("A")
            turns = 0
            while len(world.ids("A")) < 5001:
                await anyio.lowlevel.checkpoint()
                turns += 1
            assert turns >= 5000 // 256

    run_world(scenario)


def test_an_exception_of_ours_ends_one_connection_only(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            (line,) = next(iter(world.link._bundles.values())).lines
            dialog = line._current.dialog
            dialog.outgoing.run = None
            dialog.turn = None
            await anyio.sleep(20)
            assert world.states() == {"A": "live"}
            assert [one.kind for one in world.changes] == [
                "connected",
                "crashed",
                "disconnected",
                "connected",
            ]
            assert world.marks("A")[2:] == ["lost disconnect", "opened", "trade"]

    run_world(scenario)


def test_status_is_json_and_tells_all(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A", "B"):
            shown = json.loads(json.dumps(world.link.status().as_dict()))
            assert shown["exchange"] == "tiny"
            assert shown["state"] == "open"
            assert [one["symbol"] for one in shown["subscriptions"]] == ["A", "B"]
            assert shown["sockets"][0]["session"]["counters"] == {"streams": 2}
            assert shown["sockets"][0]["counters"]["frames"] == 4

    run_world(scenario)


def test_counts_of_a_stream_go_on_over_reconnects(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        async with world.running("A"):
            for _ in range(3):
                world.venue.open_sockets[0].end(None)
                await anyio.sleep(10)
            status = world.link.status()
            assert status.subscriptions[0].events == 4
            assert status.reconnects == 3

    run_world(scenario)
