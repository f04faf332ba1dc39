"""From single messages of OKX to trades, tickers and candles.

https://my.okx.com/docs-v5/en/#order-book-trading-market-data
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tapeline.model import (
    COMPLETE,
    FROM_VENUE,
    LIVE,
    PARTIAL,
    Candle,
    Market,
    Subscription,
    Ticker,
    Trade,
)
from tapeline.model.construction import quick_constructor
from tapeline_okx.numbers import (
    NotPlain,
    decimal_or_none,
    known_decimal,
    learn_decimal,
    plain_decimal,
)
from tapeline_okx.wire import MAX_MS, MS, Unusable, WireTicker, WireTrade

_Trade = quick_constructor(Trade)
_Ticker = quick_constructor(Ticker)

OLD_CANDLE_ITEMS = 7
"""Items of a candle in old recordings; today there are nine."""


def trade_from(
    row: WireTrade,
    stream: Subscription,
    received_ns: int,
    source: str = LIVE,
    raw: object = None,
) -> Trade:
    """The trade in *row*; ``tradeId`` names the last of ``count`` fills.

    Raises:
        Unusable: price, size or count cannot be true.
    """
    last_id, count, size_text = row.tradeId, row.count, row.sz
    try:
        price = known_decimal(row.px) or learn_decimal(row.px)
    except NotPlain:
        raise Unusable("price") from None
    try:
        size = plain_decimal(size_text)
    except NotPlain:
        raise Unusable("size") from None
    if not price:
        raise Unusable("price")
    if not size:
        raise Unusable("size")
    if count > last_id:
        raise Unusable("count")
    return _Trade(
        stream,
        str(last_id),
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


def is_final(row: Sequence[str]) -> bool:
    """Whether a candle says that it will not change any more; old ones never do."""
    if len(row) <= OLD_CANDLE_ITEMS:
        return False
    return row[8 if len(row) > 8 else 7] == "1"


def candle_from(
    row: Sequence[str],
    stream: Subscription,
    received_ns: int,
    revision: int = 0,
    raw: object = None,
) -> Candle:
    """The candle in *row*: ts, o, h, l, c, vol, volCcy[, volCcyQuote], confirm.

    Raises:
        Unusable: an item is missing, not a number, or not possible.
    """
    if len(row) < OLD_CANDLE_ITEMS:
        raise Unusable("field")
    if len(row) > 8:
        quote_text = row[7]
    else:
        quote_text = row[6] if stream.market == Market.SPOT.value else ""
    try:
        opening, high, low, close, volume = map(plain_decimal, row[1:6])
        quote_volume = plain_decimal(quote_text) if quote_text else None
        opened_ms = plain_decimal(row[0])
    except NotPlain:
        raise Unusable("number") from None
    if not 0 < opened_ms < MAX_MS or opened_ms % 1:
        raise Unusable("time")
    if not Decimal(0) < low <= min(opening, close) <= max(opening, close) <= high:
        raise Unusable("price")
    return Candle(
        stream=stream,
        timeframe=stream.timeframe,
        open_ns=int(opened_ms) * MS,
        open=opening,
        high=high,
        low=low,
        close=close,
        volume=volume,
        quote_volume=quote_volume,
        taker_buy_volume=None,
        trades_count=None,
        first_id=None,
        last_id=None,
        state=COMPLETE if is_final(row) else PARTIAL,
        revision=revision,
        source=FROM_VENUE,
        received_ns=received_ns,
        raw=raw,
    )
