"""Balances of accounts."""

from __future__ import annotations

from pathlib import Path

from tapeline_sql.database import Database
from tapeline_sql.repository import Repository
from tapeline_sql.selection import Moment, Selection
from tapeline_sql.tables import BalanceRow


class BalanceRepository(Repository[BalanceRow]):
    """Balances of accounts: table ``balances``."""

    def __init__(self, database: Database | str | Path) -> None:
        super().__init__(BalanceRow, database)

    def select(
        self,
        exchange: str,
        *,
        asset: str | None = None,
        account: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Selection[BalanceRow]:
        """Balances from *start* on, up to but without *end*.

        Args:
            asset: a currency code; None for all.
            account: as its collector names it, empty where it has no name; None for
                all.
            start, end: aware datetimes, or nanoseconds UTC; None for no bound.
        """
        wanted = {"exchange": exchange, "asset": asset, "account": account}
        return self._selection(wanted, start, end)
