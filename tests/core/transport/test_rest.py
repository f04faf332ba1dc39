"""REST: budgets, signatures at send time, retries, bans, deadlines."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import anyio
import pytest

from tapeline.errors import RecoveryAction, RequestFailed
from tapeline.model import Budget, Fetch, OutcomeKind, Request
from tapeline.transport import (
    RequestExpired,
    RequestRefused,
    RestSettings,
    TooManyWaiting,
)

World = Any
RunWorld = Callable[..., None]

PLAIN = Fetch(Request("GET", "https://venue.test/data?signature=s3cret"), tag="mine")


def test_an_answer_carries_tag_and_unsigned_request(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        request = Request("GET", "https://venue.test/data", private=True)
        response = await world.rest.fetch(Fetch(request, tag="mine"))
        assert (response.status, response.tag) == (200, "mine")
        assert response.request == request
        assert "sign" in world.http.sent[0][1].headers

    run_world(scenario)


def test_a_request_is_signed_when_it_is_sent(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        request = Request("GET", "https://venue.test/data", private=True)
        fetch = Fetch(request, costs={"w": 1})
        await world.rest.fetch(fetch)
        world.http.script.append((503, b"", {}))
        await world.rest.fetch(fetch)
        sent = [at_ns for at_ns, _ in world.http.sent]
        start = world.clock.wall_ns() - world.clock.monotonic_ns()
        assert [at_ns - start for at_ns in world.adapter.signed_ns] == sent
        assert sent[1] >= 10 * 10**9
        assert sent[2] >= 20 * 10**9

    run_world(scenario, config=tiny_config(budgets=(Budget("w", 1, 10.0),)))


def test_failures_of_the_way_and_of_the_venue_are_retried(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.http.script.extend(
            [RequestFailed("broken"), (502, b"", {}), (200, b"x", {})]
        )
        assert (await world.rest.fetch(PLAIN)).body == b"x"
        assert world.rest.counters.sent == 3
        assert world.rest.counters.retries == 2

    run_world(scenario)


def test_a_limit_stops_all_requests_for_as_long_as_asked(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.http.script.append((429, b"", {"retry-after": "20"}))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.rest.fetch, PLAIN)
            await anyio.sleep(1)
            tasks.start_soon(world.rest.fetch, PLAIN)
        times = [at_ns / 1e9 for at_ns, _ in world.http.sent]
        assert len(times) == 3
        assert min(times[1:]) >= 20

    run_world(scenario)


def test_a_ban_stops_all_requests_and_is_remembered(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.http.script.append((418, b"", {"retry-after": "3600"}))
        with pytest.raises(RequestRefused) as caught:
            await world.rest.fetch(PLAIN)
        assert caught.value.kind is OutcomeKind.BANNED
        assert "s3cret" not in str(caught.value)
        assert world.bans.left_s("tiny") == pytest.approx(3600, abs=0.01)
        with pytest.raises(RequestRefused, match="banned for another"):
            await world.rest.fetch(PLAIN)
        assert len(world.http.sent) == 1
        await anyio.sleep(3590)
        await world.rest.fetch(PLAIN)
        assert world.http.sent[1][0] >= 3600 * 10**9

    run_world(scenario)


def test_a_step_of_the_wall_clock_changes_no_ban(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        for status in (418, 429):
            for step_s in (3600, -3600):
                world.http.script.append((status, b"", {"retry-after": "20"}))
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(world.rest.fetch, PLAIN)
                    await anyio.sleep(1)
                    world.clock.step_wall(step_s * 10**9)
        times = [at_ns / 1e9 for at_ns, _ in world.http.sent]
        waits = [after - before for before, after in pairwise(times)][::2]
        assert len(waits) == 4
        assert all(20 <= wait < 22 for wait in waits)

    run_world(scenario)


def test_requests_that_wait_for_a_budget_see_a_ban(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        fetch = Fetch(PLAIN.request, costs={"w": 1})
        world.http.script.append((418, b"", {"retry-after": "40"}))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.rest.fetch, fetch)
            tasks.start_soon(world.rest.fetch, fetch)
        assert [at_ns >= 40 * 10**9 for at_ns, _ in world.http.sent] == [
            False,
            True,
            True,
        ]

    config = tiny_config(budgets=(Budget("w", 1, 5.0),))
    run_world(scenario, config=config, rest=RestSettings(deadline_s=100))


@pytest.mark.parametrize("status", [400, 401])
def test_final_answers_are_raised_at_once(run_world: RunWorld, status: int) -> None:
    async def scenario(world: World) -> None:
        world.http.script.append((status, b"", {}))
        with pytest.raises(RequestRefused) as caught:
            await world.rest.fetch(PLAIN)
        assert caught.value.recovery is RecoveryAction.STOP
        assert str(caught.value) == (
            "expected an answer of GET https://venue.test/data, found HTTP "
            f"{status} ({caught.value.kind.value}: code {status})"
        )

    run_world(scenario)


def test_a_deadline_ends_everything(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.http.takes_s = 1000
        with pytest.raises(
            RequestExpired, match="within 60 s, found no answer in time"
        ):
            await world.rest.fetch(PLAIN)
        assert world.clock.monotonic_ns() == pytest.approx(60e9, abs=1e6)
        assert world.rest.waiting == 0
        assert world.rest.counters.failed == 1

    run_world(scenario)


def test_waiting_requests_are_bounded(run_world: RunWorld, tiny_config: Any) -> None:
    async def scenario(world: World) -> None:
        fetch = Fetch(PLAIN.request, costs={"w": 1})
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(world.rest.fetch, fetch)
            await anyio.sleep(0.001)
            with pytest.raises(TooManyWaiting):
                await world.rest.fetch(fetch)
        await world.rest.fetch(fetch)

    config = tiny_config(budgets=(Budget("w", 1, 3.0),))
    run_world(scenario, config=config, rest=RestSettings(max_waiting=4))


def test_urgent_requests_overtake(run_world: RunWorld, tiny_config: Any) -> None:
    async def scenario(world: World) -> None:
        async with anyio.create_task_group() as tasks:
            for n in range(4):
                request = Request("GET", f"https://venue.test/{n}")
                fetch = Fetch(request, costs={"w": 1}, urgent=n == 3)
                tasks.start_soon(world.rest.fetch, fetch)
                await anyio.sleep(0.1)
        order = [request.url[-1] for _, request in world.http.sent]
        assert order == ["0", "3", "1", "2"]

    run_world(scenario, config=tiny_config(budgets=(Budget("w", 1, 3.0),)))


def test_the_weight_that_the_venue_reports_slows_us_down(
    run_world: RunWorld, tiny_config: Any
) -> None:
    async def scenario(world: World) -> None:
        fetch = Fetch(PLAIN.request, costs={"weight": 1})
        world.http.script.append((200, b"", {"x-used": "95"}))
        await world.rest.fetch(fetch)
        await world.rest.fetch(fetch)
        assert world.http.sent[1][0] >= 30 * 10**9

    run_world(scenario, config=tiny_config(budgets=(Budget("weight", 100, 30.0),)))


def test_instruments_are_loaded_through_retries(run_world: RunWorld) -> None:
    async def scenario(world: World) -> None:
        world.http.script.extend([(500, b"", {}), (200, b"BTC,ETH", {})])
        found = await world.link.load_instruments("spot")
        assert [one.symbol for one in found] == ["BTC", "ETH"]

    run_world(scenario)
