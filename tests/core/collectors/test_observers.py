"""A plugin that watches: it hears of each failure, once, and never in floods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tapeline import CollectorManager, PluginError, StatusChange, UsageError
from tapeline.collectors.configured import build_manager
from tapeline.config import load_config
from tapeline.hookspecs import ExchangeAdapter, PluginInfo, SinkAdapter, hookimpl
from tapeline.plugins import PluginRegistry
from tapeline.testing import MemorySinkAdapter, MiniAdapter

Simulate = Callable[..., Any]


class Watchman:
    """A plugin with nothing but an observer."""

    def __init__(self) -> None:
        self.heard: list[StatusChange] = []

    @hookimpl
    def tapeline_plugin_info(self) -> PluginInfo:
        """Who it is."""
        return PluginInfo(name="watchman", api=(1, 0), summary="Listens.")

    @hookimpl
    def tapeline_status_changed(self, change: StatusChange) -> None:
        """Note it."""
        self.heard.append(change)

    def of(self, component: str) -> list[str]:
        """The states of one component, in the order they were heard."""
        return [one.after for one in self.heard if one.component == component]


class Mini:
    """A plugin with a small exchange and a sink."""

    @hookimpl
    def tapeline_plugin_info(self) -> PluginInfo:
        """Who it is."""
        return PluginInfo(name="mini", api=(1, 0), summary="Trades.")

    @hookimpl
    def tapeline_exchanges(self) -> Sequence[ExchangeAdapter]:
        """One."""
        return [MiniAdapter()]

    @hookimpl
    def tapeline_sinks(self) -> Sequence[SinkAdapter]:
        """One."""
        sink = MemorySinkAdapter()
        sink.name = "mini.memory"
        return [sink]


@pytest.fixture
def watchman() -> Watchman:
    """The plugin."""
    return Watchman()


@pytest.fixture
def registry(watchman: Watchman) -> PluginRegistry:
    """The installed plugins, a small exchange, and the one that watches."""
    return PluginRegistry(plugins={"watchman": watchman, "mini": Mini()})


def test_a_plugin_hears_of_a_failed_collector_once(
    make: Any, simulate: Simulate, watchman: Watchman, registry: PluginRegistry
) -> None:
    async def body() -> None:
        registry.load("watchman")
        manager = CollectorManager(plugins=registry)
        bad, good = make(["BTC-USDT"]), make(["ETH-USDT"])
        bad.script = [ValueError("a bug")] * 100
        manager.add_collector(bad)
        manager.add_collector(good)
        await manager.start()
        await manager._seams.clock.sleep(3_600)
        await manager.stop()

    simulate(body)

    heard = watchman.of("collector ticks_collector")
    assert heard.count("failed") == 1
    assert watchman.of("collector ticks_collector_2") == [
        "starting",
        "running",
        "stopping",
        "stopped",
    ]
    (failed,) = [one for one in watchman.heard if one.after == "failed"]
    assert "a bug" in failed.reason
    assert watchman.of("collection").count("failing") == 1


def test_a_collector_that_flaps_for_hours_is_heard_of_a_few_times_an_hour(
    make: Any, simulate: Simulate, watchman: Watchman, registry: PluginRegistry
) -> None:
    async def body() -> None:
        registry.load("watchman")
        manager = CollectorManager(plugins=registry)
        collector = make(["BTC-USDT"])
        # Reconnects at once, each second.
        collector.script = [ConnectionError("reset")] * 10_000
        manager.add_collector(collector)
        await manager.start()
        await manager._seams.clock.sleep(7_200)
        await manager.stop()
        assert len(collector.script) < 9_000

    simulate(body)

    # Of each state three a minute at most, and what stood at the end.
    heard = watchman.of("collector ticks_collector")
    assert 4 < len(heard) <= 2 * 3 * 120 + 10
    assert heard[-1] == "stopped"


CONFIGURED = """
[runtime]
plugins = ["{name}"]

[collectors.a]
exchange = "mini"
symbols = ["A-B"]

[sinks.kept]
use = "mini.memory"
"""


def test_a_plugin_that_only_watches_is_named_in_the_configuration(
    tmp_path: Path, simulate: Simulate, watchman: Watchman, registry: PluginRegistry
) -> None:
    path = tmp_path / "tapeline.toml"
    path.write_text(CONFIGURED.format(name="watchman"))

    async def body() -> None:
        config = load_config(path, registry, {})
        manager = build_manager(config, registry, embedded=False)
        manager.remove_collector("a")
        await manager.start()
        await manager._seams.clock.sleep(10)
        await manager.stop()

    simulate(body)

    assert watchman.of("collection") == ["healthy"]


def test_a_plugin_that_cannot_be_loaded_is_told_of(
    tmp_path: Path, simulate: Simulate
) -> None:
    class Broken:
        @hookimpl
        def tapeline_plugin_info(self) -> PluginInfo:
            raise ValueError("a bug")

    registry = PluginRegistry(plugins={"broken": Broken(), "mini": Mini()})

    async def body(name: str) -> None:
        path = tmp_path / "tapeline.toml"
        path.write_text(CONFIGURED.format(name=name))
        build_manager(load_config(path, registry, {}), registry, embedded=False)

    with pytest.raises(PluginError, match="plugin 'broken' is"):
        simulate(lambda: body("broken"))
    with pytest.raises(UsageError, match="expected an installed plugin"):
        simulate(lambda: body("nobody"))
