"""Tickers."""

from __future__ import annotations

from pathlib import Path

from tapeline_sql.database import Database
from tapeline_sql.repository import Repository
from tapeline_sql.selection import Moment, Selection
from tapeline_sql.tables import TickerRow


class TickerRepository(Repository[TickerRow]):
    """Tickers: table ``tickers``."""

    def __init__(self, database: Database | str | Path) -> None:
        super().__init__(TickerRow, database)

    def select(
        self,
        exchange: str,
        symbol: str,
        *,
        market: str = "spot",
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Selection[TickerRow]:
        """Tickers from *start* on, up to but without *end*.

        Args:
            market: ``spot``, ``swap``, ``future`` or ``option``.
            start, end: aware datetimes, or nanoseconds UTC; None for no bound.
        """
        return self._selection(
            {"exchange": exchange, "market": market, "symbol": symbol}, start, end
        )
