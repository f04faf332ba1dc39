"""Bytes as records: for sinks that are behind, and for the refold at start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from tapeline.errors import JournalError
from tapeline.journal.extensions import extension
from tapeline.journal.spans import (
    BALANCE,
    BOOK_DELTA,
    BOOK_SNAPSHOT,
    CANDLE,
    COVERAGE,
    GAP,
    OHLCV,
    POINT,
    RAW,
    TICKER,
    TRADE,
    subscription,
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
)

_decode = msgspec.msgpack.Decoder(ext_hook=extension).decode


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
