"""Records to rows: plain tuples in the order of each table's columns.

Decimals and times are text here, which is what SQLite stores and what PostgreSQL
casts; nothing is rounded on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import attrs
import msgspec

from tapeline.model import (
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Coverage,
    Gap,
    Part,
    RawLevels,
    RawMessage,
    Record,
    Ticker,
    Trade,
)
from tapeline_sql.columns import timestamp_text
from tapeline_sql.tables import RECORD_TABLES

Row = tuple[str | int | None, ...]
"""One row, ready for a driver."""

_encode = msgspec.json.Encoder().encode

NOT_STORED = frozenset({BookDelta})
"""Types without a table on purpose: books are kept as snapshots."""


FormT = TypeVar("FormT")


@attrs.frozen
class Rows(Generic[FormT]):
    """The rows of some parts, per table.

    Args:
        tables: name of a table → its rows, in journal order; only tables with rows.
        unknown: name of a type that has no table → how many records were left out.
    """

    tables: Mapping[str, list[FormT]]
    unknown: Mapping[str, int]

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.tables.values())


def trade_row(trade: Trade) -> Row:
    """A row of ``trades``."""
    stream = trade.stream
    exchange_ns = trade.exchange_ns
    return (
        stream.exchange,
        stream.market,
        stream.symbol,
        stream.id_kind,
        trade.first_id,
        trade.last_id,
        trade.trade_id,
        trade.fills,
        trade.side,
        str(trade.price),
        str(trade.size),
        exchange_ns,
        trade.received_ns,
        timestamp_text(exchange_ns),
        trade.source,
    )


def candle_row(candle: Candle) -> Row:
    """A row of ``market_data``."""
    stream = candle.stream
    quote_volume = candle.quote_volume
    taker_buy_volume = candle.taker_buy_volume
    return (
        stream.exchange,
        stream.market,
        stream.symbol,
        candle.timeframe,
        candle.source,
        timestamp_text(candle.open_ns),
        str(candle.open),
        str(candle.high),
        str(candle.low),
        str(candle.close),
        str(candle.volume),
        None if quote_volume is None else str(quote_volume),
        None if taker_buy_volume is None else str(taker_buy_volume),
        candle.trades_count,
        candle.first_id,
        candle.last_id,
        candle.state,
        candle.revision,
    )


def gap_row(gap: Gap) -> Row:
    """A row of ``gaps``."""
    stream = gap.stream
    return (
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


def coverage_row(coverage: Coverage) -> Row:
    """A row of ``coverage``."""
    stream = coverage.stream
    return (
        stream.exchange,
        stream.market,
        stream.symbol,
        str(stream.data_type),
        coverage.first_id,
        coverage.last_id,
        coverage.started_ns,
        coverage.ended_ns,
    )


def ticker_row(ticker: Ticker, journal_id: str, position: int, ordinal: int) -> Row:
    """A row of ``tickers``."""
    stream = ticker.stream
    figures = [
        None if figure is None else str(figure)
        for figure in (
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
        )
    ]
    return (
        journal_id,
        position,
        ordinal,
        stream.exchange,
        stream.market,
        stream.symbol,
        *figures,
        ticker.exchange_ns,
        ticker.received_ns,
        timestamp_text(ticker.exchange_ns),
    )


def side_text(levels: RawLevels) -> str:
    """One side of a book as JSON text."""
    return _encode([level[:2] for level in levels]).decode()


def book_row(book: BookSnapshot, journal_id: str, position: int, ordinal: int) -> Row:
    """A row of ``order_books``; depth is the number of levels on the longer side."""
    stream = book.stream
    return (
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
        timestamp_text(book.exchange_ns),
    )


def balance_row(balance: Balance, journal_id: str, position: int, ordinal: int) -> Row:
    """A row of ``balances``."""
    total, free, locked = balance.total, balance.free, balance.locked
    return (
        journal_id,
        position,
        ordinal,
        balance.stream.exchange,
        balance.asset,
        None if total is None else str(total),
        None if free is None else str(free),
        None if locked is None else str(locked),
        balance.snapshot,
        balance.exchange_ns,
        balance.received_ns,
        timestamp_text(balance.exchange_ns),
        balance.account,
    )


def raw_row(raw: RawMessage, journal_id: str, position: int, ordinal: int) -> Row:
    """A row of ``raw_trades``."""
    stream = raw.stream
    return (
        journal_id,
        position,
        ordinal,
        stream.exchange,
        stream.market,
        stream.symbol,
        str(stream.data_type),
        timestamp_text(raw.received_ns),
        raw.text,
    )


@attrs.frozen
class Forms(Generic[FormT]):
    """How each type of record becomes a row of some form.

    Args:
        keyed: types whose own fields are their key, ``Gap`` not among them.
        placed: types without identity: their place in the journal is their key.
    """

    keyed: Mapping[type, tuple[str, Callable[[Any], FormT]]]
    placed: Mapping[type, tuple[str, Callable[[Any, str, int, int], FormT]]]
    gap: Callable[[Gap], FormT]


_ROWS = Forms[Row](
    keyed={
        Trade: ("trades", trade_row),
        Candle: ("market_data", candle_row),
        Coverage: ("coverage", coverage_row),
    },
    placed={
        Ticker: ("tickers", ticker_row),
        BookSnapshot: ("order_books", book_row),
        Balance: ("balances", balance_row),
        RawMessage: ("raw_trades", raw_row),
    },
    gap=gap_row,
)


def record_row(
    record: Record, journal_id: str, position: int, ordinal: int
) -> tuple[str, Row] | None:
    """Table and row of one record at its place; None for a type without a table."""
    kind = type(record)
    if kind in _ROWS.keyed:
        table, build = _ROWS.keyed[kind]
        return table, build(record)
    if kind in _ROWS.placed:
        table, build_placed = _ROWS.placed[kind]
        return table, build_placed(record, journal_id, position, ordinal)
    return ("gaps", gap_row(record)) if isinstance(record, Gap) else None


def build_rows(journal_id: str, parts: Sequence[Part], sink: str) -> Rows[Row]:
    """The rows of *parts*, as tuples, for the sink named *sink*.

    Raises:
        OverflowError: a time that no calendar has.
    """
    return group_rows(journal_id, parts, sink, _ROWS)


def group_rows(
    journal_id: str, parts: Sequence[Part], sink: str, forms: Forms[FormT]
) -> Rows[FormT]:
    """The rows of *parts* in the form that *forms* gives; hot path of SQL sinks."""
    grouped: dict[str, list[FormT]] = {name: [] for name in RECORD_TABLES}
    keyed = {
        kind: (build, grouped[table].append)
        for kind, (table, build) in forms.keyed.items()
    }
    placed = {
        kind: (build, grouped[table].append)
        for kind, (table, build) in forms.placed.items()
    }
    gaps = grouped["gaps"]
    unknown: Counter[str] = Counter()
    for part in parts:
        position = part.position
        for ordinal, record in enumerate(part.records):
            kind = type(record)
            if kind in keyed:
                build, append = keyed[kind]
                append(build(record))
            elif kind is Gap:
                gap = cast(Gap, record)
                # It may be about one other sink alone.
                if gap.for_sink in ("", sink):
                    gaps.append(forms.gap(gap))
            elif kind in placed:
                build_placed, append = placed[kind]
                append(build_placed(record, journal_id, position, ordinal))
            elif kind not in NOT_STORED:
                unknown[kind.__name__] += 1
    return Rows({name: rows for name, rows in grouped.items() if rows}, unknown)
