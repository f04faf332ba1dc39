"""What the plugin offers."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import PluginInfo, SinkAdapter, hookimpl
from tapeline_callbacks.adapter import CallbacksAdapter


@hookimpl
def tapeline_plugin_info() -> PluginInfo:
    """Who the plugin is."""
    return PluginInfo(
        name="callbacks",
        api=(1, 0),
        summary="Events to a Python function, plain or async.",
    )


@hookimpl
def tapeline_sinks() -> Sequence[SinkAdapter]:
    """The callbacks sink."""
    return (CallbacksAdapter(),)
