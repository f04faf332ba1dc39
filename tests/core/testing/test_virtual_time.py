"""Virtual time and the inline executor."""

from __future__ import annotations

import asyncio
import time

import anyio
import anyio.to_thread
import pytest

from tapeline.errors import TapelineError
from tapeline.testing import (
    START_NS,
    InlineExecutor,
    VirtualClock,
    VirtualDeadlock,
    VirtualTimeLoop,
    run_virtual,
)


def test_a_month_passes_in_no_time() -> None:
    async def main() -> tuple[int, int]:
        clock = VirtualClock()
        await clock.sleep(30 * 86_400)
        return clock.wall_ns(), clock.monotonic_ns()

    began = time.monotonic()
    wall_ns, monotonic_ns = run_virtual(main)

    assert time.monotonic() - began < 5
    assert monotonic_ns == 30 * 86_400 * 10**9
    assert wall_ns == START_NS + monotonic_ns


def test_deadlines_fire_in_virtual_time_and_in_order() -> None:
    async def main() -> list[str]:
        seen = []
        with anyio.move_on_after(10):
            await anyio.sleep_forever()
        seen.append("moved on")
        with pytest.raises(TimeoutError):
            with anyio.fail_after(5):
                await anyio.Event().wait()
        seen.append("failed")

        async def late(seconds: float) -> None:
            await anyio.sleep(seconds)
            seen.append(f"{seconds}")

        async with anyio.create_task_group() as group:
            for seconds in (3.5, 0.25, 3600.0):
                group.start_soon(late, seconds)
        return seen

    assert run_virtual(main) == ["moved on", "failed", "0.25", "3.5", "3600.0"]


def test_a_timer_is_never_early() -> None:
    async def main() -> None:
        clock = VirtualClock()
        for _ in range(300):
            before = clock.monotonic_ns()
            await clock.sleep(0.1)
            assert 100_000_000 <= clock.monotonic_ns() - before <= 100_000_002
            deadline_ns = clock.monotonic_ns() + 333_333_333
            while clock.monotonic_ns() < deadline_ns:
                await clock.sleep((deadline_ns - clock.monotonic_ns()) / 1e9)

    run_virtual(main)


def test_the_wall_steps_and_the_monotonic_clock_does_not() -> None:
    async def main() -> None:
        clock = VirtualClock()
        other = VirtualClock(start_ns=5)
        await clock.sleep(1)
        clock.step_wall(-3_600 * 10**9)
        assert clock.wall_ns() == START_NS + 10**9 - 3_600 * 10**9
        assert clock.monotonic_ns() == 10**9
        assert other.wall_ns() == 5 + 10**9

    run_virtual(main)


def test_a_wait_that_nothing_can_end_is_an_error_that_names_the_tasks() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever, name="the-lonely-one")
            await anyio.sleep(5)

    with pytest.raises(VirtualDeadlock, match=r"at 5\.000 virtual.*the-lonely-one"):
        run_virtual(main)


def test_the_seed_gives_the_runs_source_of_chance() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        return loop.random.random()

    assert run_virtual(main, seed=3) == run_virtual(main, seed=3)
    assert run_virtual(main, seed=3) != run_virtual(main, seed=4)


def test_worker_threads_are_waited_for_when_allowed() -> None:
    async def main() -> int:
        return await anyio.to_thread.run_sync(lambda: 7)

    assert run_virtual(main, threads=True) == 7


@pytest.mark.anyio
async def test_a_virtual_clock_needs_a_virtual_loop() -> None:
    with pytest.raises(TapelineError, match="run_virtual"):
        VirtualClock()


def test_the_inline_executor_runs_calls_in_order_without_time_passing() -> None:
    async def main() -> list[int]:
        worker = InlineExecutor().worker("journal")
        done: list[int] = []

        def call(number: int, twice: bool) -> int:
            done.append(number)
            return number * (2 if twice else 1)

        assert await worker.run(call, 1, True) == 2
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run, call, 2, False)
            group.start_soon(worker.run, call, 3, False)
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: 1 // 0)
        await worker.aclose()
        assert VirtualClock().monotonic_ns() == 0
        return done

    assert run_virtual(main) == [1, 2, 3]
