"""Coinbase Advanced Trade for Tapeline: public market data."""

from tapeline_coinbase.adapter import CoinbaseAdapter
from tapeline_coinbase.config import CoinbaseConfig
from tapeline_coinbase.session import CoinbaseSession
from tapeline_coinbase.simulator import CoinbaseSimulator

__all__ = [
    "CoinbaseAdapter",
    "CoinbaseConfig",
    "CoinbaseSession",
    "CoinbaseSimulator",
]
