"""What core sees of the plugin."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import attrs
import pluggy

from tapeline.config import structure_options
from tapeline.hookspecs import (
    ENTRY_POINT_GROUP,
    PROJECT,
    PluginSpecs,
    SinkAdapter,
    SinkContext,
)
from tapeline_sqlite import SqliteAdapter, SqliteConfig, SqliteSink, plugin


def test_the_entry_point_leads_to_the_plugin() -> None:
    """Its name is the plugin's name."""
    [point] = entry_points(group=ENTRY_POINT_GROUP, name="sqlite")
    assert point.load() is plugin
    assert plugin.tapeline_plugin_info().name == "sqlite"


def test_the_hooks_are_those_of_the_contract() -> None:
    """No misspelt hook, and the sink is offered once."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(PluginSpecs)
    manager.register(plugin)
    manager.check_pending()
    [sinks] = manager.hook.tapeline_sinks()
    assert [sink.name for sink in sinks] == ["sqlite"]


def test_the_adapter_is_the_durable_default(context: SinkContext) -> None:
    """Making a sink touches nothing."""
    adapter: SinkAdapter = SqliteAdapter()
    assert (adapter.promise, adapter.default, adapter.accepts) == (
        "durable",
        True,
        None,
    )
    assert isinstance(adapter.sink(SqliteConfig(), context), SqliteSink)
    assert list(context.data_dir.iterdir()) == []


def test_every_option_is_described() -> None:
    """The reference is made from these texts."""
    for field in attrs.fields(SqliteConfig):
        assert field.metadata["description"].endswith((".", "data_dir."))


def test_options_are_read_by_core() -> None:
    """As text from a file, or as the path that core makes for the default."""
    given = {"path": "data/market.db", "force_update_candles": True}
    options, problems = structure_options(SqliteConfig, given, "sinks.local", {})
    assert problems == []
    assert options == SqliteConfig("data/market.db", force_update_candles=True)
    options, problems = structure_options(
        SqliteConfig, {"path": Path("env:odd.db")}, "sinks.local", {}
    )
    assert problems == []
    assert options == SqliteConfig(Path("env:odd.db"))


def test_wrong_options_are_told_by_their_key() -> None:
    """Each with a sentence."""
    given = {"path": ":memory:", "synchronous": "off", "busy_timeout_s": 0}
    options, problems = structure_options(SqliteConfig, given, "sinks.local", {})
    assert options is None
    assert sorted(path for path, _ in problems) == [
        "sinks.local.busy_timeout_s",
        "sinks.local.path",
        "sinks.local.synchronous",
    ]


def test_the_adapter_stores_at_paths_and_its_addresses_and_at_no_other() -> None:
    adapter = SqliteAdapter()
    for url in ("data/market.db", "sqlite:///data/market.db"):
        options, problems = structure_options(
            SqliteConfig, adapter.options_for(url) or {}, "", {}
        )
        assert (options, problems) == (SqliteConfig(Path("data/market.db")), [])
    assert adapter.options_for("postgresql://host/market") is None
