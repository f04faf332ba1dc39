"""Coinbase's JSON as private structs: only the fields that are used.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

UNDECODABLE = (ValueError, RecursionError)
"""What msgspec raises for bytes it cannot use (its errors are ``ValueError``)."""


class Envelope(msgspec.Struct, gc=False):
    """What every message has; an error has ``type`` and ``message`` instead."""

    channel: str = ""
    timestamp: str = ""
    sequence_num: int = -1
    events: msgspec.Raw = msgspec.Raw(b"[]")
    type: str = ""
    message: str = ""


class WireTrade(msgspec.Struct, gc=False):
    """One trade of ``market_trades`` or of REST."""

    trade_id: str
    product_id: str
    price: str
    size: str
    time: str
    side: str


class WireLevel(msgspec.Struct, gc=False):
    """One price level; ``new_quantity`` is what stands there now."""

    side: str
    price_level: str
    new_quantity: str


class WireTicker(msgspec.Struct, gc=False):
    """One product of ``ticker``."""

    product_id: str
    price: str = ""
    volume_24_h: str = ""
    low_24_h: str = ""
    high_24_h: str = ""
    best_bid: str = ""
    best_bid_quantity: str = ""
    best_ask: str = ""
    best_ask_quantity: str = ""


class TradesEvent(msgspec.Struct, gc=False):
    """Trades of one or more products."""

    trades: list[WireTrade]


class RawTradesEvent(msgspec.Struct, gc=False):
    """The same, when one of them cannot be read."""

    trades: list[msgspec.Raw]


class BookEvent(msgspec.Struct, gc=False):
    """A snapshot of one book, or what changed in it."""

    type: str
    product_id: str
    updates: list[WireLevel]


class RawBookEvent(msgspec.Struct, gc=False):
    """The same, when its levels cannot be read."""

    product_id: str


class TickerEvent(msgspec.Struct, gc=False):
    """Tickers of one or more products."""

    tickers: list[WireTicker]


class SubscriptionsEvent(msgspec.Struct, gc=False):
    """What is subscribed. Unconfirmed: on all channels, or on those of the request."""

    subscriptions: Mapping[str, Sequence[str]]


decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_trades = msgspec.json.Decoder(list[TradesEvent]).decode
decode_raw_trades = msgspec.json.Decoder(list[RawTradesEvent]).decode
decode_trade = msgspec.json.Decoder(WireTrade).decode
decode_books = msgspec.json.Decoder(list[BookEvent]).decode
decode_raw_books = msgspec.json.Decoder(list[RawBookEvent]).decode
decode_tickers = msgspec.json.Decoder(list[TickerEvent]).decode
decode_subscriptions = msgspec.json.Decoder(list[SubscriptionsEvent]).decode
