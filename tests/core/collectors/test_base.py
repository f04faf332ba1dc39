"""A subclass with only the six methods gets life, callbacks and statistics."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline import CollectorStatus, DataType, DataValidationError

STATUS_KEYS = {
    "exchange",
    "status",
    "should_be_running",
    "symbols",
    "data_types",
    "auto_restart",
    "health",
    "statistics",
}
HEALTH_KEYS = {"time_since_heartbeat", "time_since_data", "max_silence_duration"}
STATISTICS_KEYS = {
    "messages_received",
    "messages_processed",
    "errors",
    "restarts",
    "uptime_seconds",
    "reconnect_attempts",
    "last_message_time",
    "connection_uptime",
    "last_error",
    "last_restart_time",
}
HEALTH_STATUS_KEYS = {
    "is_healthy",
    "issues",
    "status",
    "last_heartbeat",
    "last_data_received",
    "should_be_running",
    "is_running",
}


def test_start_connects_and_subscribes_and_stop_lets_go(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT", "ETH-USDT"])
        seen: list[Any] = []
        collector.add_data_callback(DataType.TICKER, lambda p: seen.append(p.data))

        assert await collector.start() is True
        assert collector.get_status()["status"] == "running"
        await anyio.sleep(5.5)
        await collector.stop()

        assert collector.status is CollectorStatus.STOPPED
        assert collector.calls == [
            "connect",
            "subscribe BTC-USDT,ETH-USDT",
            "disconnect",
        ]
        assert [point["last"] for point in seen] == [1, 2, 3, 4, 5]

    simulate(body)


def test_a_start_that_fails_says_why(make: Any, simulate: Callable[..., Any]) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        collector.can_connect = False

        assert await collector.start() is False

        status = collector.get_status()
        assert status["status"] == "error"
        assert "connect() returned False" in status["statistics"]["last_error"]
        assert not collector.get_health_status()["is_healthy"]

    simulate(body)


@pytest.mark.parametrize(
    "fault", [ConnectionError("reset"), TimeoutError("late"), OSError("down")]
)
def test_a_connection_fault_reconnects_and_the_stream_goes_on(
    make: Any, simulate: Callable[..., Any], fault: Exception
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        collector.script = [fault]
        await collector.start()
        await anyio.sleep(20)
        status = collector.get_status()
        await collector.stop()

        assert status["status"] == "running"
        assert collector.calls.count("connect") == 2
        assert collector.number > 5
        assert status["statistics"]["restarts"] == 0

    simulate(body)


def test_bad_data_is_counted_and_never_restarts_anything(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        collector.script = [DataValidationError("expected a price, found none")] * 3
        await collector.start()
        await anyio.sleep(10)
        status = collector.get_status()
        await collector.stop()

        assert status["statistics"]["errors"] == 3
        assert status["statistics"]["restarts"] == 0
        assert collector.calls.count("connect") == 1
        assert collector.number > 3

    simulate(body)


def test_any_other_error_restarts_the_collector(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        collector.script = [ValueError("a bug")]
        await collector.start()
        await anyio.sleep(20)
        status = collector.get_status()
        await collector.stop()

        assert status["statistics"]["restarts"] == 1
        assert status["statistics"]["last_error"] == "ValueError: a bug"
        assert status["statistics"]["last_restart_time"]
        assert status["status"] == "running"

    simulate(body)


def test_without_auto_restart_an_unexpected_error_ends_in_error(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"], auto_restart=False)
        collector.script = [ValueError("a bug")]
        await collector.start()
        await anyio.sleep(5)

        assert collector.get_status()["status"] == "error"
        await collector.stop()

    simulate(body)


def test_a_callback_that_raises_is_counted_and_the_others_are_called(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        seen: list[object] = []

        def bad(point: object) -> None:
            raise RuntimeError("no")

        async def later(point: object) -> None:
            seen.append(point)

        collector.add_data_callback(DataType.TICKER, bad)
        collector.add_data_callback(DataType.TICKER, later)
        await collector.start()
        await anyio.sleep(4.5)
        status = collector.get_status()
        await collector.stop()

        assert len(seen) == 4
        assert status["statistics"]["errors"] == 4
        assert status["statistics"]["restarts"] == 0

    simulate(body)


def test_a_removed_callback_is_not_called(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        seen: list[object] = []
        collector.add_data_callback(DataType.TICKER, seen.append)
        collector.remove_data_callback(DataType.TICKER, seen.append)
        await collector.start()
        await anyio.sleep(3)
        await collector.stop()

        assert seen == []

    simulate(body)


def test_symbols_come_and_go_while_it_runs(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        await collector.start()
        collector.add_symbol("ETH-USDT")
        collector.add_symbol("ETH-USDT")
        await anyio.sleep(1)
        collector.remove_symbol("BTC-USDT")
        await anyio.sleep(1)
        await collector.stop()

        assert collector.symbols == ["ETH-USDT"]
        assert collector.calls.count("subscribe ETH-USDT") == 1
        assert collector.calls.count("unsubscribe BTC-USDT") == 1

    simulate(body)


def test_restart_is_counted(make: Any, simulate: Callable[..., Any]) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        await collector.start()
        assert await collector.restart() is True
        status = collector.get_status()
        await collector.stop()

        assert status["statistics"]["restarts"] == 1
        assert status["status"] == "running"

    simulate(body)


def test_status_and_health_have_the_promised_keys_and_are_json_ready(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        collector = make(["BTC-USDT"])
        await collector.start()
        await anyio.sleep(3)
        status, health = collector.get_status(), collector.get_health_status()
        await collector.stop()

        assert status.keys() == STATUS_KEYS
        assert status["health"].keys() == HEALTH_KEYS
        assert status["statistics"].keys() == STATISTICS_KEYS
        assert health.keys() == HEALTH_STATUS_KEYS
        json.dumps([status, health])
        assert health["is_healthy"]
        assert health["is_running"]
        assert status["statistics"]["uptime_seconds"] == pytest.approx(3.0, abs=0.1)
        assert status["statistics"]["last_message_time"].endswith("+00:00")

    simulate(body)


def test_a_text_in_place_of_a_list_of_symbols_is_refused(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        with pytest.raises(TypeError, match=r"\['BTC-USDT'\]"):
            make("BTC-USDT")

    simulate(body)


def test_the_websocket_of_a_subclass_is_closed_on_stop(
    make: Any, simulate: Callable[..., Any]
) -> None:
    class FakeWebsocket:
        closed = False

        async def close(self) -> None:
            self.closed = True

    async def body() -> None:
        collector = make(["BTC-USDT"])
        await collector.start()
        websocket = collector.websocket = FakeWebsocket()
        await collector.stop()

        assert websocket.closed
        assert collector.websocket is None

    simulate(body)
