"""One repository for each table; nobody needs to write SQL."""

from tapeline_sql.repositories.balances import BalanceRepository
from tapeline_sql.repositories.books import OrderBookRepository
from tapeline_sql.repositories.coverage import CoverageRepository
from tapeline_sql.repositories.dead_letters import DeadLetterRepository
from tapeline_sql.repositories.gaps import GapRepository
from tapeline_sql.repositories.market_data import MarketDataRepository
from tapeline_sql.repositories.raw_trades import RawTradeRepository
from tapeline_sql.repositories.tickers import TickerRepository
from tapeline_sql.repositories.trades import TradeRepository

__all__ = [
    "BalanceRepository",
    "CoverageRepository",
    "DeadLetterRepository",
    "GapRepository",
    "MarketDataRepository",
    "OrderBookRepository",
    "RawTradeRepository",
    "TickerRepository",
    "TradeRepository",
]
