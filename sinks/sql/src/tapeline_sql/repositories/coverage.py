"""Intervals in which streams were followed."""

from __future__ import annotations

from pathlib import Path

from tapeline_sql.database import Database
from tapeline_sql.repository import Repository
from tapeline_sql.selection import Moment, Selection
from tapeline_sql.tables import CoverageRow


class CoverageRepository(Repository[CoverageRow]):
    """Intervals in which streams were followed: table ``coverage``."""

    def __init__(self, database: Database | str | Path) -> None:
        super().__init__(CoverageRow, database)

    def select(
        self,
        *,
        exchange: str | None = None,
        symbol: str | None = None,
        market: str | None = None,
        data_type: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Selection[CoverageRow]:
        """Intervals that began from *start* on, up to but without *end*.

        Args:
            exchange, symbol, market, data_type: the only one; None for all.
            start, end: aware datetimes, or nanoseconds UTC; None for no bound.
        """
        return self._selection(
            {
                "exchange": exchange,
                "market": market,
                "symbol": symbol,
                "data_type": data_type,
            },
            start,
            end,
        )
