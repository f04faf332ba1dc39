"""Binance for Tapeline."""

from typing import TYPE_CHECKING, Any

from tapeline_binance.adapter import BinanceAdapter
from tapeline_binance.config import BinanceConfig

if TYPE_CHECKING:
    from tapeline_binance.collector import BinanceCollector, create_binance_collector

__all__ = [
    "BinanceAdapter",
    "BinanceCollector",
    "BinanceConfig",
    "create_binance_collector",
]


def __getattr__(name: str) -> Any:
    # The collectors need the whole runtime; the plugin itself does not.
    if name in ("BinanceCollector", "create_binance_collector"):
        from tapeline_binance import collector

        return getattr(collector, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
