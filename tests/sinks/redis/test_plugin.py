"""What core sees of the plugin, and what an operator may write."""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import Any

import attrs
import pluggy
import pytest

from tapeline.config import structure_options
from tapeline.hookspecs import (
    ENTRY_POINT_GROUP,
    PROJECT,
    PluginSpecs,
    SinkAdapter,
    SinkContext,
)
from tapeline.logs import mask
from tapeline_redis import (
    RedisAdapter,
    RedisConfig,
    RedisSink,
    RedisStreamsAdapter,
    RedisStreamsConfig,
    RedisStreamsSink,
    plugin,
)
from tapeline_redis.connection import address_of


def test_the_entry_point_leads_to_the_plugin() -> None:
    [point] = entry_points(group=ENTRY_POINT_GROUP, name="redis")
    assert point.load() is plugin
    assert plugin.tapeline_plugin_info().name == "redis"


def test_both_sinks_are_offered() -> None:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(PluginSpecs)
    manager.register(plugin)
    manager.check_pending()
    [sinks] = manager.hook.tapeline_sinks()
    promises = {sink.name: sink.promise for sink in sinks}
    assert promises == {"redis": "live", "redis.streams": "durable"}


def test_making_a_sink_opens_nothing(context: SinkContext) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    live: SinkAdapter = RedisAdapter()
    durable: SinkAdapter = RedisStreamsAdapter()
    assert isinstance(live.sink(RedisConfig(nowhere), context), RedisSink)
    made = durable.sink(RedisStreamsConfig(nowhere), context)
    assert isinstance(made, RedisStreamsSink)
    assert live.open_reader(nowhere) is durable.open_reader(nowhere) is None


@pytest.mark.parametrize("config", [RedisConfig, RedisStreamsConfig])
def test_options_are_read_described_and_secret(config: Any) -> None:
    given = {"url": "env:REDIS_URL", "prefix": "{mine}", "timeout_s": 2}
    environ = {"REDIS_URL": "redis://feeder:s3cret-w0rd@db.example:6380/2"}
    options, problems = structure_options(config, given, "sinks.live", environ)
    assert problems == []
    assert options is not None
    assert "s3cret" not in repr(options)
    assert mask("denied for s3cret-w0rd") == "denied for <secret>"
    assert address_of(options.url.reveal()) == "db.example:6380/2"
    for field in attrs.fields(config):
        assert field.metadata["description"].endswith(".")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("url", "http://host", "expected an address like redis://"),
        ("url", "localhost:6379", "expected an address like redis://"),
        ("prefix", "my *", "without spaces, brackets and wildcards"),
        ("timeout_s", 0, "a number of seconds above 0"),
        ("max_entries", -1, "a number of entries from 0 on"),
    ],
)
def test_what_cannot_be_meant_is_refused(key: str, value: Any, sentence: str) -> None:
    given = {"url": "redis://localhost", key: value}
    _, problems = structure_options(RedisStreamsConfig, given, "sinks.x", {})
    [(path, text)] = problems
    assert path == f"sinks.x.{key}"
    assert sentence in text


def test_a_driver_s_complaint_holds_no_password(
    context: SinkContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sink = RedisSink(RedisConfig("redis://u:hidden-word@h/0"), context)
    assert "hidden-word" not in repr(vars(sink)["_address"])
