"""What the plugin registers."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import ExchangeAdapter, PluginInfo, hookimpl
from tapeline_okx.adapter import OkxAdapter


@hookimpl
def tapeline_plugin_info() -> PluginInfo:
    """Who this plugin is."""
    return PluginInfo(
        name="okx",
        api=(1, 0),
        summary="OKX: spot, perpetual, dated and option markets, balances",
    )


@hookimpl
def tapeline_exchanges() -> Sequence[ExchangeAdapter]:
    """The OKX adapter."""
    return [OkxAdapter()]
