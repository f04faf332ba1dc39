"""What the plugin offers."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import PluginInfo, SinkAdapter, hookimpl
from tapeline_redis.adapter import RedisAdapter, RedisStreamsAdapter


@hookimpl
def tapeline_plugin_info() -> PluginInfo:
    """Who the plugin is."""
    return PluginInfo(
        name="redis",
        api=(1, 0),
        summary="Events as JSON: live to Redis channels, durably to Redis streams.",
    )


@hookimpl
def tapeline_sinks() -> Sequence[SinkAdapter]:
    """Pub/sub and streams."""
    return (RedisAdapter(), RedisStreamsAdapter())
