"""Rows of the journal as bytes: compact msgpack arrays, exact, without raw objects.

A payload is ``[streams, rows]``: every stream once, and rows that name their kind
and their stream by number. ``append`` encodes on the way of every event.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapeline.errors import JournalError
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
    subscription,
    subscription_key,
)
from tapeline.model import (
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Coverage,
    DataType,
    Gap,
    MarketDataPoint,
    OHLCVData,
    RawMessage,
    Record,
    Subscription,
    Ticker,
    Trade,
    datetime_from_ns,
    ns_from_datetime,
)

Row = tuple[object, ...]

_DECIMAL, _INTEGER, _TEXT, _DATETIME = 1, 2, 3, 4
_MAX_DEPTH = 32
_TOO_DEEP = "nested too deep to be kept"

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
            rows.append((keys[index], kind, span.count, (), span.min_ns, span.max_ns))
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
    return (POINT, table.note(POINT, stream, at_ns), at_ns, _plain(record.data))


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
        table.note(GAP, record.stream, record.detected_ns),
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
        safe = _plain((streams, rows))
        return _encode(_clamped(headers)), _encode(safe)


def _clamped(headers: list[Row]) -> list[object]:
    """Headers whose numbers fit; only their texts and bounds may be off."""

    def fit(value: object) -> object:
        if isinstance(value, int):
            return min(max(value, -(2**63)), 2**63 - 1)
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode()
        if isinstance(value, list | tuple):
            return [fit(item) for item in value]
        return value

    return [fit(row) for row in headers]


def _plain(value: object, depth: int = 0) -> object:
    """*value* in what msgpack has, with extensions for what it lacks."""
    if value is None or isinstance(value, bool | float | bytes):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, depth)
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return int(value)
        return msgspec.msgpack.Ext(_INTEGER, hex(value).encode())
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            text = value.encode("utf-8", "surrogatepass")
            return msgspec.msgpack.Ext(_TEXT, text)
        return str(value)
    if isinstance(value, Decimal):
        return msgspec.msgpack.Ext(_DECIMAL, str(value).encode())
    if isinstance(value, datetime):
        return msgspec.msgpack.Ext(_DATETIME, value.isoformat().encode())
    if depth >= _MAX_DEPTH:
        return _TOO_DEEP
    if isinstance(value, Mapping):
        return {
            key if type(key) is int else str(key): _plain(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in value]
    return _plain(str(value))


def _extension(code: int, data: memoryview) -> object:
    text = bytes(data)
    if code == _DECIMAL:
        return Decimal(text.decode())
    if code == _INTEGER:
        return int(text, 16)
    if code == _TEXT:
        return text.decode("utf-8", "surrogatepass")
    if code == _DATETIME:
        return datetime.fromisoformat(text.decode())
    raise JournalError(
        f"expected an extension that this version knows, found code {code}"
    )


_decode = msgspec.msgpack.Decoder(ext_hook=_extension).decode


# Rows are positional; the types of their fields are those of the constructors.
_make_ticker: Callable[..., Record] = Ticker
_make_candle: Callable[..., Record] = Candle
_make_balance: Callable[..., Record] = Balance
_make_bar: Callable[..., Record] = OHLCVData


def _levels(levels: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(map(tuple, levels))


def _trade(stream: Subscription, row: list[Any]) -> Record:
    return Trade(
        stream,
        row[2],
        row[3],
        row[4],
        row[5],
        row[6],
        Decimal(row[7]),
        Decimal(row[8]),
        row[9],
        row[10],
        row[11],
    )


def _ticker(stream: Subscription, row: list[Any]) -> Record:
    numbers = [None if text is None else Decimal(text) for text in row[2:13]]
    return _make_ticker(stream, *numbers, row[13], row[14])


def _snapshot(stream: Subscription, row: list[Any]) -> Record:
    return BookSnapshot(stream, _levels(row[2]), _levels(row[3]), *row[4:])


def _delta(stream: Subscription, row: list[Any]) -> Record:
    return BookDelta(stream, _levels(row[2]), _levels(row[3]), *row[4:])


def _candle(stream: Subscription, row: list[Any]) -> Record:
    numbers = [None if text is None else Decimal(text) for text in row[4:11]]
    return _make_candle(stream, row[2], row[3], *numbers, *row[11:])


def _balance(stream: Subscription, row: list[Any]) -> Record:
    numbers = [None if text is None else Decimal(text) for text in row[3:6]]
    return _make_balance(stream, row[2], *numbers, *row[6:])


def _point(stream: Subscription, row: list[Any]) -> Record:
    return MarketDataPoint(
        stream.exchange,
        stream.symbol,
        datetime_from_ns(row[2]),
        _DATA_TYPES.get(stream.data_type, stream.data_type),
        row[3],
    )


def _ohlcv(stream: Subscription, row: list[Any]) -> Record:
    prices = map(Decimal, row[4:9])
    opened = datetime_from_ns(row[3])
    return _make_bar(stream.symbol, row[2], opened, *prices, row[9])


def _gap(stream: Subscription, row: list[Any]) -> Record:
    return Gap(stream, *row[2:])


def _coverage(stream: Subscription, row: list[Any]) -> Record:
    return Coverage(stream, *row[2:])


def _raw(stream: Subscription, row: list[Any]) -> Record:
    return RawMessage(stream, row[2], row[3])


_DATA_TYPES = {str(member): member for member in DataType}

_RECORDS: Mapping[int, Callable[[Subscription, list[Any]], Record]] = {
    TRADE: _trade,
    TICKER: _ticker,
    BOOK_SNAPSHOT: _snapshot,
    BOOK_DELTA: _delta,
    CANDLE: _candle,
    BALANCE: _balance,
    POINT: _point,
    OHLCV: _ohlcv,
    GAP: _gap,
    COVERAGE: _coverage,
    RAW: _raw,
}


def decode(payload: bytes) -> list[Record]:
    """The records of a payload.

    Raises:
        JournalError: it is not one that this version wrote.
    """
    try:
        streams, rows = _decode(payload)
        table = [subscription(tuple(stream)) for stream in streams]
        return [_RECORDS[row[0]](table[row[1]], row) for row in rows]
    except (
        msgspec.MsgspecError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise JournalError(
            f"expected a payload of this version, found {len(payload)} bytes that "
            f"do not decode: {error}"
        ) from error
