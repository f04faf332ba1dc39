"""Candles from trades, each of which knows whether it is whole."""

from tapeline.candles.aggregator import CandleAggregator
from tapeline.candles.settings import CandleSettings
from tapeline.candles.statistics import CandleStatistics

__all__ = ["CandleAggregator", "CandleSettings", "CandleStatistics"]
