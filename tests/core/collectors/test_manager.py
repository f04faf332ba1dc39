"""The manager supervises collectors that know nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline import CollectorConfig, CollectorManager, UsageError


def test_all_start_and_stop_together(make: Any, simulate: Callable[..., Any]) -> None:
    async def body() -> None:
        manager = CollectorManager()
        for symbol in ("A-B", "C-D", "E-F"):
            manager.add_collector(make([symbol]))

        assert await manager.start() is True
        running = manager.get_running_collectors()
        await manager.stop()

        assert running == manager.list_collectors()
        assert len(set(running)) == 3
        assert manager.get_running_collectors() == []

    simulate(body)


def test_one_that_cannot_start_is_failed_and_the_others_run(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        manager = CollectorManager()
        bad, good = make(["A-B"]), make(["C-D"])
        bad.can_connect = False
        manager.add_collector(bad)
        manager.add_collector(good)

        assert await manager.start() is False
        status = manager.get_status()
        await manager.stop()

        assert status["statistics"]["failed_collectors"] == 1
        assert status["statistics"]["running_collectors"] == 1
        json.dumps(status)

    simulate(body)


def test_disable_stops_and_keeps_and_enable_starts_again(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        manager = CollectorManager()
        one, two = make(["A-B"]), make(["C-D"])
        manager.add_collector(one)
        manager.add_collector(two)
        await manager.start()
        name = manager.list_collectors()[0]

        assert manager.disable_collector(name) is True
        await anyio.sleep(1)
        assert manager.get_running_collectors() == manager.list_collectors()[1:]
        assert manager.enable_collector(name) is True
        await anyio.sleep(1)
        assert len(manager.get_running_collectors()) == 2
        assert two.calls == ["connect", "subscribe C-D"]
        assert manager.disable_collector("nobody") is False
        await manager.stop()

    simulate(body)


def test_adding_while_running_starts_and_removing_stops(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        manager = CollectorManager()
        await manager.start()
        collector = make(["A-B"])
        manager.add_collector(collector)
        await anyio.sleep(1)
        assert manager.get_running_collectors() == ["ticks_collector"]

        assert manager.remove_collector("ticks_collector") is True
        await anyio.sleep(1)
        assert collector.calls[-1] == "disconnect"
        assert manager.remove_collector("ticks_collector") is False
        await manager.stop()

    simulate(body)


def test_restarts_are_spaced_by_the_restart_delay(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        manager = CollectorManager(restart_delay=5.0)
        manager.add_collector(make(["A-B"]))
        manager.add_collector(make(["C-D"]))
        await manager.start()
        begin = anyio.current_time()

        done = await manager.restart_all_collectors()

        assert list(done.values()) == [True, True]
        assert anyio.current_time() - begin >= 5.0
        assert await manager.restart_collector("nobody") is False
        await manager.stop()

    simulate(body)


def test_a_configuration_wins_but_may_not_name_other_symbols(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        manager = CollectorManager()
        collector = make(["A-B"])
        manager.add_collector(
            collector,
            CollectorConfig("mine", "ticks", ["A-B"], ["ticker"], auto_restart=False),
        )
        assert manager.list_collectors() == ["mine"]
        assert collector.auto_restart is False

        for config in (
            CollectorConfig("x", "ticks", ["OTHER-B"], ["ticker"]),
            CollectorConfig("y", "elsewhere", ["A-B"], ["ticker"]),
            CollectorConfig("mine", "ticks", ["A-B"], ["ticker"]),
        ):
            with pytest.raises(UsageError):
                manager.add_collector(make(["A-B"]), config)

    simulate(body)


def test_a_disabled_configuration_is_kept_and_not_started(
    make: Any, simulate: Callable[..., Any]
) -> None:
    async def body() -> None:
        manager = CollectorManager()
        manager.add_collector(
            make(["A-B"]),
            CollectorConfig("off", "ticks", ["A-B"], ["ticker"], enabled=False),
        )
        assert await manager.start() is True
        assert manager.get_running_collectors() == []
        assert manager.get_collector_status("off") is not None
        assert manager.get_collector_status("nobody") is None
        await manager.stop()

    simulate(body)
