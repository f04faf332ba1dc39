"""From what OKX sends to our events.

Each stream has a reader. Its fast way takes a whole frame and gives all events or
None; its careful way takes the frame apart, so that one bad item costs only itself.

https://my.okx.com/docs-v5/en/#order-book-trading-market-data
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

import attrs
import msgspec

from tapeline.model import (
    COMPLETE,
    FROM_VENUE,
    LIVE,
    PARTIAL,
    BookDelta,
    BookSnapshot,
    Candle,
    Continuity,
    DataType,
    Malformed,
    Market,
    MarketDataPoint,
    Subscription,
    Ticker,
    Trade,
)
from tapeline_okx.channels import CHANNELS
from tapeline_okx.construction import quick_constructor
from tapeline_okx.numbers import (
    MAX_LENGTH,
    PLAIN,
    NotPlain,
    decimal_or_none,
    floats_of,
    known_decimal,
    learn_decimal,
    plain_decimal,
)

Item = MarketDataPoint | Malformed

SAMPLE_BYTES = 200

_Trade = quick_constructor(Trade)
_Ticker = quick_constructor(Ticker)

class Unusable(Exception):
    """An item that cannot be true; *reason* is a short stable word."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def sample(frame: bytes) -> str:
    """The beginning of *frame* as text."""
    return bytes(frame[:SAMPLE_BYTES]).decode("utf-8", "replace")


def trade_from(
    row: WireTrade,
    stream: Subscription,
    received_ns: int,
    source: str = LIVE,
    raw: object = None,
) -> Trade:
    """The trade in *row*; ``tradeId`` names the last of ``count`` fills.

    Raises:
        Unusable: price, size or id cannot be true.
    """
    # hot path
    trade_id, size_text, count = row.tradeId, row.sz, row.count
    try:
        price = known_decimal(row.px) or learn_decimal(row.px)
        if size_text.strip(PLAIN) or not trade_id.isdecimal():
            raise Unusable("size" if trade_id.isdecimal() else "id")
        size = Decimal(size_text)
        last_id = int(trade_id)
    except NotPlain:
        raise Unusable("price") from None
    except ArithmeticError:
        raise Unusable("size") from None
    if price and size and count <= last_id <= MAX_ID:
        return _Trade(
            stream,
            trade_id,
            last_id - count + 1,
            last_id,
            count,
            row.side,
            price,
            size,
            row.ts * MS,
            received_ns,
            source,
            raw,
        )
    raise Unusable("price" if not price else "id" if size else "size")


def ticker_from(
    row: WireTicker, stream: Subscription, received_ns: int, raw: object = None
) -> Ticker:
    """The ticker in *row*; empty fields, and prices of zero, become None.

    Raises:
        Unusable: a field is not a plain number.
    """
    try:
        return _Ticker(
            stream,
            decimal_or_none(row.last) or None,
            decimal_or_none(row.lastSz),
            decimal_or_none(row.bidPx) or None,
            decimal_or_none(row.bidSz),
            decimal_or_none(row.askPx) or None,
            decimal_or_none(row.askSz),
            decimal_or_none(row.open24h) or None,
            decimal_or_none(row.high24h) or None,
            decimal_or_none(row.low24h) or None,
            decimal_or_none(row.vol24h),
            decimal_or_none(row.volCcy24h),
            row.ts * MS,
            received_ns,
            raw,
        )
    except NotPlain:
        raise Unusable("number") from None


_REASONS = {
    "px": "price",
    "sz": "size",
    "tradeId": "id",
    "side": "side",
    "ts": "time",
    "count": "count",
    "asks": "level",
    "bids": "level",
}
_FIELD = re.compile(r"\$\.(\w+)")


def _reason_of(error: Exception) -> str:
    match = _FIELD.search(str(error))
    return _REASONS.get(match[1], "field") if match else "field"


def _identity(item: bytes) -> tuple[int | None, int | None]:
    """Range of fill ids in a trade that is otherwise unusable."""
    try:
        row = decode_any(item)
        text = row["tradeId"]
        if not (isinstance(text, str) and text.isascii() and text.isdecimal()):
            return None, None
        last_id = int(text)
    except (*UNDECODABLE, KeyError, TypeError):
        return None, None
    if not 0 < last_id <= MAX_ID:
        return None, None
    count = str(row.get("count", "1"))
    fills = int(count) if count.isascii() and count.isdecimal() else 1
    if not 1 <= fills <= min(last_id, MAX_FILLS):
        fills = 1
    return last_id - fills + 1, last_id


Fast = Callable[[bytes, int], list[Item] | None]


def _no_fast_way(frame: bytes, received_ns: int) -> None:
    return None


@attrs.frozen
class Reader:
    """Reads the frames of one stream.

    Args:
        fast: all events of a frame, or None when anything is unusual about it.
        item: one item of ``data``, with the frame's ``action``; None for nothing.
        identified: whether unusable items still tell their trade ids.
    """

    stream: Subscription
    item: Callable[[bytes, str, int], Item | None]
    fast: Fast = _no_fast_way
    identified: bool = False

    def careful(self, envelope: Envelope, received_ns: int) -> list[Item]:
        """Read item by item; what cannot be used comes as ``Malformed``."""
        try:
            items = decode_items(envelope.data)
        except UNDECODABLE:
            text = sample(bytes(envelope.data))
            return [Malformed("data", text, self.stream)]
        read: list[Item] = []
        for raw in items:
            item = bytes(raw)
            try:
                event = self.item(item, envelope.action, received_ns)
            except Unusable as error:
                read.append(self._malformed(error.reason, item))
            except UNDECODABLE as error:
                read.append(self._malformed(_reason_of(error), item))
            else:
                if event is not None:
                    read.append(event)
        return read

    def _malformed(self, reason: str, item: bytes) -> Malformed:
        first_id, last_id = _identity(item) if self.identified else (None, None)
        return Malformed(reason, sample(item), self.stream, first_id, last_id)


def _trade_reader(stream: Subscription, keep_raw: bool, forming: bool) -> Reader:
    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path
        try:
            return [
                trade_from(row, stream, received_ns)
                for row in decode_trades(frame).data
            ]
        except (ValueError, RecursionError, Unusable):
            return None

    def item(raw: bytes, action: str, received_ns: int) -> Item:
        row = decode_trade(raw)
        kept = decode_any(raw) if keep_raw else None
        return trade_from(row, stream, received_ns, LIVE, kept)

    return Reader(stream, item, _no_fast_way if keep_raw else fast, identified=True)


def _ticker_reader(stream: Subscription, keep_raw: bool, forming: bool) -> Reader:
    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path
        try:
            return [
                ticker_from(row, stream, received_ns)
                for row in decode_tickers(frame).data
            ]
        except (ValueError, RecursionError, Unusable):
            return None

    def item(raw: bytes, action: str, received_ns: int) -> Item:
        row = decode_ticker(raw)
        kept = decode_any(raw) if keep_raw else None
        return ticker_from(row, stream, received_ns, kept)

    return Reader(stream, item, _no_fast_way if keep_raw else fast)


def _book_reader(stream: Subscription, keep_raw: bool, forming: bool) -> Reader:
    makes = {"snapshot": snapshot_from, "update": delta_from}
    if CHANNELS[stream.channel].channel.continuity is Continuity.SNAPSHOT:
        makes = {"": snapshot_from, "snapshot": snapshot_from}

    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path
        try:
            read = decode_books(frame)
            make = makes[read.action]
            return [make(row, stream, received_ns) for row in read.data]
        except (ValueError, RecursionError, Unusable, KeyError):
            return None

    def item(raw: bytes, action: str, received_ns: int) -> Item:
        make = makes.get(action)
        if make is None:
            raise Unusable("action")
        row = decode_book(raw)
        return make(row, stream, received_ns, decode_any(raw) if keep_raw else None)

    return Reader(stream, item, _no_fast_way if keep_raw else fast)


def _candle_reader(stream: Subscription, keep_raw: bool, forming: bool) -> Reader:
    bar_ms, revision = 0, -1

    def item(raw: bytes, action: str, received_ns: int) -> Item | None:
        nonlocal bar_ms, revision
        row = decode_candle(raw)
        if len(row) < 7:
            raise Unusable("field")
        # 7 elements: old, never said to be final; 8: without volCcyQuote
        final = len(row) > 7 and row[8 if len(row) > 8 else 7] == "1"
        if not final and not forming:
            return None
        if not row[0].isdecimal():
            raise Unusable("time")
        opened_ms = int(row[0])
        if len(row) > 8:
            quote_text = row[7]
        else:
            quote_text = row[6] if stream.market == Market.SPOT.value else ""
        try:
            bar_open, high, low, close, volume = map(plain_decimal, row[1:6])
            quote_volume = plain_decimal(quote_text) if quote_text else None
        except NotPlain:
            raise Unusable("number") from None
        if not 0 < opened_ms < MAX_MS:
            raise Unusable("time")
        if not (0 < low <= min(bar_open, close) and max(bar_open, close) <= high):
            raise Unusable("price")
        revision = revision + 1 if opened_ms == bar_ms and forming else 0
        bar_ms = opened_ms
        return Candle(
            stream=stream,
            timeframe=stream.timeframe,
            open_ns=opened_ms * MS,
            open=bar_open,
            high=high,
            low=low,
            close=close,
            volume=volume,
            quote_volume=quote_volume,
            taker_buy_volume=None,
            trades_count=None,
            first_id=None,
            last_id=None,
            state=COMPLETE if final else PARTIAL,
            revision=revision,
            source=FROM_VENUE,
            received_ns=received_ns,
            raw=decode_any(raw) if keep_raw else None,
        )

    return Reader(stream, item)


_READERS = {
    DataType.TRADE.value: _trade_reader,
    DataType.TICKER.value: _ticker_reader,
    DataType.ORDERBOOK.value: _book_reader,
    DataType.CANDLE.value: _candle_reader,
}


def build_reader(
    stream: Subscription, *, keep_raw: bool = False, forming: bool = False
) -> Reader:
    """A reader for the frames of *stream*, any channel but ``account``."""
    return _READERS[stream.data_type](stream, keep_raw, forming)
