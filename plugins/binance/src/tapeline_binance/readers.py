"""Readers for the streams of every data type but balances."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from operator import attrgetter
from typing import Any

import attrs

from tapeline.model import (
    LIVE,
    BookDelta,
    Continuity,
    DataType,
    Market,
    MarketDataPoint,
    Subscription,
    Ticker,
    Trade,
)
from tapeline.model.construction import draft_of, quick_constructor
from tapeline_binance.books import (
    check_frame,
    check_levels,
    delta_from,
    futures_partial_from,
    partial_from,
)
from tapeline_binance.channels import CHANNELS
from tapeline_binance.messages import (
    BUY,
    SELL,
    agg_trade_from,
    book_ticker_from,
    candle_from,
    ticker_from,
    trade_from,
)
from tapeline_binance.numbers import PLAIN, NotPlain, known_decimal, learn_decimal
from tapeline_binance.reader import (
    Item,
    Reader,
    ReaderSettings,
    no_fast_way,
)
from tapeline_binance.seeds import Seed
from tapeline_binance.wire import (
    MAX_FILLS,
    MAX_MS,
    MS,
    Unusable,
    decode_agg_trade,
    decode_agg_trade_frame,
    decode_any,
    decode_book_ticker,
    decode_book_ticker_frame,
    decode_depth,
    decode_depth_frame,
    decode_kline,
    decode_partial,
    decode_partial_frame,
    decode_ticker,
    decode_ticker_frame,
    decode_trade,
    decode_trade_frame,
    prove_depth,
    prove_depth_frame,
    prove_partial,
    prove_partial_frame,
)

_UNUSUAL = (ValueError, RecursionError, ArithmeticError, NotPlain, Unusable)

_TradeDraft = draft_of(Trade)
_Ticker = quick_constructor(Ticker)

_DEFAULTS = ReaderSettings()


def _agg_trade_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    new = object.__new__

    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path: what agg_trade_from does, with nothing called that can be avoided
        try:
            row = decode_agg_trade_frame(frame).data
            price_text, size_text = row.p, row.q
            fills = row.l - row.f + 1
            price = known_decimal(price_text) or learn_decimal(price_text)
            if size_text.strip(PLAIN):
                return None
            size = Decimal(size_text)
        except _UNUSUAL:
            return None
        if not (price and size and 0 < fills <= MAX_FILLS):
            return None
        trade_id = row.a
        trade: Any = new(_TradeDraft)
        trade.stream = stream
        trade.trade_id = str(trade_id)
        trade.first_id = trade_id
        trade.last_id = trade_id
        trade.fills = fills
        trade.side = SELL if row.m else BUY
        trade.price = price
        trade.size = size
        trade.exchange_ns = row.T * MS
        trade.received_ns = received_ns
        trade.source = LIVE
        trade.raw = None
        trade.__class__ = Trade
        return [trade]

    def item(raw: bytes, received_ns: int) -> Trade:
        row = decode_agg_trade(raw)
        kept = decode_any(raw) if keep.raw else None
        return agg_trade_from(row, stream, received_ns, LIVE, kept)

    return Reader(stream, item, no_fast_way if keep.raw else fast, "a")


def _fill_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    new = object.__new__

    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path: what trade_from does, with nothing called that can be avoided
        try:
            row = decode_trade_frame(frame).data
            price_text, size_text = row.p, row.q
            price = known_decimal(price_text) or learn_decimal(price_text)
            if size_text.strip(PLAIN):
                return None
            size = Decimal(size_text)
        except _UNUSUAL:
            return None
        if not (price and size):
            return None
        trade_id = row.t
        trade: Any = new(_TradeDraft)
        trade.stream = stream
        trade.trade_id = str(trade_id)
        trade.first_id = trade_id
        trade.last_id = trade_id
        trade.fills = 1
        trade.side = SELL if row.m else BUY
        trade.price = price
        trade.size = size
        trade.exchange_ns = row.T * MS
        trade.received_ns = received_ns
        trade.source = LIVE
        trade.raw = None
        trade.__class__ = Trade
        return [trade]

    def item(raw: bytes, received_ns: int) -> Trade:
        row = decode_trade(raw)
        kept = decode_any(raw) if keep.raw else None
        return trade_from(row, stream, received_ns, LIVE, kept)

    return Reader(stream, item, no_fast_way if keep.raw else fast, "t")


def _trade_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    build = _agg_trade_reader if stream.channel == "aggTrade" else _fill_reader
    return build(stream, keep)


Made = Callable[..., MarketDataPoint]
Decode = Callable[[bytes], Any]


def _proven_reader(
    stream: Subscription,
    keep: ReaderSettings,
    frame_decoders: tuple[Decode, Decode],
    decoders: tuple[Decode, Decode],
    sides: Callable[[Any], tuple[Any, Any]],
    make: Made,
) -> Reader:
    decode_frame, prove_frame = frame_decoders
    decode, prove = decoders

    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path
        try:
            row, proof = decode_frame(frame).data, prove_frame(frame).data
            check_frame(frame)
            return [make(row, proof, stream, received_ns)]
        except _UNUSUAL:
            return None

    def item(raw: bytes, received_ns: int) -> MarketDataPoint:
        kept = decode_any(raw) if keep.raw else None
        row, proof = decode(raw), prove(raw)
        check_levels(*sides(row))
        return make(row, proof, stream, received_ns, kept)

    return Reader(stream, item, no_fast_way if keep.raw else fast)


def _ticker_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    if stream.channel == "bookTicker":
        return _book_ticker_reader(stream, keep)

    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path
        try:
            return [ticker_from(decode_ticker_frame(frame).data, stream, received_ns)]
        except _UNUSUAL:
            return None

    def item(raw: bytes, received_ns: int) -> Ticker:
        kept = decode_any(raw) if keep.raw else None
        return ticker_from(decode_ticker(raw), stream, received_ns, kept)

    return Reader(stream, item, no_fast_way if keep.raw else fast)


def _book_ticker_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path: what book_ticker_from does; one side is as it was before
        try:
            row = decode_book_ticker_frame(frame).data
            bid_text, bid_size_text = row.b, row.B
            ask_text, ask_size_text = row.a, row.A
            bid = known_decimal(bid_text) or learn_decimal(bid_text)
            bid_size = known_decimal(bid_size_text) or learn_decimal(bid_size_text)
            ask = known_decimal(ask_text) or learn_decimal(ask_text)
            ask_size = known_decimal(ask_size_text) or learn_decimal(ask_size_text)
        except _UNUSUAL:
            return None
        time = row.T
        if time is None:
            exchange_ns = received_ns
        elif time < MAX_MS:
            exchange_ns = time * MS
        else:
            return None
        return [
            _Ticker(
                stream,
                None,
                None,
                bid or None,
                bid_size,
                ask or None,
                ask_size,
                None,
                None,
                None,
                None,
                None,
                exchange_ns,
                received_ns,
            )
        ]

    def item(raw: bytes, received_ns: int) -> Ticker:
        kept = decode_any(raw) if keep.raw else None
        return book_ticker_from(decode_book_ticker(raw), stream, received_ns, kept)

    return Reader(stream, item, no_fast_way if keep.raw else fast)


def _partial_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    if stream.market == Market.SPOT.value:
        return _proven_reader(
            stream,
            keep,
            (decode_partial_frame, prove_partial_frame),
            (decode_partial, prove_partial),
            attrgetter("bids", "asks"),
            partial_from,
        )
    return _proven_reader(
        stream,
        keep,
        (decode_depth_frame, prove_depth_frame),
        (decode_depth, prove_depth),
        attrgetter("b", "a"),
        futures_partial_from,
    )


def _diff_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    seed = Seed()

    def fast(frame: bytes, received_ns: int) -> list[Item] | None:
        # hot path
        if seed.first_link is None:
            # the session has to look at it: a snapshot may be missing
            return None
        try:
            delta = delta_from(decode_depth_frame(frame).data, stream, received_ns)
            prove_depth_frame(frame)
            check_frame(frame)
        except _UNUSUAL:
            return None
        seed.newest_id = delta.last_id or 0
        seed.newest_ns = delta.exchange_ns
        return [delta]

    def item(raw: bytes, received_ns: int) -> BookDelta:
        kept = decode_any(raw) if keep.raw else None
        row = decode_depth(raw)
        delta = delta_from(row, stream, received_ns, kept)
        prove_depth(raw)
        check_levels(row.b, row.a)
        seed.note(delta)
        return delta

    return Reader(stream, item, no_fast_way if keep.raw else fast, seed=seed)


def _book_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    if CHANNELS[stream.channel].channel.continuity is Continuity.SEQUENCED:
        return _diff_reader(stream, keep)
    return _partial_reader(stream, keep)


def _candle_reader(stream: Subscription, keep: ReaderSettings) -> Reader:
    opened_ns, revision = 0, 0

    def item(raw: bytes, received_ns: int) -> MarketDataPoint | None:
        nonlocal opened_ns, revision
        row = decode_kline(raw).k
        if row.i != stream.timeframe:
            raise Unusable("timeframe")
        if not (keep.forming or row.x):
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
    """A reader for the events of *stream*, any but balances."""
    return _READERS[stream.data_type](stream, settings)
