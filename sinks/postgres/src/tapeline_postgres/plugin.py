"""What the plugin offers."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import PluginInfo, SinkAdapter, hookimpl
from tapeline_postgres.adapter import PostgresAdapter


@hookimpl
def tapeline_plugin_info() -> PluginInfo:
    """Who the plugin is."""
    return PluginInfo(
        name="postgres",
        api=(1, 0),
        summary="Rows and their cursor in one transaction of a PostgreSQL database.",
    )


@hookimpl
def tapeline_sinks() -> Sequence[SinkAdapter]:
    """The sink, and the reader behind ``verify`` and ``gaps``."""
    return [PostgresAdapter()]
