"""A subclass that overrides and uses what it was told it may."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline import (
    CollectorManager,
    CollectorStatus,
    DataType,
    DataValidationError,
    MarketDataPoint,
)

Simulate = Callable[..., Any]


class Websocket:
    """A connection as many libraries have it."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        """Close it."""
        self.closed = True


def test_counting_points_and_faults_in_overridden_methods(
    make: Any, simulate: Simulate
) -> None:
    class Monitored(make):  # type: ignore[misc]
        points = 0
        faults = 0

        async def _notify_callbacks(self, data_point: MarketDataPoint) -> None:
            self.points += 1
            assert self.get_status()["statistics"]["uptime_seconds"] is not None
            await super()._notify_callbacks(data_point)

        async def _handle_connection_error(self) -> bool:
            self.faults += 1
            outcome: bool = await super()._handle_connection_error()
            return outcome

    async def body() -> None:
        collector = Monitored(["A-B"])
        seen: list[Any] = []
        collector.add_data_callback(DataType.TICKER, seen.append)
        await collector.start()
        await anyio.sleep(5.5)
        collector.script = [ConnectionError("reset")]
        await anyio.sleep(20)
        await collector.stop()

        assert collector.points == len(seen) == collector.number > 10
        assert collector.faults == 1
        assert collector.get_status()["statistics"]["restarts"] == 0

    simulate(body)


def test_a_subclass_may_decide_not_to_reconnect(make: Any, simulate: Simulate) -> None:
    class GivesUp(make):  # type: ignore[misc]
        async def _handle_connection_error(self) -> bool:
            return False

    async def body() -> None:
        collector = GivesUp(["A-B"])
        collector.script = [TimeoutError("late")]
        await collector.start()
        await anyio.sleep(5)
        status = collector.get_status()
        await collector.stop()
        assert status["status"] == "error"
        assert status["statistics"]["last_error"] == "TimeoutError: late"
        assert collector.calls.count("connect") == 1

    simulate(body)


def test_the_health_of_the_connection_may_be_awaited_in_the_handler(
    make: Any, simulate: Simulate
) -> None:
    class Careful(make):  # type: ignore[misc]
        async def connect(self) -> bool:
            self.websocket = Websocket()
            connected: bool = await super().connect()
            return connected

        async def _handle_messages(self) -> None:
            if not await self._check_connection_health():
                raise ConnectionError("connection health check failed")
            await super()._handle_messages()

    async def body() -> None:
        collector = Careful(["A-B"])
        await collector.start()
        await anyio.sleep(3.5)
        first = collector.websocket
        await first.close()
        await anyio.sleep(10)
        second = collector.websocket
        status = collector.get_status()
        await collector.stop()

        assert second is not first
        assert status["status"] == "running"
        assert status["statistics"]["restarts"] == 0
        assert second.closed, "super().disconnect() closes it"
        assert collector.websocket is None

    simulate(body)


@pytest.mark.parametrize("kind", ["coroutine", "function", "raises", "hangs"])
def test_an_overridden_check_of_the_connection_restarts(
    make: Any, simulate: Simulate, kind: str
) -> None:
    class Sick(make):  # type: ignore[misc]
        sick = False

        async def _check_connection_health(self) -> bool:
            if self.sick and kind == "raises":
                raise RuntimeError("cannot tell")
            if self.sick and kind == "hangs":
                await anyio.sleep_forever()
            return not self.sick

    if kind == "function":
        plain: Any = lambda self: not self.sick  # noqa: E731 - as short as it is
        setattr(Sick, "_check_connection_health", plain)  # noqa: B010 - typed as async

    async def body() -> None:
        collector = Sick(["A-B"], health_check_interval=10.0)
        await collector.start()
        await anyio.sleep(15)
        collector.sick = True
        with anyio.fail_after(22):
            while collector.get_status()["statistics"]["restarts"] == 0:  # noqa: ASYNC110
                await anyio.sleep(0.1)
        collector.sick = False
        await anyio.sleep(15)
        health = collector.get_health_status()
        await collector.stop()
        assert health["is_healthy"]

    simulate(body)


def test_cleaning_up_by_clearing_the_lists_of_callbacks(
    make: Any, simulate: Simulate
) -> None:
    class Clean(make):  # type: ignore[misc]
        async def disconnect(self) -> None:
            for callbacks in self._data_callbacks.values():
                callbacks.clear()
            await super().disconnect()

    async def body() -> None:
        collector = Clean(["A-B"])
        seen: list[Any] = []

        async def later(point: object) -> None:
            seen.append(point)

        collector.add_data_callback(DataType.TICKER, later)
        await collector.start()
        await anyio.sleep(3.5)
        await collector.stop()
        assert len(seen) == 3
        assert not any(collector._data_callbacks.values())

    simulate(body)


def test_an_async_callback_that_never_returns_holds_back_nobody(
    make: Any, simulate: Simulate
) -> None:
    async def body() -> None:
        collector = make(["A-B"])
        seen: list[Any] = []

        async def hang(point: object) -> None:
            await anyio.sleep_forever()

        async def later(point: object) -> None:
            seen.append(point)

        collector.add_data_callback(DataType.TICKER, hang)
        collector.add_data_callback(DataType.TICKER, later)
        await collector.start()
        await anyio.sleep(100.5)
        status = collector.get_status()
        await collector.stop()
        assert len(seen) == 100
        assert status["statistics"]["restarts"] == 0
        assert status["status"] == "running"

    simulate(body)


def test_a_callback_may_restart_or_disable_its_own_collector(
    make: Any, simulate: Simulate
) -> None:
    async def body() -> None:
        manager = CollectorManager(restart_delay=0.0)
        collector = make(["A-B"])
        told: list[str] = []

        async def meddle(point: MarketDataPoint) -> None:
            if point.data["last"] == 3:
                assert await manager.restart_collector("ticks_collector")
                told.append("restarted")
            if point.data["last"] == 6:
                manager.disable_collector("ticks_collector")

        collector.add_data_callback(DataType.TICKER, meddle)
        manager.add_collector(collector)
        await manager.start()
        await anyio.sleep(30)
        assert told == ["restarted"]
        assert collector.get_status()["statistics"]["restarts"] == 1
        assert collector.status is CollectorStatus.STOPPED
        assert collector.calls[-1] == "disconnect"
        await manager.stop()

    simulate(body)


def test_connecting_has_a_deadline_and_a_stop_ends_it_at_once(
    make: Any, simulate: Simulate
) -> None:
    class Hangs(make):  # type: ignore[misc]
        async def connect(self) -> bool:
            self.calls.append("connect")
            await anyio.sleep_forever()
            return True

    async def body() -> None:
        collector = Hangs(["A-B"])
        before = anyio.current_time()
        assert await collector.start() is False
        assert anyio.current_time() - before == pytest.approx(60, abs=1)
        last_error = collector.get_status()["statistics"]["last_error"]
        assert last_error == "connecting took more than 60 s"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collector.start)
            await anyio.sleep(1)
            before = anyio.current_time()
            await collector.stop(force=True)
            assert anyio.current_time() - before < 1
        assert collector.status is CollectorStatus.STOPPED

    simulate(body)


@pytest.mark.parametrize(("force", "longest_s"), [(True, 3), (False, 21)])
def test_a_stop_has_a_deadline_whatever_the_subclass_does(
    make: Any, simulate: Simulate, force: bool, longest_s: float
) -> None:
    class Clings(make):  # type: ignore[misc]
        async def _handle_messages(self) -> None:
            await anyio.sleep_forever()

        async def disconnect(self) -> None:
            await anyio.sleep_forever()

    async def body() -> None:
        collector = Clings(["A-B"])
        await collector.start()
        await anyio.sleep(1)
        before = anyio.current_time()
        await collector.stop(force=force)
        assert anyio.current_time() - before < longest_s
        assert collector.status is CollectorStatus.STOPPED

    simulate(body)


def test_repeats_of_bad_data_are_told_with_a_count(
    make: Any, simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("test.subclass.repeats")

    async def body() -> None:
        collector = make(["A-B"], logger=log)
        collector.script = [DataValidationError("expected a price")] * 100
        await collector.start()
        await anyio.sleep(105)
        errors = collector.get_status()["statistics"]["errors"]
        await collector.stop()
        assert errors == 100

    with caplog.at_level(logging.INFO, logger=log.name):
        simulate(body)
    told = [r.getMessage() for r in caplog.records if "bad data" in r.getMessage()]
    assert told[0] == "skipped bad data: expected a price"
    assert told[1] == "skipped bad data: expected a price (and 59 more of these before)"
    assert told[2:] == ["bad data: 39 more of these"]


def test_a_collector_and_a_manager_without_a_logger_are_silent(
    make: Any, simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        manager = CollectorManager()
        collector = make(["A-B"])
        collector.script = [
            DataValidationError("expected a price"),
            ConnectionError("reset"),
            ValueError("a bug"),
        ]
        manager.add_collector(collector)
        await manager.start()
        await anyio.sleep(60)
        await manager.stop()

    with caplog.at_level(logging.DEBUG):
        simulate(body)
    ours = [r for r in caplog.records if r.name not in ("asyncio",)]
    assert ours == []
