"""Readers: one for each stream of a session.

A reader's fast way takes a whole frame and gives all its events, or None when
anything is unusual. The careful way takes the frame apart, so that one bad item
costs only itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs

from tapeline.model import (
    LIVE,
    Continuity,
    DataType,
    Malformed,
    MarketDataPoint,
    Subscription,
    Trade,
)
from tapeline.model.construction import draft_of
from tapeline_okx.books import delta_from, prove_frame, prove_row, snapshot_from
from tapeline_okx.channels import CHANNELS
from tapeline_okx.messages import candle_from, is_final, ticker_from, trade_from
from tapeline_okx.numbers import PLAIN, NotPlain, known_decimal, learn_decimal
from tapeline_okx.wire import (
    MAX_FILLS,
    MAX_ID,
    MS,
    UNDECODABLE,
    Envelope,
    Unusable,
    decode_any,
    decode_book,
    decode_books,
    decode_candle,
    decode_items,
    decode_ticker,
    decode_tickers,
    decode_trade,
    decode_trades,
)

Item = MarketDataPoint | Malformed
Fast = Callable[[bytes, int], list[Item] | None]

SAMPLE_BYTES = 200

_UNUSUAL = (ValueError, RecursionError, ArithmeticError, NotPlain, Unusable, KeyError)

_TradeDraft = draft_of(Trade)

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
_FIELD = re.compile(r"(?:\$\.|field `)(\w+)")


def sample(frame: bytes) -> str:
    """The beginning of *frame* as text."""
    return bytes(frame[:SAMPLE_BYTES]).decode("utf-8", "replace")


def _reason_of(error: Exception) -> str:
    match = _FIELD.search(str(error))
    return _REASONS.get(match[1], "field") if match else "field"


def _identity(item: bytes) -> tuple[int | None, int | None]:
    """Range of fill ids in a trade that is otherwise unusable."""
    try:
        row = decode_any(item)
        last_id = _whole(row["tradeId"], MAX_ID)
        if last_id is None:
            return None, None
        fills = _whole(row.get("count", "1"), min(last_id, MAX_FILLS)) or 1
    except (*UNDECODABLE, KeyError, TypeError, AttributeError):
        return None, None
    return last_id - fills + 1, last_id


def _whole(value: object, at_most: int) -> int | None:
    """A positive whole number given as text or number."""
    text = str(value) if isinstance(value, int | str) else ""
    if not (text.isascii() and text.isdecimal()) or len(text) > 20:
        return None
    number = int(text)
    return number if 0 < number <= at_most else None


def _no_fast_way(frame: bytes, received_ns: int) -> None:
    return None


@attrs.frozen
class ReaderSettings:
    """What readers are to give.

    Args:
        raw: keep OKX's own object in every event.
        forming: also candles that are not final yet, with rising revisions.
        checksums: pass on the checksums of books.
    """

    raw: bool = False
    forming: bool = False
    checksums: bool = True


_DEFAULTS = ReaderSettings()


@attrs.frozen
class Reader:
    """Reads the frames of one stream.

    Args:
        item: one item of ``data``, with the frame's ``action``; None for nothing.
        fast: all events of a frame, or None when anything is unusual about it.
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
            return [Malformed("data", sample(bytes(envelope.data)), self.stream)]
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


def _trade_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    new = object.__new__

    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path: what trade_from does, with nothing called that can be avoided
        events: list[Item] = []
        try:
            for row in decode_trades(frame).data:
                price_text, size_text = row.px, row.sz
                last_id, count = row.tradeId, row.count
                price = known_decimal(price_text) or learn_decimal(price_text)
                if size_text.strip(PLAIN):
                    return None
                size = Decimal(size_text)
                if not (price and size and count <= last_id):
                    return None
                trade: Any = new(_TradeDraft)
                trade.stream = stream
                trade.trade_id = str(last_id)
                trade.first_id = last_id - count + 1
                trade.last_id = last_id
                trade.fills = count
                trade.side = row.side
                trade.price = price
                trade.size = size
                trade.exchange_ns = row.ts * MS
                trade.received_ns = received_ns
                trade.source = LIVE
                trade.raw = None
                trade.__class__ = Trade
                events.append(trade)
        except _UNUSUAL:
            return None
        return events

    def item(raw: bytes, action: str, received_ns: int) -> Item:
        row = decode_trade(raw)
        kept = decode_any(raw) if keep.raw else None
        return trade_from(row, stream, received_ns, LIVE, kept)

    return Reader(stream, item, _no_fast_way if keep.raw else fast, identified=True)


def _ticker_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path
        try:
            return [
                ticker_from(row, stream, received_ns)
                for row in decode_tickers(frame).data
            ]
        except _UNUSUAL:
            return None

    def item(raw: bytes, action: str, received_ns: int) -> Item:
        row = decode_ticker(raw)
        kept = decode_any(raw) if keep.raw else None
        return ticker_from(row, stream, received_ns, kept)

    return Reader(stream, item, _no_fast_way if keep.raw else fast)


def _book_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    checksums = keep.checksums
    makes: dict[str, Callable[..., MarketDataPoint]]
    if CHANNELS[stream.channel].channel.continuity is Continuity.SNAPSHOT:
        makes = {"": snapshot_from, "snapshot": snapshot_from}
    else:
        makes = {"snapshot": snapshot_from, "update": delta_from}

    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path
        try:
            read = decode_books(frame)
            make = makes[read.action]
            (row,) = read.data
            proof = prove_frame(frame)
            return [make(row, proof, stream, received_ns, None, checksums)]
        except _UNUSUAL:
            return None

    def item(raw: bytes, action: str, received_ns: int) -> Item:
        make = makes.get(action)
        if make is None:
            raise Unusable("action")
        row = decode_book(raw)
        kept = decode_any(raw) if keep.raw else None
        return make(row, prove_row(row), stream, received_ns, kept, checksums)

    return Reader(stream, item, _no_fast_way if keep.raw else fast)


def _candle_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    opened_ns, revision = 0, 0

    def item(raw: bytes, action: str, received_ns: int) -> Item | None:
        nonlocal opened_ns, revision
        row = decode_candle(raw)
        if not (keep.forming or len(row) < 7 or is_final(row)):
            return None
        kept = decode_any(raw) if keep.raw else None
        candle = candle_from(row, stream, received_ns, 0, kept)
        if not keep.forming:
            return candle
        revision = revision + 1 if candle.open_ns == opened_ns else 0
        opened_ns = candle.open_ns
        return attrs.evolve(candle, revision=revision) if revision else candle

    return Reader(stream, item)


_READERS = {
    DataType.TRADE.value: _trade_reader,
    DataType.TICKER.value: _ticker_reader,
    DataType.ORDERBOOK.value: _book_reader,
    DataType.CANDLE.value: _candle_reader,
}


def build_reader(stream: Subscription, settings: ReaderSettings = _DEFAULTS) -> Reader:
    """A reader for the frames of *stream*, any channel but ``account``."""
    return _READERS[stream.data_type](stream, settings)
