"""Balances of an account, one asset at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import attrs

from tapeline.model.points import DataType, MarketDataPoint, datetime_from_ns
from tapeline.model.subscriptions import ALL_SYMBOLS, Subscription


@attrs.frozen
class Balance(MarketDataPoint):
    """What an account holds of one asset; its symbol is the asset.

    Args:
        asset: currency code.
        total, free, locked: exact amounts; None where the venue left it empty.
        snapshot: True when it belongs to a full list of the account.
    """

    stream: Subscription
    asset: str
    total: Decimal | None
    free: Decimal | None
    locked: Decimal | None
    exchange_ns: int
    received_ns: int
    snapshot: bool = False
    raw: object = None

    @property
    def exchange(self) -> str:
        return self.stream.exchange

    @property
    def symbol(self) -> str:
        return self.asset

    @property
    def account(self) -> str:
        """Name of the account, as its collector has it; empty when it has none."""
        symbol = self.stream.symbol
        return "" if symbol == ALL_SYMBOLS else symbol

    @property
    def timestamp(self) -> datetime:
        return datetime_from_ns(self.exchange_ns)

    @property
    def data_type(self) -> DataType | str:
        return DataType.BALANCE

    @property
    def data(self) -> Mapping[str, object]:
        return {
            "account": self.account,
            "asset": self.asset,
            "total": self.total,
            "free": self.free,
            "locked": self.locked,
            "snapshot": self.snapshot,
            "exchange_ns": self.exchange_ns,
            "received_ns": self.received_ns,
        }
