"""What the plugin registers."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import PluginInfo, SinkAdapter, hookimpl
from tapeline_parquet.adapter import ParquetAdapter


@hookimpl
def tapeline_plugin_info() -> PluginInfo:
    """Who this plugin is."""
    return PluginInfo(
        name="parquet",
        api=(1, 0),
        summary="Rotated Parquet files, each whole, each row once.",
    )


@hookimpl
def tapeline_sinks() -> Sequence[SinkAdapter]:
    """The Parquet sink."""
    return (ParquetAdapter(),)
