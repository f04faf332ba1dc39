"""Every trigger of a restart is found within one interval, and bounded."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline import CollectorManager, CollectorStatus, StatusChange, TapelineError

Simulate = Callable[..., Any]

INTERVAL_S = 30.0


def _changes(collector: Any) -> list[StatusChange]:
    seen: list[StatusChange] = []
    collector.observe(seen.append)
    return seen


def _first(changes: list[StatusChange], after: str) -> StatusChange:
    return next(change for change in changes if change.after == after)


async def _until_restarted(collector: Any, limit_s: float) -> float:
    """Virtual seconds until the first restart."""
    clock = collector._seams.clock
    since_ns = clock.monotonic_ns()
    with anyio.fail_after(limit_s):
        while collector.get_status()["statistics"]["restarts"] == 0:
            await clock.sleep(0.1)
    return float((clock.monotonic_ns() - since_ns) / 1e9)


def test_a_handler_that_hangs_is_restarted_within_one_interval(
    make: Any, simulate: Simulate
) -> None:
    class Hangs(make):  # type: ignore[misc]
        async def _handle_messages(self) -> None:
            if self.number == 3 and self.calls.count("connect") == 1:
                await anyio.sleep_forever()
            await super()._handle_messages()

    async def body() -> None:
        collector = Hangs(["BTC-USDT"])
        changes = _changes(collector)
        await collector.start()
        await collector._seams.clock.sleep(3.5)
        waited_s = await _until_restarted(collector, 100)
        await collector._seams.clock.sleep(20)
        status = collector.get_status()
        await collector.stop()

        assert waited_s <= INTERVAL_S
        assert "no heartbeat for 30 s" in _first(changes, "restarting").reason
        assert status["status"] == "running"
        assert collector.number > 5

    simulate(body)


def test_no_data_for_the_longest_silence_restarts_a_collector_without_a_probe(
    make: Any, simulate: Simulate
) -> None:
    class Silent(make):  # type: ignore[misc]
        async def _process_message(self, message: Any) -> Any:
            return None

    async def body() -> None:
        collector = Silent(["BTC-USDT"])
        await collector.start()
        waited_s = await _until_restarted(collector, 1_000)
        await collector.stop()

        assert 300 <= waited_s <= 300 + INTERVAL_S
        last_error = collector.get_status()["statistics"]["last_error"]
        assert last_error == "no data for 300 s"

    simulate(body)


def test_a_connection_that_is_not_healthy_restarts(
    make: Any, simulate: Simulate
) -> None:
    class Sick(make):  # type: ignore[misc]
        sick = False

        def _check_connection_health(self) -> bool:
            return not self.sick

    async def body() -> None:
        collector = Sick(["BTC-USDT"])
        changes = _changes(collector)
        await collector.start()
        await collector._seams.clock.sleep(45)
        collector.sick = True
        waited_s = await _until_restarted(collector, 100)
        collector.sick = False
        await collector.stop()

        assert waited_s <= INTERVAL_S
        assert _first(changes, "unhealthy").reason == "the connection is not healthy"

    simulate(body)


@pytest.mark.parametrize("found", [CollectorStatus.ERROR, CollectorStatus.UNHEALTHY])
def test_a_status_that_the_subclass_sets_restarts(
    make: Any, simulate: Simulate, found: CollectorStatus
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        await collector.start()
        await collector._seams.clock.sleep(5)
        collector.status = found
        waited_s = await _until_restarted(collector, 100)
        await collector._seams.clock.sleep(20)
        status = collector.status
        await collector.stop()

        assert waited_s <= INTERVAL_S
        assert status is CollectorStatus.RUNNING

    simulate(body)


def test_without_auto_restart_trouble_is_told_and_nothing_else(
    make: Any, simulate: Simulate
) -> None:
    class Sick(make):  # type: ignore[misc]
        sick = True

        def _check_connection_health(self) -> bool:
            return not self.sick

    async def body() -> None:
        collector = Sick(["BTC-USDT"], auto_restart=False)
        changes = _changes(collector)
        await collector.start()
        await collector._seams.clock.sleep(100)
        troubled = collector.get_status()
        collector.sick = False
        await collector._seams.clock.sleep(40)
        well = collector.get_status()
        await collector.stop()

        assert troubled["status"] == "unhealthy"
        assert troubled["statistics"]["restarts"] == 0
        assert well["status"] == "running"
        assert [change.after for change in changes].count("unhealthy") == 1

    simulate(body)


def test_after_five_restarts_within_an_hour_it_has_failed_and_says_so(
    make: Any, simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        log = logging.getLogger("test.supervision")
        collector = make(["BTC-USDT"], logger=log)
        collector.script = [ValueError("a bug")] * 100
        manager = CollectorManager()
        changes: list[StatusChange] = []
        manager.add_observer(changes.append)
        manager.add_collector(collector)
        with caplog.at_level(logging.INFO, logger="test.supervision"):
            await manager.start()
            await manager._seams.clock.sleep(3_600)
        status = manager.get_status()
        failed = manager.get_failed_collectors()
        health = collector.get_health_status()
        await manager.stop()

        statistics = status["collectors"]["ticks_collector"]["statistics"]
        assert statistics["restarts"] == 5
        assert failed == ["ticks_collector"]
        assert status["statistics"]["failed_collectors"] == 1
        assert "a bug" in _first(changes, "failed").reason
        assert not health["is_healthy"]
        attempts = [r for r in caplog.records if "restarting" in r.message]
        assert len(attempts) == 5

    simulate(body)


def test_a_restart_by_hand_gives_a_failed_collector_another_chance(
    make: Any, simulate: Simulate
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        collector.max_restarts = 1
        collector.script = [ValueError("a bug")] * 2
        await collector.start()
        await collector._seams.clock.sleep(120)
        seen = [(collector.status, bool(collector.failed))]

        assert await collector.restart()
        await collector._seams.clock.sleep(5)
        seen.append((collector.status, bool(collector.failed)))
        assert seen == [
            (CollectorStatus.ERROR, True),
            (CollectorStatus.RUNNING, False),
        ]
        await collector.stop()

    simulate(body)


def test_a_connection_is_tried_again_without_end_and_is_in_error_meanwhile(
    make: Any, simulate: Simulate
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        await collector.start()
        collector.can_connect = False
        collector.script = [ConnectionError("reset")]
        await collector._seams.clock.sleep(2 * 3_600)
        status = collector.get_status()
        collector.can_connect = True
        await collector._seams.clock.sleep(70)
        after = collector.get_status()
        await collector.stop()

        assert status["status"] == "error"
        assert status["statistics"]["reconnect_attempts"] > 100
        assert status["statistics"]["restarts"] == 0
        assert after["status"] == "running"

    simulate(body)


def test_a_final_error_is_not_tried_again(make: Any, simulate: Simulate) -> None:
    class Refused(make):  # type: ignore[misc]
        async def connect(self) -> bool:
            self.calls.append("connect")
            raise TapelineError("expected a key that is known, found another")

    async def body() -> None:
        collector = Refused(["BTC-USDT"])
        manager = CollectorManager(global_health_check_interval=10)
        changes: list[StatusChange] = []
        manager.add_observer(changes.append)
        manager.add_collector(collector)
        await manager.start()
        await manager._seams.clock.sleep(600)
        await manager.stop()

        assert collector.calls.count("connect") == 1
        assert "expected a key" in _first(changes, "failed").reason

    simulate(body)


def test_the_manager_starts_what_did_not_start(make: Any, simulate: Simulate) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        collector.can_connect = False
        manager = CollectorManager(global_health_check_interval=60)
        manager.add_collector(collector)
        assert await manager.start() is False
        await manager._seams.clock.sleep(30)
        collector.can_connect = True
        await manager._seams.clock.sleep(40)
        running = manager.get_running_collectors()
        await manager.stop()

        assert running == ["ticks_collector"]

    simulate(body)


def test_one_bad_collector_leaves_nineteen_others_untouched(
    make: Any, simulate: Simulate
) -> None:
    async def body() -> None:
        manager = CollectorManager()
        collectors = [make([f"S{number}-USDT"]) for number in range(20)]
        for collector in collectors:
            manager.add_collector(collector)
        collectors[7].script = [ValueError("a bug")] * 1_000
        await manager.start()
        await manager._seams.clock.sleep(1_000.5)
        await manager.stop()

        others = [c for n, c in enumerate(collectors) if n != 7]
        assert {collector.number for collector in others} == {1_000}
        assert {collector.calls.count("connect") for collector in others} == {1}
        assert collectors[7].number == 0

    simulate(body)


def test_every_restart_of_the_manager_keeps_its_pause(
    make: Any, simulate: Simulate
) -> None:
    async def body() -> None:
        manager = CollectorManager(restart_delay=5.0)
        for number in range(3):
            manager.add_collector(make([f"S{number}-USDT"]))
        await manager.start()
        clock = manager._seams.clock
        since_ns = clock.monotonic_ns()
        done = await manager.restart_all_collectors()
        took_s = (clock.monotonic_ns() - since_ns) / 1e9
        await manager.stop()

        assert list(done.values()) == [True] * 3
        assert took_s >= 10.0

    simulate(body)


@pytest.mark.parametrize("end", ["disable", "remove"])
def test_a_restart_that_waited_its_turn_revives_nothing_that_ended_meanwhile(
    make: Any, simulate: Simulate, end: str
) -> None:
    async def body() -> None:
        manager = CollectorManager(restart_delay=5.0)
        first, second = make(["A-USDT"]), make(["B-USDT"])
        manager.add_collector(first)
        manager.add_collector(second)
        await manager.start()
        clock = manager._seams.clock
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(manager.restart_collector, "ticks_collector")
            tasks.start_soon(manager.restart_collector, "ticks_collector_2")
            await clock.sleep(1)
            if end == "disable":
                manager.disable_collector("ticks_collector_2")
            else:
                manager.remove_collector("ticks_collector_2")
        await clock.sleep(10)
        revived = second.status
        await manager.stop()

        assert revived is CollectorStatus.STOPPED
        assert second.status is CollectorStatus.STOPPED

    simulate(body)
