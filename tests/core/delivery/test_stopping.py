"""Stopping flushes what is committed, and is bounded whatever the sink does."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tapeline.delivery import RunnerSettings
from tapeline.testing import run_virtual
from tapeline.testing.sinks import MemoryDatabase, MemorySink


def test_a_stop_stores_what_was_committed_before_it(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink(clock=delivery.clock)
        sink.delay_s = 0.1
        runner = delivery.runner(sink, settings=RunnerSettings(max_records=10))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(0.1)
            for n in range(100):
                delivery.journal.append([make_trade(n)])
            await runner.stop(10)
            assert 0.9 < delivery.now_s < 3
        assert len(sink.database.trades()) == 100
        assert sink.closes == 1
        assert sink.cancelled == 0
        assert runner.state == "stopped"

    run_virtual(main)


def test_a_stop_does_not_wait_longer_than_its_deadline_for_a_dead_sink(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.write_failures = 10**9
        runner = delivery.runner(sink)
        delivery.journal.append([make_trade(1)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(100)
            await runner.stop(3)
            assert 103 <= delivery.now_s < 104
        assert runner.state == "stopped"
        assert delivery.journal.lag("local")[0] == 1

    run_virtual(main)


def test_a_stop_interrupts_the_pause_and_tries_once_more_at_once(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.write_failures = 10**9
        runner = delivery.runner(sink)
        delivery.journal.append([make_trade(1)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(200)
            sink.write_failures = 0
            await runner.stop(30)
            assert delivery.now_s < 201
        assert sink.database.trades() == [make_trade(1)]

    run_virtual(main)


def test_a_write_that_hangs_is_cancelled_after_the_grace_only(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.hang()
        runner = delivery.runner(sink)
        delivery.journal.append([make_trade(1)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(1_000)
            assert sink.cancelled == 0
            await runner.stop(3)
            assert 1_004.9 < delivery.now_s < 1_005.1
        assert sink.cancelled == 1
        assert sink.closes == 1
        assert delivery.journal.cursor("local") == delivery.journal.last - 1

    run_virtual(main)


def test_a_forced_stop_waits_for_nothing(make_delivery: Any, make_trade: Any) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.hang()
        runner = delivery.runner(sink)
        delivery.journal.append([make_trade(1)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(1)
            await runner.stop(0)
            assert delivery.now_s == pytest.approx(1)
        assert sink.closes == 1

    run_virtual(main)


def test_a_cancelled_owner_lets_the_write_that_runs_end(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink(clock=delivery.clock)
        sink.delay_s = 1.0
        runner = delivery.runner(sink)
        delivery.journal.append([make_trade(1)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(0.5)
            tasks.cancel_scope.cancel()
        assert delivery.now_s == pytest.approx(1.0)
        assert sink.cancelled == 0
        assert sink.database.trades() == [make_trade(1)]
        assert delivery.journal.cursor("local") == delivery.journal.last
        assert sink.closes == 1

    run_virtual(main)


def test_a_cancelled_owner_does_not_wait_for_ever(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.hang()
        runner = delivery.runner(sink)
        delivery.journal.append([make_trade(1)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(0.5)
            tasks.cancel_scope.cancel()
        assert 2.4 < delivery.now_s < 2.6
        assert (sink.cancelled, sink.closes) == (1, 1)

    run_virtual(main)


def test_cancelled_at_any_moment_nothing_is_lost_or_doubled(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        delivery.journal.expect_sink("holder")
        database = MemoryDatabase()
        for turn in range(40):
            sink = MemorySink(database, clock=delivery.clock)
            sink.delay_s = 0.003
            runner = delivery.runner(sink, settings=RunnerSettings(max_records=2))
            with anyio.move_on_after(0.0007 * turn):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(runner.run)
                    for n in range(5):
                        delivery.journal.append([make_trade(5 * turn + n)])
                        await delivery.clock.sleep(0.001)
            assert sink.closes == 1
            assert sink.cancelled == 0
        expected = [
            t.last_id
            async for _, records in delivery.journal.read_from(0)
            for t in records
        ]
        runner = delivery.runner(MemorySink(database))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await runner.stop(1)
        assert [t.last_id for t in database.trades()] == expected

    run_virtual(main)


def test_a_runner_that_never_ran_closes_its_sink(make_delivery: Any) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        runner = delivery.runner(sink)
        await runner.stop(1)
        await runner.stop(1)
        assert (sink.closes, runner.state) == (1, "stopped")

    run_virtual(main)


def test_closing_that_fails_or_hangs_is_only_told(make_delivery: Any) -> None:
    async def main() -> None:
        delivery = make_delivery()

        class Failing(MemorySink):
            async def close(self) -> None:
                raise OSError("gone")

        class Hanging(MemorySink):
            async def close(self) -> None:
                await anyio.sleep_forever()

        for sink, told in ((Failing(), "gone"), (Hanging(), "more than 5.0 s")):
            runner = delivery.runner(sink)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(runner.run)
                await delivery.clock.sleep(1)
                await runner.stop(1)
            assert runner.state == "stopped"
            assert told in runner.reason

    run_virtual(main)
