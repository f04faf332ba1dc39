"""OKX's JSON as private structs: only the fields that are used.

Numbers come as strings; ids of sequences and checksums as numbers. The decoders
take both.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tapeline_okx.numbers import MAX_LENGTH

MAX_ID = 2**63 - 1
MAX_FILLS = 1_000_000
MAX_MS = 9_000_000_000_000
MS = 1_000_000

UNDECODABLE = (ValueError, RecursionError)
"""What msgspec raises for bytes it cannot use (its errors are ``ValueError``)."""

Text = Annotated[str, msgspec.Meta(max_length=MAX_LENGTH)]
Millis = Annotated[int, msgspec.Meta(gt=0, lt=MAX_MS)]
TradeId = Annotated[int, msgspec.Meta(gt=0, le=MAX_ID)]
Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_FILLS)]
Sequence64 = Annotated[int, msgspec.Meta(ge=-1, le=MAX_ID)]
Level = tuple[Text, ...]
UsualLevel = tuple[Text, Text, Text, Text]
Price = Annotated[float, msgspec.Meta(gt=0)]
Size = Annotated[float, msgspec.Meta(ge=0)]


class WireTrade(msgspec.Struct, gc=False):
    """One message of ``trades``, ``trades-all`` or a row of REST trades."""

    tradeId: TradeId
    px: Text
    sz: Text
    side: Literal["buy", "sell"]
    ts: Millis
    count: Count = 1


class WireTicker(msgspec.Struct, gc=False):
    """One message of ``tickers``."""

    ts: Millis
    last: Text = ""
    lastSz: Text = ""
    bidPx: Text = ""
    bidSz: Text = ""
    askPx: Text = ""
    askSz: Text = ""
    open24h: Text = ""
    high24h: Text = ""
    low24h: Text = ""
    vol24h: Text = ""
    volCcy24h: Text = ""


class WireBook(msgspec.Struct, gc=False):
    """One message of a book channel."""

    asks: list[Level]
    bids: list[Level]
    ts: Millis
    seqId: Sequence64 | None = None
    prevSeqId: Sequence64 | None = None
    checksum: int | None = None


class TradeFrame(msgspec.Struct, gc=False):
    """A whole frame of trades."""

    data: list[WireTrade]


class TickerFrame(msgspec.Struct, gc=False):
    """A whole frame of tickers."""

    data: list[WireTicker]


class UsualBook(msgspec.Struct, gc=False):
    """``WireBook`` with levels of four items, which decode twice as fast."""

    asks: list[UsualLevel]
    bids: list[UsualLevel]
    ts: Millis
    seqId: Sequence64 | None = None
    prevSeqId: Sequence64 | None = None
    checksum: int | None = None


class BookFrame(msgspec.Struct, gc=False):
    """A whole frame of a book channel."""

    data: list[UsualBook]
    action: str = ""


class Pair(msgspec.Struct, array_like=True, gc=False):
    """Price and size of a level, for comparing only."""

    price: Price
    size: Size


class Proof(msgspec.Struct, gc=False):
    """All levels of a book as numbers: who has it knows that they are some."""

    asks: list[Pair]
    bids: list[Pair]


class FrameProof(msgspec.Struct, gc=False):
    """A whole frame of a book channel with its levels as numbers."""

    data: list[Proof]


class Envelope(msgspec.Struct):
    """Any frame at all; what is not there stays empty."""

    event: str = ""
    arg: dict[str, Any] | None = None
    action: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    id: Any = ""
    code: Any = ""
    msg: Any = ""
    channel: Any = ""
    eventType: str = ""
    curPage: int | None = None
    lastPage: bool | None = None


decode_envelope = msgspec.json.Decoder(Envelope, strict=False).decode
decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_any = msgspec.json.Decoder().decode
decode_trade = msgspec.json.Decoder(WireTrade, strict=False).decode
decode_trades = msgspec.json.Decoder(TradeFrame, strict=False).decode
decode_ticker = msgspec.json.Decoder(WireTicker, strict=False).decode
decode_tickers = msgspec.json.Decoder(TickerFrame, strict=False).decode
decode_book = msgspec.json.Decoder(WireBook, strict=False).decode
decode_books = msgspec.json.Decoder(BookFrame, strict=False).decode
decode_proof = msgspec.json.Decoder(FrameProof, strict=False).decode
decode_candle = msgspec.json.Decoder(list[Text]).decode


class Unusable(Exception):
    """An item that cannot be true; *reason* is a short stable word."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
