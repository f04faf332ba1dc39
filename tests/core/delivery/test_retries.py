"""What a sink refused is kept, and stored exactly once when it is tried again."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.delivery import SinkRunner
from tapeline.journal import Journal
from tapeline.model import CLOSED, RawMessage, Trade
from tapeline.testing import InlineExecutor, VirtualClock, run_virtual
from tapeline.testing.sinks import MemoryDatabase, MemorySink


def refuse(*ids: int) -> Any:
    """True for trades with these ids."""
    return lambda record: isinstance(record, Trade) and record.last_id in ids


async def settled(delivery: Any, runner: SinkRunner) -> None:
    """Wait until the runner has come to the end."""
    with anyio.fail_after(100):
        while (runner.cursor or 0) < delivery.journal.last:
            await delivery.clock.sleep(0.1)


@pytest.mark.parametrize("named", [True, False])
def test_a_refused_record_is_kept_and_stored_once_when_it_is_tried_again(
    make_delivery: Any, make_trade: Any, stream: Any, named: bool
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.refuse = refuse(3, 5)
        sink.names_refused = named
        runner = delivery.runner(sink)
        other = MemorySink()
        neighbor = delivery.runner(other, name="other")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            tasks.start_soon(neighbor.run)
            for n in range(10):
                delivery.journal.append([make_trade(n)])
            await settled(delivery, runner)
            letters = await delivery.journal.letters("local")
            assert [letter.record.last_id for letter in letters] == [3, 5]
            assert all("do not" in letter.reason for letter in letters)
            assert runner.status()["dead_letters_waiting"] == 2

            sink.refuse = None
            assert await runner.retry_dead_letters() == 2
            assert await runner.retry_dead_letters() == 0
            await settled(delivery, runner)
            delivery.journal.append([make_trade(10)])
            await settled(delivery, runner)
            await settled(delivery, neighbor)
            await runner.stop(1.0)
            await neighbor.stop(1.0)
        assert sorted(t.last_id for t in sink.database.trades()) == list(range(11))
        assert {gap.state for gap in sink.database.gaps()} == {CLOSED}
        assert sum(gap.recovered_count for gap in sink.database.gaps()) == 2
        assert await delivery.journal.letters("local") == []
        assert runner.status()["dead_letters_waiting"] == 0
        assert [t.last_id for t in other.database.trades()] == list(range(11))
        assert other.database.gaps() == []

    run_virtual(main)


def test_what_is_refused_again_is_kept_again(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.refuse = refuse(1, 2)
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            for n in range(4):
                delivery.journal.append([make_trade(n)])
            await settled(delivery, runner)
            sink.refuse = refuse(2)
            assert await runner.retry_dead_letters() == 2
            await settled(delivery, runner)
            [letter] = await delivery.journal.letters("local")
            assert letter.record == make_trade(2)
            assert letter.retry_position is None
            await runner.stop(1.0)
        assert sorted(t.last_id for t in sink.database.trades()) == [0, 1, 3]
        missing = [gap.from_id for gap in sink.database.gaps() if gap.state != CLOSED]
        assert missing == [2]

    run_virtual(main)


def test_what_is_dropped_is_forgotten_and_its_gap_stays(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.refuse = refuse(1)
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            delivery.journal.append([make_trade(1)])
            await settled(delivery, runner)
            assert await runner.drop_dead_letters() == 1
            assert await runner.retry_dead_letters() == 0
            assert runner.status()["dead_letters_waiting"] == 0
            await runner.stop(1.0)
        [gap] = sink.database.gaps()
        assert gap.state != CLOSED

    run_virtual(main)


def test_facts_are_kept_and_tried_again_too(make_delivery: Any, stream: Any) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        raw = RawMessage(stream, 1, "too long")
        sink.refuse = lambda record: isinstance(record, RawMessage)
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            delivery.journal.append([raw])
            await settled(delivery, runner)
            assert raw not in sink.database.records()
            sink.refuse = None
            await runner.retry_dead_letters()
            await settled(delivery, runner)
            await runner.stop(1.0)
        assert raw in sink.database.records()

    run_virtual(main)


def test_a_sink_that_keeps_them_itself_leaves_none_in_the_journal(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.keeps_dead_letters = True  # type: ignore[attr-defined]
        sink.refuse = refuse(1)
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            delivery.journal.append([make_trade(1), make_trade(2)])
            await settled(delivery, runner)
            await runner.stop(1.0)
        assert await delivery.journal.letters("local") == []
        assert runner.status()["dead_letters"] == 1

    run_virtual(main)


@pytest.mark.parametrize("stored", [False, True])
def test_a_retry_that_a_crash_interrupts_is_stored_once(
    make_trade: Any, tmp_path: Path, stored: bool
) -> None:
    """Before the sink had it, or after it had it and before we noted that."""
    database = MemoryDatabase()

    async def run(*, again: bool, crash_before: bool = False) -> None:
        clock = VirtualClock()
        journal = await Journal.open(tmp_path, clock=clock, executor=InlineExecutor())
        sink = MemorySink(database)
        sink.refuse = None if again else refuse(1)
        runner = SinkRunner("local", sink, None, journal, clock, random.Random(1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.run)
            tasks.start_soon(runner.run)
            if not again:
                journal.append([make_trade(0), make_trade(1)])
                await clock.sleep(5)
                if crash_before:
                    sink.hang()
                    assert await runner.retry_dead_letters() == 1
                    await journal.wait_committed(journal.last)
                    tasks.cancel_scope.cancel()
                    return
                sink.refuse = None
                sink.lost_replies = 1
                await runner.retry_dead_letters()
                while len(database.trades()) < 2:
                    await clock.sleep(0.001)
                # The end of the process, before anybody heard of the sink's commit.
                tasks.cancel_scope.cancel()
                return
            await clock.sleep(5)
            assert await journal.letters("local") == []
            await runner.stop(1.0)
            await journal.aclose()

    async def main() -> None:
        await run(again=False, crash_before=not stored)
        (tmp_path / "journal.lock").unlink()
        await run(again=True)

    run_virtual(main)
    assert [t.last_id for t in database.trades()] == [0, 1]
