"""Candles from trades, each of which knows whether it is whole."""

from tapeline.candles.aggregator import CandleAggregator
from tapeline.candles.audit import (
    GAP_TOUCHES,
    LATE_TRADE,
    UNEXPLAINED,
    VENUE_REVISION,
    AuditResult,
    BarAudit,
    BarName,
    Comparison,
    Figures,
)
from tapeline.candles.consolidation import Consolidator
from tapeline.candles.consolidation_settings import ConsolidationSettings
from tapeline.candles.settings import CandleSettings
from tapeline.candles.statistics import CandleStatistics

__all__ = [
    "GAP_TOUCHES",
    "LATE_TRADE",
    "UNEXPLAINED",
    "VENUE_REVISION",
    "AuditResult",
    "BarAudit",
    "BarName",
    "CandleAggregator",
    "CandleSettings",
    "CandleStatistics",
    "Comparison",
    "ConsolidationSettings",
    "Consolidator",
    "Figures",
]
