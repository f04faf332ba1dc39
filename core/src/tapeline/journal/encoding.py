"""Records as bytes: the hot half of the codec, on the way of every event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tapeline.errors import JournalError
from tapeline.journal.extensions import clamped, plain
from tapeline.journal.spans import (
    BALANCE,
    BOOK_DELTA,
    BOOK_SNAPSHOT,
    CANDLE,
    COVERAGE,
    GAP,
    MAX_RUNS_PER_ROW,
    OHLCV,
    POINT,
    RAW,
    TICKER,
    TRADE,
    merge_runs,
    subscription_key,
)
from tapeline.model import (
    CLOSED,
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Coverage,
    Gap,
    MarketDataPoint,
    OHLCVData,
    RawMessage,
    Record,
    Subscription,
    Ticker,
    Trade,
    ns_from_datetime,
)

Row = tuple[object, ...]

_encode = msgspec.msgpack.Encoder().encode


class _Span:
    """A span while it grows."""

    __slots__ = ("count", "first", "last", "max_ns", "min_ns", "runs")

    def __init__(self, first: int, last: int, ns: int) -> None:
        self.count = 1
        self.first = first
        self.last = last
        self.min_ns = ns
        self.max_ns = ns
        self.runs: list[tuple[int, int]] = []

    def next_run(self, first: int, last: int) -> None:
        """Begin another id interval: this one does not join on."""
        self.runs.append((self.first, self.last))
        self.first = first
        self.last = last
        if len(self.runs) > 1_024:
            self.runs = merge_runs(self.runs, MAX_RUNS_PER_ROW)


class _Table:
    """Streams of one append, by number, with their spans."""

    __slots__ = ("_by_value", "by_identity", "spans", "streams", "trades")

    def __init__(self) -> None:
        self.by_identity: dict[int, int] = {}
        self._by_value: dict[Subscription, int] = {}
        self.streams: list[Subscription] = []
        self.trades: dict[int, _Span] = {}
        self.spans: dict[tuple[int, int], _Span] = {}

    def index(self, stream: Subscription) -> int:
        """Number of *stream*; equal ones share it."""
        index = self._by_value.setdefault(stream, len(self.streams))
        if index == len(self.streams):
            self.streams.append(stream)
            # An identity is only good while the object lives, as those in the
            # table and in the records do.
            self.by_identity[id(stream)] = index
        return index

    def note(self, kind: int, stream: Subscription, ns: int) -> int:
        """Count a record without ids; returns the stream's number."""
        index = self.by_identity.get(id(stream))
        if index is None:
            index = self.index(stream)
        span = self.spans.get((index, kind))
        if span is None:
            self.spans[index, kind] = _Span(0, -1, ns)
            return index
        span.count += 1
        if ns > span.max_ns:
            span.max_ns = ns
        elif ns < span.min_ns:
            span.min_ns = ns
        return index

    def note_gap(self, gap: Gap) -> int:
        """Count a gap, with the ids that it says are missing."""
        known = [ns for ns in (gap.from_ns, gap.to_ns) if ns is not None]
        times = known or [gap.detected_ns]
        index = self.note(GAP, gap.stream, times[0])
        span = self.spans[index, GAP]
        span.min_ns = min(span.min_ns, *times)
        span.max_ns = max(span.max_ns, *times)
        if gap.state != CLOSED and gap.from_id is not None and gap.to_id is not None:
            span.runs = merge_runs(
                [*span.runs, (gap.from_id, gap.to_id)], MAX_RUNS_PER_ROW
            )
        return index

    def headers(self, keys: Sequence[Row]) -> list[Row]:
        """Everything noted, as ``spans.Spans`` reads it; *keys* are the streams."""
        rows: list[Row] = []
        for index, span in self.trades.items():
            runs = [(span.first, span.last)]
            if span.runs:
                runs = merge_runs([*span.runs, *runs], MAX_RUNS_PER_ROW)
            rows.append(
                (keys[index], TRADE, span.count, runs, span.min_ns, span.max_ns)
            )
        for (index, kind), span in self.spans.items():
            rows.append(
                (keys[index], kind, span.count, span.runs, span.min_ns, span.max_ns)
            )
        return rows


def _trade_row(record: Any, table: _Table) -> Row:  # hot path
    stream = record.stream
    index = table.by_identity.get(id(stream))
    if index is None:
        index = table.index(stream)
    first_id = record.first_id
    last_id = record.last_id
    exchange_ns = record.exchange_ns
    span = table.trades.get(index)
    if span is None:
        table.trades[index] = _Span(first_id, last_id, exchange_ns)
    else:
        span.count += 1
        if first_id == span.last + 1:
            span.last = last_id
        else:
            span.next_run(first_id, last_id)
        if exchange_ns > span.max_ns:
            span.max_ns = exchange_ns
        elif exchange_ns < span.min_ns:
            span.min_ns = exchange_ns
    return (
        TRADE,
        index,
        record.trade_id,
        first_id,
        last_id,
        record.fills,
        record.side,
        record.price,
        record.size,
        exchange_ns,
        record.received_ns,
        record.source,
    )


def _ticker_row(record: Any, table: _Table) -> Row:
    return (
        TICKER,
        table.note(TICKER, record.stream, record.exchange_ns),
        record.last,
        record.last_size,
        record.bid,
        record.bid_size,
        record.ask,
        record.ask_size,
        record.open_24h,
        record.high_24h,
        record.low_24h,
        record.volume_24h,
        record.quote_volume_24h,
        record.exchange_ns,
        record.received_ns,
    )


def _snapshot_row(record: Any, table: _Table) -> Row:
    return (
        BOOK_SNAPSHOT,
        table.note(BOOK_SNAPSHOT, record.stream, record.exchange_ns),
        record.bids,
        record.asks,
        record.last_id,
        record.exchange_ns,
        record.received_ns,
        record.checksum,
    )


def _delta_row(record: Any, table: _Table) -> Row:
    return (
        BOOK_DELTA,
        table.note(BOOK_DELTA, record.stream, record.exchange_ns),
        record.bids,
        record.asks,
        record.link_id,
        record.last_id,
        record.exchange_ns,
        record.received_ns,
        record.checksum,
    )


def _candle_row(record: Any, table: _Table) -> Row:
    return (
        CANDLE,
        table.note(CANDLE, record.stream, record.open_ns),
        record.timeframe,
        record.open_ns,
        record.open,
        record.high,
        record.low,
        record.close,
        record.volume,
        record.quote_volume,
        record.taker_buy_volume,
        record.trades_count,
        record.first_id,
        record.last_id,
        record.state,
        record.revision,
        record.source,
        record.received_ns,
    )


def _balance_row(record: Any, table: _Table) -> Row:
    return (
        BALANCE,
        table.note(BALANCE, record.stream, record.exchange_ns),
        record.asset,
        record.total,
        record.free,
        record.locked,
        record.exchange_ns,
        record.received_ns,
        record.snapshot,
    )


def _point_row(record: Any, table: _Table) -> Row:
    at_ns = ns_from_datetime(record.timestamp)
    data_type = str(record.data_type)
    stream = Subscription(record.exchange, "", record.symbol, data_type, "")
    return (POINT, table.note(POINT, stream, at_ns), at_ns, plain(record.data))


def _ohlcv_row(record: Any, table: _Table) -> Row:
    at_ns = ns_from_datetime(record.timestamp)
    stream = Subscription(record.exchange, "", record.symbol, "candle", "")
    return (
        OHLCV,
        table.note(OHLCV, stream, at_ns),
        record.timeframe,
        at_ns,
        record.open,
        record.high,
        record.low,
        record.close,
        record.volume,
        record.trades_count,
    )


def _gap_row(record: Any, table: _Table) -> Row:
    return (
        GAP,
        table.note_gap(record),
        record.gap_id,
        record.revision,
        record.from_id,
        record.to_id,
        record.from_ns,
        record.to_ns,
        record.cause,
        record.detected_ns,
        record.state,
        record.recovered_count,
        record.for_sink,
    )


def _coverage_row(record: Any, table: _Table) -> Row:
    return (
        COVERAGE,
        table.note(COVERAGE, record.stream, record.started_ns),
        record.started_ns,
        record.ended_ns,
        record.first_id,
        record.last_id,
    )


def _raw_row(record: Any, table: _Table) -> Row:
    at_ns = record.received_ns
    return (RAW, table.note(RAW, record.stream, at_ns), at_ns, record.text)


_ROWS: dict[type[Any], Callable[[Any, _Table], Row]] = {
    Trade: _trade_row,
    Ticker: _ticker_row,
    BookSnapshot: _snapshot_row,
    BookDelta: _delta_row,
    Candle: _candle_row,
    Balance: _balance_row,
    MarketDataPoint: _point_row,
    OHLCVData: _ohlcv_row,
    Gap: _gap_row,
    Coverage: _coverage_row,
    RawMessage: _raw_row,
}


def _learn(kind: type[Any]) -> Callable[[Any, _Table], Row]:
    """The row of a user's own subclass: that of its nearest known base."""
    for base in kind.__mro__:
        row = _ROWS.get(base)
        if row is not None:
            _ROWS[kind] = row
            return row
    raise JournalError(
        f"expected market data points and facts to keep, found {kind.__name__}"
    )


def encode(records: Sequence[Record]) -> tuple[bytes, bytes]:  # hot path
    """``(headers, payload)`` of *records*; any value fits, ``raw`` is left out.

    Raises:
        JournalError: one of them is no record at all.
    """
    table = _Table()
    rows = []
    known = _ROWS
    for record in records:
        kind = type(record)
        row = known[kind] if kind in known else _learn(kind)
        rows.append(row(record, table))
    streams = [subscription_key(stream) for stream in table.streams]
    headers = table.headers(streams)
    try:
        return _encode(headers), _encode((streams, rows))
    except (OverflowError, TypeError, ValueError):
        # Integers beyond 64 bits, lone surrogates: rare, and never a reason to
        # lose the rest of the batch.
        safe = plain((streams, rows))
        return _encode(clamped(headers)), _encode(safe)
