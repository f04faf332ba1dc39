"""Binance's JSON as private structs: only the fields that are used.

The same letter means different things on different streams, so every stream has a
struct of its own. Prices and sizes are texts; ids and times are numbers.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tapeline_binance.numbers import MAX_LENGTH

MAX_ID = 2**63 - 1
MAX_FILLS = 1_000_000
MAX_MS = 9_000_000_000_000
MS = 1_000_000
US = 1_000

UNDECODABLE = (ValueError, RecursionError)
"""What msgspec raises for bytes it cannot use (its errors are ``ValueError``)."""

Text = Annotated[str, msgspec.Meta(max_length=MAX_LENGTH)]
Millis = Annotated[int, msgspec.Meta(gt=0, lt=MAX_MS)]
AnyTime = Annotated[int, msgspec.Meta(gt=0, lt=MAX_MS * 1_000)]
Id = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
FillId = Annotated[int, msgspec.Meta(ge=-1, le=MAX_ID)]
Level = tuple[Text, Text]
Price = Annotated[float, msgspec.Meta(gt=0, lt=1e18)]
Size = Annotated[float, msgspec.Meta(ge=0, lt=1e18)]
Numbers = list[tuple[Price, Size]]


def ns_of(time: int) -> int:
    """Nanoseconds of *time*, which is in milliseconds or has 16 digits of µs."""
    return time * MS if time < MAX_MS else time * US


class WireAggTrade(msgspec.Struct, gc=False):
    """``aggTrade``, on sockets and as a row of REST ``aggTrades``."""

    a: Id
    p: Text
    q: Text
    f: FillId
    l: FillId  # noqa: E741
    T: AnyTime
    m: bool


class WireTrade(msgspec.Struct, gc=False):
    """``trade``: one fill."""

    t: Id
    p: Text
    q: Text
    T: AnyTime
    m: bool


class WireRestTrade(msgspec.Struct, gc=False):
    """A row of REST ``historicalTrades``."""

    id: Id
    price: Text
    qty: Text
    time: AnyTime
    isBuyerMaker: bool


class WireTicker(msgspec.Struct, gc=False):
    """``24hrTicker``; futures have no bid and ask."""

    E: AnyTime
    c: Text = ""
    Q: Text = ""
    b: Text = ""
    B: Text = ""
    a: Text = ""
    A: Text = ""
    o: Text = ""
    h: Text = ""
    l: Text = ""  # noqa: E741
    v: Text = ""
    q: Text = ""


class WireBookTicker(msgspec.Struct, gc=False):
    """``bookTicker``; spot has no times."""

    u: Id
    b: Text
    B: Text
    a: Text
    A: Text
    E: AnyTime | None = None
    T: AnyTime | None = None


class WireDepth(msgspec.Struct, gc=False):
    """``depthUpdate``; futures have ``pu`` and ``T``, also for partial depth."""

    E: AnyTime
    U: Id
    u: Id
    b: list[Level]
    a: list[Level]
    pu: FillId | None = None
    T: AnyTime | None = None


class WirePartial(msgspec.Struct, gc=False):
    """Partial depth of spot, and REST ``depth`` everywhere."""

    lastUpdateId: Id
    bids: list[Level]
    asks: list[Level]
    E: AnyTime | None = None
    T: AnyTime | None = None


class WireKline(msgspec.Struct, gc=False):
    """``k`` of a ``kline``."""

    t: AnyTime
    i: Text
    f: FillId
    L: FillId
    o: Text
    c: Text
    h: Text
    l: Text  # noqa: E741
    v: Text
    n: Id
    x: bool
    q: Text
    V: Text


class WireKlineEvent(msgspec.Struct, gc=False):
    """``kline``."""

    k: WireKline


class UsualAggTrade(msgspec.Struct, gc=False):
    """``WireAggTrade`` as it nearly always is: fills are named, times in ms."""

    a: Id
    p: Text
    q: Text
    f: Id
    l: Id  # noqa: E741
    T: Millis
    m: bool


class UsualTrade(msgspec.Struct, gc=False):
    """``WireTrade`` with its time in ms."""

    t: Id
    p: Text
    q: Text
    T: Millis
    m: bool


class AggTradeFrame(msgspec.Struct, gc=False):
    """A combined frame of ``aggTrade``."""

    data: UsualAggTrade


class TradeFrame(msgspec.Struct, gc=False):
    """A combined frame of ``trade``."""

    data: UsualTrade


class TickerFrame(msgspec.Struct, gc=False):
    """A combined frame of ``ticker``."""

    data: WireTicker


class BookTickerFrame(msgspec.Struct, gc=False):
    """A combined frame of ``bookTicker``."""

    data: WireBookTicker


class DepthFrame(msgspec.Struct, gc=False):
    """A combined frame of diff depth, or of partial depth of futures."""

    data: WireDepth


class PartialFrame(msgspec.Struct, gc=False):
    """A combined frame of partial depth of spot."""

    data: WirePartial


class DepthProof(msgspec.Struct, gc=False):
    """``WireDepth`` with its levels as numbers: decoding proves that they are some."""

    b: Numbers
    a: Numbers


class PartialProof(msgspec.Struct, gc=False):
    """``WirePartial`` with its levels as numbers."""

    bids: Numbers
    asks: Numbers


class DepthFrameProof(msgspec.Struct, gc=False):
    """``DepthFrame`` with its levels as numbers."""

    data: DepthProof


class PartialFrameProof(msgspec.Struct, gc=False):
    """``PartialFrame`` with its levels as numbers."""

    data: PartialProof


class Envelope(msgspec.Struct):
    """Any frame at all; what is not there stays empty.

    A combined frame has ``stream`` and ``data``; everything else is an answer to a
    request, or an event without a wrapper.
    """

    stream: Any = None
    data: msgspec.Raw = msgspec.Raw(b"")
    e: Any = None
    s: Any = None
    k: msgspec.Raw = msgspec.Raw(b"")
    id: Any = None
    result: Any = msgspec.UNSET
    error: Any = None
    code: Any = None
    msg: Any = None
    status: Any = None
    event: msgspec.Raw = msgspec.Raw(b"")
    lastUpdateId: Any = None
    u: Any = None
    A: Any = None
    B: Any = None


decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_any = msgspec.json.Decoder().decode
decode_agg_trade = msgspec.json.Decoder(WireAggTrade).decode
decode_agg_trade_frame = msgspec.json.Decoder(AggTradeFrame).decode
decode_trade = msgspec.json.Decoder(WireTrade).decode
decode_trade_frame = msgspec.json.Decoder(TradeFrame).decode
decode_rest_trade = msgspec.json.Decoder(WireRestTrade).decode
decode_ticker = msgspec.json.Decoder(WireTicker).decode
decode_ticker_frame = msgspec.json.Decoder(TickerFrame).decode
decode_book_ticker = msgspec.json.Decoder(WireBookTicker).decode
decode_book_ticker_frame = msgspec.json.Decoder(BookTickerFrame).decode
decode_depth = msgspec.json.Decoder(WireDepth).decode
decode_depth_frame = msgspec.json.Decoder(DepthFrame).decode
decode_partial = msgspec.json.Decoder(WirePartial).decode
decode_partial_frame = msgspec.json.Decoder(PartialFrame).decode
prove_depth = msgspec.json.Decoder(DepthProof, strict=False).decode
prove_depth_frame = msgspec.json.Decoder(DepthFrameProof, strict=False).decode
prove_partial = msgspec.json.Decoder(PartialProof, strict=False).decode
prove_partial_frame = msgspec.json.Decoder(PartialFrameProof, strict=False).decode
decode_kline = msgspec.json.Decoder(WireKlineEvent).decode


class Unusable(Exception):
    """An item that cannot be true; *reason* is a short stable word."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
