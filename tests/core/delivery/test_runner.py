"""A durable sink gets everything that was committed, in order, at its own pace."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from tapeline.delivery import RunnerSettings
from tapeline.errors import SinkReplaced
from tapeline.model import Coverage, Gap, RawMessage
from tapeline.testing import run_virtual
from tapeline.testing.sinks import MemoryDatabase, MemorySink


def test_everything_reaches_the_sink_in_order(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            for n in range(100):
                delivery.journal.append([make_trade(2 * n), make_trade(2 * n + 1)])
                await delivery.clock.sleep(0.01)
            await runner.stop(1.0)
        assert [t.last_id for t in sink.database.trades()] == list(range(200))
        assert runner.cursor == delivery.journal.last
        assert not sink.is_open

    run_virtual(main)


def test_what_waits_is_written_in_few_batches_within_the_limits(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        runner = delivery.runner(sink, settings=RunnerSettings(max_records=40))
        for n in range(100):
            delivery.journal.append([make_trade(n)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(1)
            assert [len(batch) for batch in sink.batches] == [40, 40, 20]
            await runner.stop(1.0)

    run_virtual(main)


def test_a_sink_gets_only_what_it_accepts_and_the_facts(
    make_delivery: Any, make_trade: Any, make_ticker: Any, stream: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        runner = delivery.runner(sink, ["trade"])
        mine = Gap(stream, 1, 1, 1, 2, 3, 4, "quota", 5, for_sink="local")
        foreign = Gap(stream, 2, 1, 1, 2, 3, 4, "quota", 5, for_sink="other")
        hole = Gap(stream, 3, 1, 1, 2, 3, 4, "disconnect", 5)
        covered = Coverage(stream, 1, None, 1, 2)
        raw = RawMessage(stream, 1, "{}")
        delivery.journal.append([make_ticker(1), hole, mine, foreign])
        delivery.journal.append([covered, make_trade(1), raw, make_ticker(2)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await runner.stop(1.0)
        assert sink.database.records() == [hole, mine, covered, make_trade(1), raw]

    run_virtual(main)


def test_a_cursor_follows_over_what_the_sink_does_not_accept(
    make_delivery: Any, make_ticker: Any
) -> None:
    """One small write a second at most, and the sink itself knows the position."""

    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        runner = delivery.runner(sink, ["trade"])
        journal = delivery.journal
        start = journal.last
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            for n in range(1_000):
                journal.append([make_ticker(n)])
                await delivery.clock.sleep(0.01)
                # What the journal may trim, the sink has to know already.
                known = sink.database.cursors.get(journal.journal_id, start)
                assert journal.cursor("local") <= known
            await delivery.clock.sleep(1.5)
            assert sink.database.cursors[journal.journal_id] == journal.last
            assert delivery.journal.cursor("local") == journal.last
            assert sink.database.records() == []
            assert 5 <= sink.writes <= 12
            await runner.stop(1.0)

    run_virtual(main)


def test_an_unavailable_sink_is_opened_again_with_a_capped_backoff(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.open_failures = 30
        runner = delivery.runner(sink)
        delivery.journal.append([make_trade(1)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(5)
            assert runner.state == "unavailable"
            assert "found it down" in runner.reason
            assert sink.opens >= 4
            await delivery.clock.sleep(30 * 60)
            assert runner.state == "running"
            assert runner.reason == ""
            assert sink.database.trades() == [make_trade(1)]
            await runner.stop(1.0)
        assert [(c.before, c.after) for c in delivery.changes] == [
            ("starting", "unavailable"),
            ("unavailable", "running"),
            ("running", "stopped"),
        ]
        assert {c.component for c in delivery.changes} == {"sink local"}

    run_virtual(main)


def test_a_sink_that_can_never_open_fails_with_its_reason(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.open_error = ValueError("no such table")
        runner = delivery.runner(sink)
        delivery.journal.append([make_trade(1)])
        with anyio.fail_after(1):
            await runner.run()
        assert (runner.state, runner.reason) == ("failed", "no such table")
        assert sink.closes == 1
        await runner.stop(1.0)
        assert runner.state == "failed"
        assert delivery.journal.lag("local")[0] == 1

    run_virtual(main)


def test_the_same_batch_comes_again_until_it_is_stored(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            for n in range(200):
                if n % 20 == 0:
                    sink.write_failures = 3
                if n % 20 == 10:
                    sink.lost_replies = 1
                delivery.journal.append([make_trade(n)])
                await delivery.clock.sleep(0.5)
            await runner.stop(100)
        assert [t.last_id for t in sink.database.trades()] == list(range(200))
        assert runner.status()["retries"] == 40

    run_virtual(main)


def test_a_cursor_moves_only_over_what_the_sink_has_stored(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            stored = delivery.journal.append([make_trade(0)])
            await delivery.clock.sleep(1)
            assert runner.cursor == stored
            sink.write_failures = 10**9
            waiting = delivery.journal.append([make_trade(1)])
            await delivery.clock.sleep(60)
            assert runner.cursor == stored
            assert delivery.journal.lag("local")[0] == 1
            sink.write_failures = 0
            await runner.stop(100)
        assert runner.cursor == waiting
        assert [t.last_id for t in sink.database.trades()] == [0, 1]

    run_virtual(main)


def test_an_outage_of_hours_ends_by_itself_within_the_longest_pause(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            sink.write_failures = 10**9
            for n in range(100):
                delivery.journal.append([make_trade(n)])
                await delivery.clock.sleep(36)
            status = runner.status()
            assert status["state"] == "unavailable"
            assert status["blocked"]
            assert not status["healthy"]
            assert status["lag_rows"] == 100
            assert 3_500 < status["lag_seconds"] < 3_700
            # Full jitter up to 15 s: about eight tries a minute.
            assert 360 < sink.writes < 640
            sink.write_failures = 0
            await delivery.clock.sleep(16)
            assert len(sink.database.trades()) == 100
            assert runner.status()["lag_rows"] == 0
            assert not runner.status()["blocked"]
            await runner.stop(1.0)

    run_virtual(main)


def test_a_sink_whose_network_fails_while_it_opens_is_opened_again(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.open_error = ConnectionResetError("cut")
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            delivery.journal.append([make_trade(1)])
            await delivery.clock.sleep(30)
            assert runner.state == "unavailable"
            sink.open_error = None
            await delivery.clock.sleep(16)
            assert len(sink.database.trades()) == 1
            await runner.stop(1.0)

    run_virtual(main)


def test_a_dead_sink_does_not_slow_another(make_delivery: Any, make_trade: Any) -> None:
    async def main() -> None:
        delivery = make_delivery()
        dead, alive = MemorySink(), MemorySink()
        dead.write_failures = 10**9
        runners = [delivery.runner(dead, name="dead"), delivery.runner(alive)]
        async with anyio.create_task_group() as tasks:
            for runner in runners:
                tasks.start_soon(runner.run)
            for n in range(50):
                delivery.journal.append([make_trade(n)])
                await delivery.clock.sleep(0.001)
                assert len(alive.database.trades()) == n + 1
            for runner in runners:
                await runner.stop(0.5)
        assert dead.database.trades() == []

    run_virtual(main)


def test_a_database_that_was_replaced_is_opened_anew_and_gets_again_what_it_lacks(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        # One that is behind, so that the journal still has everything.
        behind = MemorySink()
        behind.hang()
        keeper = delivery.runner(behind, name="keeper")
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.run)
            tasks.start_soon(runner.run)
            for n in range(10):
                delivery.journal.append([make_trade(n)])
                await delivery.clock.sleep(0.1)
            older = sorted(sink.database.rows)[:4]
            sink.database.rows = {key: sink.database.rows[key] for key in older}
            sink.database.cursors[delivery.journal.journal_id] = older[-1][1]
            sink.write_error = SinkReplaced("an older copy")
            delivery.journal.append([make_trade(10)])
            await delivery.clock.sleep(0.1)
            assert runner.state == "unavailable"
            assert runner.reason == "an older copy"
            sink.write_error = None
            await delivery.clock.sleep(60)
            assert runner.state == "running"
            behind.release()
            await runner.stop(1.0)
            await keeper.stop(1.0)
        assert [trade.last_id for trade in sink.database.trades()] == list(range(11))
        assert sink.opens > 1

    run_virtual(main)


def test_an_unexpected_error_fails_the_sink_and_keeps_its_rows(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.write_error = KeyError("column")
        runner = delivery.runner(sink)
        delivery.journal.append([make_trade(1)])
        await runner.run()
        assert runner.state == "failed"
        assert "column" in runner.reason
        assert delivery.journal.lag("local")[0] == 1
        sink.write_error = None
        again = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(again.run)
            await again.stop(1.0)
        assert sink.database.trades() == [make_trade(1)]

    run_virtual(main)


def test_a_sink_that_fell_behind_the_quota_stores_gaps_and_goes_on(
    make_delivery: Any, make_trade: Any
) -> None:
    """Rows in its hands while they are given up are stored, not declared lost."""

    async def main() -> None:
        delivery = make_delivery(memory_bytes=20_000)
        sink = MemorySink()
        sink.write_failures = 4
        runner = delivery.runner(sink, settings=RunnerSettings(max_records=10))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            for n in range(400):
                delivery.journal.append([make_trade(n)])
                await delivery.clock.sleep(0.01)
            await runner.stop(100)
        stored = {t.last_id for t in sink.database.trades()}
        lost = {
            n
            for gap in sink.database.gaps()
            for n in range(gap.from_id or 0, (gap.to_id or 0) + 1)
        }
        assert lost
        assert stored | lost == set(range(400))
        assert not stored & lost

    run_virtual(main)


def test_a_restarted_runner_goes_on_where_the_database_is(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        delivery.journal.expect_sink("holder")
        database = MemoryDatabase()
        for turn in range(5):
            runner = delivery.runner(MemorySink(database))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(runner.run)
                for n in range(10):
                    delivery.journal.append([make_trade(10 * turn + n)])
                    await delivery.clock.sleep(0.001)
                if turn % 2:
                    tasks.cancel_scope.cancel()
                else:
                    await runner.stop(1.0)
        runner = delivery.runner(MemorySink(database))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await runner.stop(1.0)
        assert [t.last_id for t in database.trades()] == list(range(50))

    run_virtual(main)


def test_the_status_is_json(make_delivery: Any, make_trade: Any) -> None:
    async def main() -> None:
        delivery = make_delivery()
        runner = delivery.runner(MemorySink())
        delivery.journal.append([make_trade(1)])
        before = json.loads(json.dumps(runner.status()))
        assert (before["state"], before["lag_rows"]) == ("starting", 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(1)
            status = json.loads(json.dumps(runner.status()))
            assert status["state"] == "running"
            assert status["healthy"]
            assert (status["records"], status["lag_rows"]) == (1, 0)
            await runner.stop(1.0)

    run_virtual(main)


def test_a_sink_that_is_away_is_logged_once_and_when_it_is_back(
    make_delivery: Any, make_trade: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.open_failures = 4
        runner = delivery.runner(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await anyio.sleep(60)
            for n in range(3):
                sink.write_failures = 2
                delivery.journal.append([make_trade(n)])
                await anyio.sleep(60)
            await runner.stop(5)
            tasks.cancel_scope.cancel()
        assert len(sink.database.trades()) == 3

    run_virtual(main)
    said = [(r.name, r.levelname, r.message.split(":")[0]) for r in caplog.records]
    assert said == 4 * [
        ("tapeline.sink.local", "WARNING", "unavailable"),
        ("tapeline.sink.local", "INFO", "available again"),
    ]


def test_a_sink_that_fails_for_good_is_in_the_log(
    make_delivery: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        sink = MemorySink()
        sink.open_error = ValueError("no such table")
        await make_delivery().runner(sink).run()

    run_virtual(main)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("tapeline.sink.local", "ERROR")
    assert "no such table" in record.message


def test_a_sink_whose_health_raises_is_not_well_and_hurts_nobody(
    make_delivery: Any, make_trade: Any
) -> None:
    class Broken(MemorySink):
        def health(self, now: Any) -> Any:
            raise RuntimeError("a bug")

    async def main() -> None:
        delivery = make_delivery()
        sink = Broken()
        runner = delivery.runner(sink)
        delivery.journal.append([make_trade(1)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(1)
            status = runner.status()
            await runner.stop(1.0)
        assert status["healthy"] is False
        assert status["issues"] == ["health raised RuntimeError: a bug"]
        assert len(sink.database.trades()) == 1

    run_virtual(main)


def test_a_sink_is_blocked_only_when_something_has_waited_for_long(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        runner = delivery.runner(sink, settings=RunnerSettings(blocked_s=30.0))
        delivery.journal.append([make_trade(1)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            await delivery.clock.sleep(120)
            sink.write_failures = sink.open_failures = 10_000
            delivery.journal.append([make_trade(2)])
            await delivery.clock.sleep(1)
            soon = runner.status()["blocked"]
            await delivery.clock.sleep(40)
            late = runner.status()["blocked"]
            sink.write_failures = sink.open_failures = 0
            await delivery.clock.sleep(60)
            after = runner.status()["blocked"]
            await runner.stop(1.0)
        assert (soon, late, after) == (False, True, False)

    run_virtual(main)
