"""What users hold: collectors, their manager, the factory."""

from tapeline.collectors.base import BaseDataCollector
from tapeline.collectors.configs import CollectorConfig, ExchangeCollectorConfig
from tapeline.collectors.consolidation import Consolidation
from tapeline.collectors.defaults import DEFAULT_HEALTH_CHECK_INTERVAL
from tapeline.collectors.exchange import ExchangeCollector
from tapeline.collectors.factory import ExchangeFactory, create_collector
from tapeline.collectors.manager import CollectorManager
from tapeline.collectors.rate_limiter import RateLimiter
from tapeline.collectors.registry import (
    get_exchange_info,
    get_supported_exchanges,
    refresh_instruments,
)
from tapeline.collectors.validation import validate_ohlcv_data

__all__ = [
    "DEFAULT_HEALTH_CHECK_INTERVAL",
    "BaseDataCollector",
    "CollectorConfig",
    "CollectorManager",
    "Consolidation",
    "ExchangeCollector",
    "ExchangeCollectorConfig",
    "ExchangeFactory",
    "RateLimiter",
    "create_collector",
    "get_exchange_info",
    "get_supported_exchanges",
    "refresh_instruments",
    "validate_ohlcv_data",
]
