"""From single messages of Binance to trades, tickers and candles.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""

from __future__ import annotations

from decimal import Decimal

from tapeline.model import (
    COMPLETE,
    FROM_VENUE,
    LIVE,
    PARTIAL,
    Candle,
    Subscription,
    Ticker,
    Trade,
)
from tapeline.model.construction import quick_constructor
from tapeline_binance.numbers import (
    NotPlain,
    decimal_or_none,
    known_decimal,
    learn_decimal,
    plain_decimal,
)
from tapeline_binance.wire import (
    MAX_FILLS,
    MAX_MS,
    Unusable,
    WireAggTrade,
    WireBookTicker,
    WireKline,
    WireRestTrade,
    WireTicker,
    WireTrade,
    ns_of,
)

_Trade = quick_constructor(Trade)
_Ticker = quick_constructor(Ticker)

BUY = "buy"
SELL = "sell"


def _number(text: str, reason: str) -> Decimal:
    try:
        number = plain_decimal(text)
    except NotPlain:
        raise Unusable(reason) from None
    if not number:
        raise Unusable(reason)
    return number


def _price(text: str) -> Decimal:
    try:
        price = known_decimal(text) or learn_decimal(text)
    except NotPlain:
        raise Unusable("price") from None
    if not price:
        raise Unusable("price")
    return price


def agg_trade_from(
    row: WireAggTrade,
    stream: Subscription,
    received_ns: int,
    source: str = LIVE,
    raw: object = None,
) -> Trade:
    """The trade in *row*: one aggregate id, made of the fills ``f..l``.

    Raises:
        Unusable: price, size or fill ids cannot be true.
    """
    fills = row.l - row.f + 1
    if row.f < 0 or not 1 <= fills <= MAX_FILLS:
        raise Unusable("count")
    return _Trade(
        stream,
        str(row.a),
        row.a,
        row.a,
        fills,
        # the buyer was the maker, so the taker sold
        SELL if row.m else BUY,
        _price(row.p),
        _number(row.q, "size"),
        ns_of(row.T),
        received_ns,
        source,
        raw,
    )


def trade_from(
    row: WireTrade,
    stream: Subscription,
    received_ns: int,
    source: str = LIVE,
    raw: object = None,
) -> Trade:
    """The trade in *row*: one fill.

    Raises:
        Unusable: price or size cannot be true.
    """
    return _Trade(
        stream,
        str(row.t),
        row.t,
        row.t,
        1,
        SELL if row.m else BUY,
        _price(row.p),
        _number(row.q, "size"),
        ns_of(row.T),
        received_ns,
        source,
        raw,
    )


def rest_trade_from(
    row: WireRestTrade, stream: Subscription, received_ns: int, source: str
) -> Trade:
    """The trade in a row of ``historicalTrades``.

    Raises:
        Unusable: price or size cannot be true.
    """
    fill = WireTrade(row.id, row.price, row.qty, row.time, row.isBuyerMaker)
    return trade_from(fill, stream, received_ns, source)


def ticker_from(
    row: WireTicker, stream: Subscription, received_ns: int, raw: object = None
) -> Ticker:
    """The ticker in *row*; empty fields, and prices of zero, become None.

    Raises:
        Unusable: a field is not a plain number.
    """
    # hot path
    try:
        return _Ticker(
            stream,
            decimal_or_none(row.c) or None,
            decimal_or_none(row.Q),
            decimal_or_none(row.b) or None,
            decimal_or_none(row.B),
            decimal_or_none(row.a) or None,
            decimal_or_none(row.A),
            decimal_or_none(row.o) or None,
            decimal_or_none(row.h) or None,
            decimal_or_none(row.l) or None,
            decimal_or_none(row.v),
            decimal_or_none(row.q),
            ns_of(row.E),
            received_ns,
            raw,
        )
    except NotPlain:
        raise Unusable("number") from None


def book_ticker_from(
    row: WireBookTicker, stream: Subscription, received_ns: int, raw: object = None
) -> Ticker:
    """The best bid and ask in *row*; spot tells no time, so that of receipt counts.

    Raises:
        Unusable: a field is not a plain number.
    """
    # hot path
    time = row.T or row.E
    try:
        return _Ticker(
            stream,
            None,
            None,
            decimal_or_none(row.b) or None,
            decimal_or_none(row.B),
            decimal_or_none(row.a) or None,
            decimal_or_none(row.A),
            None,
            None,
            None,
            None,
            None,
            received_ns if time is None else ns_of(time),
            received_ns,
            raw,
        )
    except NotPlain:
        raise Unusable("number") from None


def candle_from(
    row: WireKline,
    stream: Subscription,
    received_ns: int,
    revision: int = 0,
    raw: object = None,
) -> Candle:
    """The candle in *row*; ``x`` says whether it is final.

    Raises:
        Unusable: a number is none, or not possible.
    """
    try:
        opening, high, low, close = map(plain_decimal, (row.o, row.h, row.l, row.c))
        volume, quote, taker = map(plain_decimal, (row.v, row.q, row.V))
    except NotPlain:
        raise Unusable("number") from None
    if not Decimal(0) < low <= min(opening, close) <= max(opening, close) <= high:
        raise Unusable("price")
    traded = row.n > 0 and 0 <= row.f <= row.L
    return Candle(
        stream=stream,
        timeframe=stream.timeframe,
        open_ns=ns_of(row.t),
        open=opening,
        high=high,
        low=low,
        close=close,
        volume=volume,
        quote_volume=quote,
        taker_buy_volume=taker,
        trades_count=row.n,
        first_id=row.f if traded else None,
        last_id=row.L if traded else None,
        state=COMPLETE if row.x else PARTIAL,
        revision=revision,
        source=FROM_VENUE,
        received_ns=received_ns,
        raw=raw,
    )


REST_CANDLE_ITEMS = 11


def rest_candle_from(
    row: object, stream: Subscription, received_ns: int, venue_ns: int
) -> Candle | None:
    """The candle in a row of REST ``klines``; None while it is not final.

    Rows do not say so: a candle is final once its last millisecond has passed.

    Raises:
        Unusable: an item is missing, none, or not possible.
    """
    if not isinstance(row, list) or len(row) < REST_CANDLE_ITEMS:
        raise Unusable("field")
    opened, closed, count = row[0], row[6], row[8]
    texts = (*row[1:6], row[7], row[9])
    times = (opened, closed, count)
    if not all(type(item) is int and 0 <= item < MAX_MS for item in times):
        raise Unusable("time")
    if not all(isinstance(text, str) for text in texts):
        raise Unusable("number")
    if ns_of(closed) >= venue_ns:
        return None
    opening, high, low, close, volume, quote, taker = texts
    kline = WireKline(
        opened,
        stream.timeframe,
        -1,
        -1,
        opening,
        close,
        high,
        low,
        volume,
        count,
        True,
        quote,
        taker,
    )
    return candle_from(kline, stream, received_ns)
