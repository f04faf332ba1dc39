"""What core sees of the plugin."""

from __future__ import annotations

from importlib.metadata import entry_points

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
from tapeline_callbacks import (
    CallbacksAdapter,
    CallbacksConfig,
    CallbacksSink,
    plugin,
)


def test_the_entry_point_leads_to_the_plugin() -> None:
    """Its name is the plugin's name."""
    [point] = entry_points(group=ENTRY_POINT_GROUP, name="callbacks")
    assert point.load() is plugin
    assert plugin.tapeline_plugin_info().name == "callbacks"


def test_the_hooks_are_those_of_the_contract() -> None:
    """No misspelt hook, and the sink is offered once."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(PluginSpecs)
    manager.register(plugin)
    manager.check_pending()
    [sinks] = manager.hook.tapeline_sinks()
    assert [sink.name for sink in sinks] == ["callbacks"]


def test_the_adapter_is_live_and_keeps_nothing(context: SinkContext) -> None:
    """Making a sink imports nothing."""
    adapter: SinkAdapter = CallbacksAdapter()
    assert (adapter.promise, adapter.default, adapter.accepts) == ("live", False, None)
    config = CallbacksConfig("nowhere_at_all:f")
    assert isinstance(adapter.sink(config, context), CallbacksSink)
    assert adapter.open_reader("market.db") is None


def test_options_are_read_and_described() -> None:
    """The reference is made from the descriptions."""
    given = {"target": "a.b:c", "symbols": ["BTC-USDT"]}
    options, problems = structure_options(CallbacksConfig, given, "sinks.mine", {})
    assert problems == []
    assert options == CallbacksConfig("a.b:c", symbols=("BTC-USDT",))
    for field in attrs.fields(CallbacksConfig):
        assert field.metadata["description"].endswith(".")


def test_check_names_a_target_that_cannot_be_found() -> None:
    """And says nothing of one that can."""
    adapter = CallbacksAdapter()

    assert adapter.check(CallbacksConfig("json:dumps")) is None
    problem = adapter.check(CallbacksConfig("json:dumpss"))
    assert problem is not None
    assert "did you mean 'dumps'" in problem
