"""Candles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tapeline.model import Candle
from tapeline_sql.database import Database
from tapeline_sql.operations import operation
from tapeline_sql.repository import Repository
from tapeline_sql.rows import candle_row
from tapeline_sql.selection import Moment, Selection
from tapeline_sql.tables import CandleRow


class MarketDataRepository(Repository[CandleRow]):
    """Candles: table ``market_data``."""

    def __init__(self, database: Database | str | Path) -> None:
        super().__init__(CandleRow, database)

    def select(
        self,
        exchange: str,
        symbol: str,
        timeframe: str,
        *,
        market: str = "spot",
        source: str = "trades",
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Selection[CandleRow]:
        """Candles that open from *start* on, up to but without *end*.

        Args:
            market: ``spot``, ``swap``, ``future`` or ``option``.
            source: ``trades``, ``venue`` or ``consolidated``.
            start, end: aware datetimes, or nanoseconds UTC; None for no bound.
        """
        return self._selection(
            {
                "exchange": exchange,
                "market": market,
                "symbol": symbol,
                "timeframe": timeframe,
                "source": source,
            },
            start,
            end,
        )

    async def upsert_candles(
        self, candles: Sequence[Candle], *, force_update_candles: bool = False
    ) -> None:
        """Store *candles*; a higher revision replaces what is stored.

        Args:
            force_update_candles: whether one of equal revision replaces it too.

        Raises:
            DatabaseOperationError: whatever goes wrong; then none of them is stored.
        """
        with operation("upsert", self.name):
            rows = [candle_row(candle) for candle in candles]
        await self._write(rows, force=force_update_candles)

    async def upsert_candle(
        self, candle: Candle, *, force_update_candles: bool = False
    ) -> None:
        """Store one candle; see ``upsert_candles``."""
        await self.upsert_candles([candle], force_update_candles=force_update_candles)
