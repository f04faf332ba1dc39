"""Arrow types of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import pyarrow as pa

PRECISION = 38
SCALE = 18

_TEXT = (
    "exchange", "market", "symbol", "id_kind", "trade_id", "side", "source",
    "timeframe", "state", "data_type", "cause", "raw_data", "account", "asset",
)  # fmt: skip
_PLACE = ("journal_id", "position", "ordinal")

COLUMNS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "trades": (
            *_PLACE, "exchange", "market", "symbol", "id_kind", "first_id", "last_id",
            "trade_id", "fills", "side", "price", "size", "exchange_ns", "received_ns",
            "timestamp", "source",
        ),
        "market_data": (
            *_PLACE, "exchange", "market", "symbol", "timeframe", "source", "timestamp",
            "open", "high", "low", "close", "volume", "quote_volume",
            "taker_buy_volume", "trades_count", "first_id", "last_id", "state",
            "revision",
        ),
        "gaps": (
            *_PLACE, "gap_id", "revision", "exchange", "market", "symbol", "data_type",
            "id_kind", "from_id", "to_id", "from_ns", "to_ns", "cause", "detected_ns",
            "state", "recovered_count",
        ),
        "coverage": (
            *_PLACE, "exchange", "market", "symbol", "data_type", "first_id", "last_id",
            "started_ns", "ended_ns",
        ),
        "tickers": (
            *_PLACE, "exchange", "market", "symbol", "last", "last_size", "bid",
            "bid_size", "ask", "ask_size", "open_24h", "high_24h", "low_24h",
            "volume_24h", "quote_volume_24h", "exchange_ns", "received_ns", "timestamp",
        ),
        "order_books": (
            *_PLACE, "exchange", "market", "symbol", "bids", "asks", "last_id",
            "exchange_ns", "received_ns", "timestamp",
        ),
        "balances": (
            *_PLACE, "exchange", "account", "asset", "total", "free", "locked",
            "snapshot", "exchange_ns", "received_ns", "timestamp",
        ),
        "raw_trades": (
            *_PLACE, "exchange", "market", "symbol", "data_type", "received_ns",
            "timestamp", "raw_data",
        ),
    }
)  # fmt: skip
"""Table → its columns, in order."""

_DECIMAL = frozenset(
    {
        "price", "size", "open", "high", "low", "close", "volume", "quote_volume",
        "taker_buy_volume", "last", "last_size", "bid", "bid_size", "ask", "ask_size",
        "open_24h", "high_24h", "low_24h", "volume_24h", "quote_volume_24h", "total",
        "free", "locked",
    }
)  # fmt: skip
_SIDES = ("bids", "asks")


def schema_of(table: str, decimals: str) -> Any:
    """The Arrow schema of *table*.

    Args:
        decimals: ``decimal128`` or ``text``.
    """
    exact = pa.string() if decimals == "text" else pa.decimal128(PRECISION, SCALE)
    level = pa.struct([("price", exact), ("size", exact)])
    fields = []
    for name in COLUMNS[table]:
        if name in _DECIMAL:
            kind = exact
        elif name in _SIDES:
            kind = pa.list_(level)
        elif name == "timestamp":
            kind = pa.timestamp("us", tz="UTC")
        elif name == "snapshot":
            kind = pa.bool_()
        elif name in _TEXT or name == "journal_id":
            kind = pa.string()
        else:
            kind = pa.int64()
        fields.append(pa.field(name, kind))
    return pa.schema(fields)


# Prices and sizes repeat; equal numbers fit or do not, however they are written.
@lru_cache(maxsize=65_536)
def fits(number: Decimal) -> bool:
    """Whether *number* is one that ``decimal128(38, 18)`` holds exactly."""
    if not number.is_finite():
        return False
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return number.adjusted() < PRECISION - SCALE and (
        exponent >= -SCALE or number == round(number, SCALE)
    )


def can_hold(row: Mapping[str, Any], decimals: str) -> bool:
    """Whether the columns can hold every number of a row.

    Raises:
        TypeError: there is a number that cannot even be compared.
    """
    exact = decimals == "decimal128"
    for value in row.values():
        kind = type(value)
        if kind is int:
            if not -(2**63) <= value < 2**63:
                return False
        elif exact and kind is Decimal and not fits(value):
            return False
    if exact and "bids" in row:
        return all(
            fits(number)
            for side in _SIDES
            for level in row[side]
            for number in level.values()
        )
    return True
