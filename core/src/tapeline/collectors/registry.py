"""What is installed, asked without a loop and without blocking one."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

from tapeline.model import Instrument
from tapeline.plugins import PluginRegistry
from tapeline.runtime import current_seams, fetch_instruments

_SYMBOL = re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-[A-Z0-9]+)*\Z")
_instruments: dict[str, list[Instrument]] = {}


@functools.cache
def plugins() -> PluginRegistry:
    """The installed plugins, read from metadata once per process."""
    return PluginRegistry()


def get_supported_exchanges() -> list[str]:
    """Names of the exchanges whose plugins are installed and active, sorted."""
    return sorted(plugins().exchanges())


def get_exchange_info(exchange: str) -> dict[str, Any]:
    """What *exchange* supports.

    Returns:
        ``supported_pairs`` (from the last ``refresh_instruments``; empty before),
        ``supported_data_types``, ``markets``, ``timeframes`` of its own candles.

    Raises:
        UnknownExchange: its plugin is not installed.
    """
    capabilities = plugins().exchange(exchange).capabilities
    return {
        "name": exchange,
        "supported_pairs": supported_pairs(exchange),
        "supported_data_types": list(capabilities.data_types),
        "markets": list(capabilities.markets),
        "timeframes": [
            channel.timeframe
            for channel in capabilities.channels.get("candle", ())
            if channel.timeframe
        ],
    }


def supported_pairs(exchange: str, market: str | None = None) -> list[str]:
    """Symbols in the cached instrument list, sorted; never touches the network."""
    plugins().exchange(exchange)
    return sorted(
        {
            instrument.symbol
            for instrument in _instruments.get(exchange, ())
            if market is None or instrument.market == market
        }
    )


async def refresh_instruments(
    exchange: str, markets: Sequence[str] = ("spot",), config: object | None = None
) -> list[str]:
    """Ask the venue for its instruments and cache them.

    Args:
        config: the adapter's options, e.g. a regional host; default ones if None.

    Returns:
        the symbols, sorted.
    """
    adapter = plugins().exchange(exchange)
    options = adapter.config() if config is None else config
    found: list[Instrument] = []
    for market in markets:
        found += await fetch_instruments(adapter, options, market, current_seams())
    _instruments[exchange] = found
    return supported_pairs(exchange)


def is_symbol(text: str) -> bool:
    """True when *text* has the form of a canonical symbol."""
    return bool(_SYMBOL.match(text))
