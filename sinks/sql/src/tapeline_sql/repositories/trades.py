"""Trades."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import and_, delete, func, select, update

from tapeline.model import Trade
from tapeline_sql.database import Database
from tapeline_sql.operations import operation
from tapeline_sql.repository import Repository
from tapeline_sql.rows import trade_row
from tapeline_sql.selection import Moment, Selection, before
from tapeline_sql.tables import TABLES, TradeRow

_STREAM = ("exchange", "market", "symbol")


class TradeRepository(Repository[TradeRow]):
    """Trades: table ``trades``."""

    def __init__(self, database: Database | str | Path) -> None:
        super().__init__(TradeRow, database)

    def select(
        self,
        exchange: str,
        symbol: str,
        *,
        market: str = "spot",
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Selection[TradeRow]:
        """Trades that happened from *start* on, up to but without *end*.

        Args:
            market: ``spot``, ``swap``, ``future`` or ``option``.
            start, end: aware datetimes, or nanoseconds UTC; None for no bound.
        """
        return self._selection(
            {"exchange": exchange, "market": market, "symbol": symbol}, start, end
        )

    async def add(self, trades: Sequence[Trade]) -> None:
        """Store *trades*; those that are stored already stay as they are.

        Raises:
            DatabaseOperationError: whatever goes wrong; then none of them is stored.
        """
        with operation("insert", self.name):
            rows = [trade_row(trade) for trade in trades]
        await self._write(rows)

    async def delete_before(self, moment: Moment) -> int:
        """Retention: delete what is older than *moment*; returns how many rows.

        First the coverage is moved up: it promises nothing that was deleted, and
        ``tapeline verify`` finds the rest whole.
        """
        await self._move_coverage(moment)
        return await super().delete_before(moment)

    async def _move_coverage(self, moment: Moment) -> None:
        trades, coverage = self._table, TABLES["coverage"]
        stream = [trades.c[name] for name in _STREAM]
        last = (
            select(*stream, func.max(trades.c.last_id))
            .where(before(trades, moment))
            .group_by(*stream)
        )
        async with self.database.connection("select", self.name) as connection:
            found = (await connection.execute(last)).all()
        async with self.database.connection("update", "coverage") as connection:
            for *values, last_id in found:
                same = and_(
                    coverage.c.data_type == "trade",
                    *(
                        coverage.c[name] == value
                        for name, value in zip(_STREAM, values, strict=True)
                    ),
                )
                await connection.execute(
                    delete(coverage).where(same, coverage.c.last_id <= last_id)
                )
                await connection.execute(
                    update(coverage)
                    .where(same, coverage.c.first_id <= last_id)
                    .values(first_id=last_id + 1)
                )
