"""Candles from trades, each of which knows whether it is whole."""

from tapeline.candles.aggregator import CandleAggregator, CandleStatistics
from tapeline.candles.settings import CandleSettings

__all__ = ["CandleAggregator", "CandleSettings", "CandleStatistics"]
