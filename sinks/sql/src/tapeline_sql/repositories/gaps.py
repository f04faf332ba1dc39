"""What is missing, each gap in its latest revision."""

from __future__ import annotations

from pathlib import Path

from tapeline_sql.database import Database
from tapeline_sql.repository import Repository
from tapeline_sql.selection import Moment, Selection
from tapeline_sql.tables import GapRow


class GapRepository(Repository[GapRow]):
    """What is missing, each gap in its latest revision: table ``gaps``."""

    def __init__(self, database: Database | str | Path) -> None:
        super().__init__(GapRow, database)

    def select(
        self,
        *,
        exchange: str | None = None,
        symbol: str | None = None,
        market: str | None = None,
        data_type: str | None = None,
        state: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Selection[GapRow]:
        """Gaps that were detected from *start* on, up to but without *end*.

        Args:
            exchange, symbol, market, data_type: the only one; None for all.
            state: ``open``, ``backfilling``, ``closed`` or ``unrecoverable``.
            start, end: aware datetimes, or nanoseconds UTC; None for no bound.
        """
        return self._selection(
            {
                "exchange": exchange,
                "market": market,
                "symbol": symbol,
                "data_type": data_type,
                "state": state,
            },
            start,
            end,
        )
