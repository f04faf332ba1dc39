"""Records to rows as the statement takes them: objects of one JSON text for a table.

``msgspec`` writes them in C, decimals as their own text; the server casts, and makes
``timestamp`` from the integer.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import attrs
import msgspec
from sqlalchemy import BigInteger, Boolean, Table

from tapeline.model import (
    Balance,
    BookSnapshot,
    Candle,
    Coverage,
    Gap,
    RawMessage,
    Ticker,
    Trade,
)
from tapeline_sql import RECORD_TABLES, TABLES, ExactDecimal, Forms, side_text

WireRow = msgspec.Struct

_MOMENTS = {"market_data": "open_ns", "raw_trades": "received_ns"}
"""Table → the integer its ``timestamp`` is made from, if not ``exchange_ns``."""


def _sql_type(kind: object) -> str:
    if isinstance(kind, BigInteger):
        return "bigint"
    if isinstance(kind, ExactDecimal):
        return "numeric"
    return "boolean" if isinstance(kind, Boolean) else "text"


@attrs.frozen
class WireTable:
    """How rows of one table travel.

    Args:
        make: one row; positional, its columns in their order, ``timestamp`` replaced
            by the integer it is made from, or left out where that is a column too.
        definition: the columns as ``json_to_recordset`` names and types them.
        columns: column → the expression that gives it.
        key: of a row: what makes it the same row.
    """

    make: Callable[..., Any]
    definition: str
    columns: Mapping[str, str]
    key: Callable[[Any], Any]


def _wire_table(table: Table) -> WireTable:
    moment = _MOMENTS.get(table.name, "exchange_ns")
    names = []
    for column in table.columns:
        if column.name != "timestamp":
            names.append(column.name)
        elif moment not in table.columns:
            names.append(moment)
    codes = dict(zip(names, string.ascii_lowercase, strict=False))
    types = {
        name: _sql_type(table.columns[name].type) if name in table.columns else "bigint"
        for name in names
    }
    columns = {
        column.name: f"q.{codes[column.name]}"
        if column.name in codes
        # Exact to the microsecond: the division is one of integers.
        else f"timestamptz 'epoch' + (q.{codes[moment]} / 1000)"
        " * interval '1 microsecond'"
        for column in table.columns
    }
    key = [
        moment if column.name == "timestamp" else column.name
        for column in table.primary_key.columns
    ]
    return WireTable(
        make=msgspec.defstruct(f"{table.name}_row", names, rename=codes, gc=False),
        definition=", ".join(f"{codes[name]} {types[name]}" for name in names),
        columns=columns,
        key=attrgetter(*key),
    )


WIRE: Mapping[str, WireTable] = MappingProxyType(
    {name: _wire_table(TABLES[name]) for name in RECORD_TABLES}
)
"""Name of a table → how its rows travel."""

_Trade = WIRE["trades"].make
_Candle = WIRE["market_data"].make
_Gap = WIRE["gaps"].make
_Coverage = WIRE["coverage"].make
_Ticker = WIRE["tickers"].make
_Book = WIRE["order_books"].make
_Balance = WIRE["balances"].make
_Raw = WIRE["raw_trades"].make


def _trade(trade: Trade) -> Any:
    stream = trade.stream
    return _Trade(
        stream.exchange,
        stream.market,
        stream.symbol,
        stream.id_kind,
        trade.first_id,
        trade.last_id,
        trade.trade_id,
        trade.fills,
        trade.side,
        trade.price,
        trade.size,
        trade.exchange_ns,
        trade.received_ns,
        trade.source,
    )


def _candle(candle: Candle) -> Any:
    stream = candle.stream
    return _Candle(
        stream.exchange,
        stream.market,
        stream.symbol,
        candle.timeframe,
        candle.source,
        candle.open_ns,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
        candle.quote_volume,
        candle.taker_buy_volume,
        candle.trades_count,
        candle.first_id,
        candle.last_id,
        candle.state,
        candle.revision,
    )


def _gap(gap: Gap) -> Any:
    stream = gap.stream
    return _Gap(
        gap.gap_id,
        gap.revision,
        stream.exchange,
        stream.market,
        stream.symbol,
        str(stream.data_type),
        stream.id_kind,
        gap.from_id,
        gap.to_id,
        gap.from_ns,
        gap.to_ns,
        gap.cause,
        gap.detected_ns,
        gap.state,
        gap.recovered_count,
    )


def _coverage(coverage: Coverage) -> Any:
    stream = coverage.stream
    return _Coverage(
        stream.exchange,
        stream.market,
        stream.symbol,
        str(stream.data_type),
        coverage.first_id,
        coverage.last_id,
        coverage.started_ns,
        coverage.ended_ns,
    )


def _ticker(ticker: Ticker, journal_id: str, position: int, ordinal: int) -> Any:
    stream = ticker.stream
    return _Ticker(
        journal_id,
        position,
        ordinal,
        stream.exchange,
        stream.market,
        stream.symbol,
        ticker.last,
        ticker.last_size,
        ticker.bid,
        ticker.bid_size,
        ticker.ask,
        ticker.ask_size,
        ticker.open_24h,
        ticker.high_24h,
        ticker.low_24h,
        ticker.volume_24h,
        ticker.quote_volume_24h,
        ticker.exchange_ns,
        ticker.received_ns,
    )


def _book(book: BookSnapshot, journal_id: str, position: int, ordinal: int) -> Any:
    stream = book.stream
    return _Book(
        journal_id,
        position,
        ordinal,
        stream.exchange,
        stream.market,
        stream.symbol,
        side_text(book.bids),
        side_text(book.asks),
        max(len(book.bids), len(book.asks)),
        book.last_id,
        book.exchange_ns,
        book.received_ns,
    )


def _balance(balance: Balance, journal_id: str, position: int, ordinal: int) -> Any:
    return _Balance(
        journal_id,
        position,
        ordinal,
        balance.stream.exchange,
        balance.asset,
        balance.total,
        balance.free,
        balance.locked,
        balance.snapshot,
        balance.exchange_ns,
        balance.received_ns,
        balance.account,
    )


def _raw(raw: RawMessage, journal_id: str, position: int, ordinal: int) -> Any:
    stream = raw.stream
    return _Raw(
        journal_id,
        position,
        ordinal,
        stream.exchange,
        stream.market,
        stream.symbol,
        str(stream.data_type),
        raw.received_ns,
        raw.text,
    )


WIRE_FORMS: Forms[Any] = Forms(
    keyed={
        Trade: ("trades", _trade),
        Candle: ("market_data", _candle),
        Coverage: ("coverage", _coverage),
    },
    placed={
        Ticker: ("tickers", _ticker),
        BookSnapshot: ("order_books", _book),
        Balance: ("balances", _balance),
        RawMessage: ("raw_trades", _raw),
    },
    gap=_gap,
)
"""What ``group_rows`` needs to make such rows."""
