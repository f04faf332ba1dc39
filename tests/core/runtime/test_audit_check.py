"""Own bars of a database against the venue's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs

from tapeline.runtime import compare_with_venue

START = datetime(2026, 1, 1, tzinfo=UTC)


@attrs.define
class Bars:
    """A ``DatabaseReader`` over candles in memory."""

    rows: list[dict[str, Any]] = attrs.field(factory=list)

    def candles(self) -> Sequence[Mapping[str, Any]]:
        return self.rows

    def trades(self) -> Sequence[Mapping[str, Any]]:
        return []

    def gaps(self) -> Sequence[Mapping[str, Any]]:
        return []

    def coverage(self) -> Sequence[Mapping[str, Any]]:
        return []

    def cursors(self) -> Sequence[Mapping[str, Any]]:
        return []

    def counts(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        """Nothing to release."""

    def bar(self, minute: int, source: str, quote_volume: str) -> None:
        """One minute of a swap."""
        one = Decimal(1)
        self.rows.append(
            {
                "exchange": "okx",
                "market": "swap",
                "symbol": "BTC-USDT",
                "timeframe": "1m",
                "source": source,
                "timestamp": START + timedelta(minutes=minute),
                "open": one,
                "high": one,
                "low": one,
                "close": one,
                "volume": one,
                "quote_volume": Decimal(quote_volume),
                "taker_buy_volume": None,
                "trades_count": None,
                "state": "complete",
                "revision": 0,
            }
        )


def test_what_a_contract_is_worth_is_told_by_most_bars_not_by_the_first() -> None:
    bars = Bars()
    for minute in range(6):
        bars.bar(minute, "trades", "300")
        bars.bar(minute, "venue", "4" if minute == 0 else "3")

    accounts = compare_with_venue(bars)

    assert (accounts.compared, accounts.matched) == (6, 5)
    (stream,) = accounts.streams
    assert stream.causes == {"unexplained": 1}
    assert "00:00" in stream.examples[0]
