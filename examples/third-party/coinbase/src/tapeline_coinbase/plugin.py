"""What the plugin registers."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import ExchangeAdapter, PluginInfo, hookimpl
from tapeline_coinbase.adapter import CoinbaseAdapter


@hookimpl
def tapeline_plugin_info() -> PluginInfo:
    """Who this plugin is."""
    return PluginInfo(
        name="coinbase",
        api=(1, 0),
        summary="Coinbase Advanced Trade: public trades, books and tickers of spot",
    )


@hookimpl
def tapeline_exchanges() -> Sequence[ExchangeAdapter]:
    """The Coinbase adapter."""
    return [CoinbaseAdapter()]
