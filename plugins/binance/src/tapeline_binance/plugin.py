"""What the plugin registers."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import ExchangeAdapter, PluginInfo, hookimpl
from tapeline_binance.adapter import BinanceAdapter


@hookimpl
def tapeline_plugin_info() -> PluginInfo:
    """Who this plugin is."""
    return PluginInfo(
        name="binance",
        api=(1, 0),
        summary="Binance: spot and USDⓈ-M futures markets, spot balances",
    )


@hookimpl
def tapeline_exchanges() -> Sequence[ExchangeAdapter]:
    """The Binance adapter."""
    return [BinanceAdapter()]
