"""From REST answers that a session asked for to events."""

from __future__ import annotations

from tapeline.model import (
    BookSnapshot,
    Candle,
    Malformed,
    Response,
    Subscription,
    Trade,
)
from tapeline_binance.backfill import trade_in
from tapeline_binance.books import check_levels, partial_from
from tapeline_binance.messages import rest_candle_from
from tapeline_binance.reader import sample
from tapeline_binance.wire import (
    UNDECODABLE,
    Unusable,
    WirePartial,
    decode_any,
    decode_partial,
    prove_partial,
)


def snapshot_in(
    response: Response, stream: Subscription
) -> tuple[WirePartial, BookSnapshot] | Malformed:
    """The book in an answer of ``depth``, as it came and as an event."""
    body = response.body
    try:
        row = decode_partial(body)
        proof = prove_partial(body)
        check_levels(row.bids, row.asks)
    except (*UNDECODABLE, Unusable):
        return Malformed("snapshot", sample(body), stream)
    return row, partial_from(row, proof, stream, response.received_ns)


def candles_in(
    response: Response, stream: Subscription, venue_ns: int
) -> list[Candle] | Malformed:
    """The candles in an answer of ``klines`` that are final by *venue_ns*."""
    try:
        rows = decode_any(response.body)
        if not isinstance(rows, list):
            raise Unusable("klines")
        candles = [
            rest_candle_from(row, stream, response.received_ns, venue_ns)
            for row in rows
        ]
    except UNDECODABLE:
        return Malformed("klines", sample(response.body), stream)
    except Unusable as error:
        return Malformed(error.reason, sample(response.body), stream)
    return [candle for candle in candles if candle is not None]


def trades_in(response: Response, stream: Subscription) -> list[Trade | Malformed]:
    """Trades in a recorded answer, a whole page or one row of it."""
    try:
        found = decode_any(response.body)
    except UNDECODABLE:
        return [Malformed("json", sample(response.body), stream)]
    trades: list[Trade | Malformed] = []
    for row in found if isinstance(found, list) else [found]:
        trade = trade_in(row, stream, response.received_ns)
        trades.append(trade or Malformed("row", sample(response.body), stream))
    return trades


def is_page_of(url: str, name: str, channel: str) -> bool:
    """Whether *url* asks for trades of the stream called *name*."""
    endpoint = "aggTrades" if channel == "aggTrade" else "historicalTrades"
    symbol = url.partition("symbol=")[2].partition("&")[0].partition(" ")[0]
    return f"/{endpoint}?" in url and symbol.lower() == name.partition("@")[0]
