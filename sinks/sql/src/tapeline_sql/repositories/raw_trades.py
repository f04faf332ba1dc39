"""What venues sent, as text, of any data type."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from tapeline.model import RawMessage
from tapeline_sql.database import Database
from tapeline_sql.operations import operation
from tapeline_sql.repository import Repository
from tapeline_sql.rows import raw_row
from tapeline_sql.selection import Moment, Selection
from tapeline_sql.tables import RawTradeRow


class RawTradeRepository(Repository[RawTradeRow]):
    """What venues sent, as text, of any data type: table ``raw_trades``."""

    def __init__(self, database: Database | str | Path) -> None:
        super().__init__(RawTradeRow, database)
        # In the place of a journal: messages have no identity of their own.
        self._writer = f"repository-{uuid.uuid4().hex}"
        self._position = 0

    def select(
        self,
        exchange: str,
        symbol: str,
        *,
        market: str = "spot",
        data_type: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Selection[RawTradeRow]:
        """Messages that were received from *start* on, up to but without *end*.

        Args:
            market: ``spot``, ``swap``, ``future`` or ``option``.
            data_type: the only one; None for all.
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

    async def add(self, messages: Sequence[RawMessage]) -> None:
        """Store *messages*; the same one again is one more.

        Raises:
            DatabaseOperationError: whatever goes wrong; then none of them is stored.
        """
        self._position += 1
        position = self._position
        with operation("insert", self.name):
            rows = [
                raw_row(message, self._writer, position, ordinal)
                for ordinal, message in enumerate(messages)
            ]
        await self._write(rows)
