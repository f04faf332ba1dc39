"""What the plugin offers."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import PluginInfo, SinkAdapter, hookimpl
from tapeline_sqlite.adapter import SqliteAdapter


@hookimpl
def tapeline_plugin_info() -> PluginInfo:
    """Who the plugin is."""
    return PluginInfo(
        name="sqlite",
        api=(1, 0),
        summary="Rows and their cursor in one transaction of one SQLite file.",
    )


@hookimpl
def tapeline_sinks() -> Sequence[SinkAdapter]:
    """The SQLite sink."""
    return (SqliteAdapter(),)
