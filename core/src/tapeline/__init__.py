"""Tapeline: collects crypto market data and proves what it has."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tapeline.errors import (
    ConfigError,
    ContractError,
    DatabaseOperationError,
    DataValidationError,
    PluginError,
    SinkRejected,
    SinkUnavailable,
    TapelineError,
    UnknownExchange,
    UnknownService,
    UnknownSink,
    UnknownSymbol,
    UnknownTimeframe,
    UsageError,
)
from tapeline.hookspecs import (
    API_VERSION,
    AdapterBase,
    Control,
    ExchangeAdapter,
    ExchangeSession,
    PluginInfo,
    Service,
    ServiceAdapter,
    ServiceContext,
    SessionBase,
    Sink,
    SinkAdapter,
    SinkContext,
    hookimpl,
)
from tapeline.model import (
    TIMEFRAMES,
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    CollectorStatus,
    ConsolidatedCandle,
    ConsolidatedTrade,
    Coverage,
    DataType,
    Gap,
    Health,
    HealthLevel,
    Instrument,
    Market,
    MarketDataPoint,
    OHLCVData,
    Secret,
    StatusChange,
    Subscription,
    SubscriptionState,
    Ticker,
    Trade,
)

if TYPE_CHECKING:
    from tapeline.collectors import (
        BaseDataCollector,
        CollectorConfig,
        CollectorManager,
        Consolidation,
        ExchangeCollector,
        ExchangeCollectorConfig,
        ExchangeFactory,
        RateLimiter,
        create_collector,
        get_exchange_info,
        get_supported_exchanges,
        refresh_instruments,
    )
    from tapeline.logs import get_logger
    from tapeline.runtime import Engine, EngineSettings, SinkSettings, use_seams
    from tapeline.seams import Seams

__all__ = [
    "API_VERSION",
    "TIMEFRAMES",
    "AdapterBase",
    "Balance",
    "BaseDataCollector",
    "BookDelta",
    "BookSnapshot",
    "Candle",
    "CollectorConfig",
    "CollectorManager",
    "CollectorStatus",
    "ConfigError",
    "ConsolidatedCandle",
    "ConsolidatedTrade",
    "Consolidation",
    "ContractError",
    "Control",
    "Coverage",
    "DataType",
    "DataValidationError",
    "DatabaseOperationError",
    "Engine",
    "EngineSettings",
    "ExchangeAdapter",
    "ExchangeCollector",
    "ExchangeCollectorConfig",
    "ExchangeFactory",
    "ExchangeSession",
    "Gap",
    "Health",
    "HealthLevel",
    "Instrument",
    "Market",
    "MarketDataPoint",
    "OHLCVData",
    "PluginError",
    "PluginInfo",
    "RateLimiter",
    "Seams",
    "Secret",
    "Service",
    "ServiceAdapter",
    "ServiceContext",
    "SessionBase",
    "Sink",
    "SinkAdapter",
    "SinkContext",
    "SinkRejected",
    "SinkSettings",
    "SinkUnavailable",
    "StatusChange",
    "Subscription",
    "SubscriptionState",
    "TapelineError",
    "Ticker",
    "Trade",
    "UnknownExchange",
    "UnknownService",
    "UnknownSink",
    "UnknownSymbol",
    "UnknownTimeframe",
    "UsageError",
    "create_collector",
    "get_exchange_info",
    "get_logger",
    "get_supported_exchanges",
    "hookimpl",
    "refresh_instruments",
    "use_seams",
]

# A plugin that only imports the contract does not pay for the whole runtime.
_LATER = {
    "BaseDataCollector": "tapeline.collectors",
    "CollectorConfig": "tapeline.collectors",
    "CollectorManager": "tapeline.collectors",
    "Consolidation": "tapeline.collectors",
    "ExchangeCollector": "tapeline.collectors",
    "ExchangeCollectorConfig": "tapeline.collectors",
    "ExchangeFactory": "tapeline.collectors",
    "RateLimiter": "tapeline.collectors",
    "create_collector": "tapeline.collectors",
    "get_exchange_info": "tapeline.collectors",
    "get_supported_exchanges": "tapeline.collectors",
    "refresh_instruments": "tapeline.collectors",
    "get_logger": "tapeline.logs",
    "Engine": "tapeline.runtime",
    "EngineSettings": "tapeline.runtime",
    "SinkSettings": "tapeline.runtime",
    "use_seams": "tapeline.runtime",
    "Seams": "tapeline.seams",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None and name.endswith(("Repository", "Database")):
        names = import_module("tapeline.plugins.names")
        if name in names.PROMISED_NAMES:
            return names.promised(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
