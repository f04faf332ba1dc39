"""From records to rows: names of columns to plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from tapeline.model import (
    Balance,
    BookSnapshot,
    Candle,
    Coverage,
    Gap,
    RawMessage,
    Subscription,
    Ticker,
    Trade,
)

Row = dict[str, Any]


def _stream(stream: Subscription, *names: str) -> Row:
    return {name: getattr(stream, name) for name in names}


def _fields(record: object, names: Sequence[str]) -> Row:
    return {name: getattr(record, name) for name in names}


def _taking(names: Sequence[str]) -> Callable[[Any], Row]:
    """What takes attributes of a record into a row of the same names."""
    take = attrgetter(*names)
    return lambda record: dict(zip(names, take(record), strict=True))


_TRADE = (
    "exchange", "market", "symbol", "id_kind", "first_id", "last_id", "trade_id",
    "fills", "side", "price", "size", "exchange_ns", "received_ns", "source",
)  # fmt: skip
_CANDLE = (
    "exchange", "market", "symbol", "timeframe", "source", "open", "high", "low",
    "close", "volume", "quote_volume", "taker_buy_volume", "trades_count", "first_id",
    "last_id", "state", "revision", "open_ns",
)  # fmt: skip
_GAP = (
    "gap_id", "revision", "from_id", "to_id", "from_ns", "to_ns", "cause",
    "detected_ns", "state", "recovered_count",
)  # fmt: skip
_COVERAGE = ("first_id", "last_id", "started_ns", "ended_ns")
_TICKER = (
    "exchange", "market", "symbol", "last", "last_size", "bid", "bid_size", "ask",
    "ask_size", "open_24h", "high_24h", "low_24h", "volume_24h", "quote_volume_24h",
    "exchange_ns", "received_ns",
)  # fmt: skip
_BALANCE = (
    "exchange", "account", "asset", "total", "free", "locked", "exchange_ns",
    "received_ns", "snapshot",
)  # fmt: skip
_BOOK = ("exchange", "market", "symbol", "last_id", "exchange_ns", "received_ns")


def _gap(gap: Gap) -> Row:
    known = _stream(gap.stream, "exchange", "market", "symbol", "data_type", "id_kind")
    return known | _fields(gap, _GAP)


def _coverage(row: Coverage) -> Row:
    known = _stream(row.stream, "exchange", "market", "symbol", "data_type")
    return known | _fields(row, _COVERAGE)


def _book(book: BookSnapshot) -> Row:
    sides = {
        side: [
            {"price": Decimal(level[0]), "size": Decimal(level[1])} for level in levels
        ]
        for side, levels in (("bids", book.bids), ("asks", book.asks))
    }
    return _fields(book, _BOOK) | sides


def _raw(message: RawMessage) -> Row:
    known = _stream(message.stream, "exchange", "market", "symbol", "data_type")
    return known | {"received_ns": message.received_ns, "raw_data": message.text}


MAKERS: Mapping[type, tuple[str, Callable[[Any], Row]]] = MappingProxyType(
    {
        Trade: ("trades", _taking(_TRADE)),
        Candle: ("market_data", _taking(_CANDLE)),
        Gap: ("gaps", _gap),
        Coverage: ("coverage", _coverage),
        Ticker: ("tickers", _taking(_TICKER)),
        BookSnapshot: ("order_books", _book),
        Balance: ("balances", _taking(_BALANCE)),
        RawMessage: ("raw_trades", _raw),
    }
)
"""Type of a record → its table, and what makes its row."""


def timestamp_us(row: Mapping[str, Any]) -> int | None:
    """When the row's event happened, in microseconds; None for facts."""
    for name in ("exchange_ns", "open_ns", "received_ns"):
        if name in row:
            return int(row[name]) // 1_000
    return None
