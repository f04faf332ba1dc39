"""What recorded frames and addresses show to be subscribed.

Frames alone do not always tell which of Binance's exchanges they came from; the
address of their connection does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from tapeline.model import ALL_SYMBOLS, Instrument, Market, Subscription
from tapeline_binance.channels import (
    BALANCES,
    CHANNELS,
    build_subscription,
    place_of,
)
from tapeline_binance.config import COINM, SPOT, USDM, BinanceConfig
from tapeline_binance.wire import UNDECODABLE

Listed = Mapping[tuple[str, str], Instrument]
"""``(market, venue symbol)`` → instrument, of the metadata that was given."""

NOT_LISTED: Listed = MappingProxyType({})

_COINM_SYMBOL = re.compile(r"[A-Z0-9]+USD_(?:PERP|[0-9]{6})")
_USDM_SYMBOL = re.compile(r"[A-Z0-9]+_[0-9]{6}")
_TRADES = re.compile(
    r"/(api|fapi|dapi)/v\d/(aggTrades|historicalTrades)\?(?:\S*&)?symbol=([^&\s]+)"
)
_PROBE = re.compile(r"[?&]limit=1(?:&|$)")

_HOSTS = (
    ("fstream", USDM),
    ("fapi", USDM),
    ("dstream", COINM),
    ("dapi", COINM),
    ("stream.binance", SPOT),
    ("data-stream", SPOT),
    ("stream.testnet", SPOT),
    ("demo-stream", SPOT),
)
_EVENTS = MappingProxyType(
    {"aggTrade": "aggTrade", "trade": "trade", "24hrTicker": "ticker"}
)
_BALANCE_EVENTS = ("outboundAccountPosition", "balanceUpdate")


class _Event(msgspec.Struct):
    e: Any = None
    s: Any = None
    ps: Any = None
    st: Any = None
    pu: Any = None
    M: Any = None
    X: Any = None
    b: msgspec.Raw = msgspec.Raw(b"")
    u: Any = None
    A: Any = None
    k: msgspec.Raw = msgspec.Raw(b"")


class _Frame(_Event):
    stream: Any = None
    data: msgspec.Raw = msgspec.Raw(b"")
    method: Any = None
    params: Any = None
    event: msgspec.Raw = msgspec.Raw(b"")


class _Kline(msgspec.Struct):
    i: str = ""


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_kline = msgspec.json.Decoder(_Kline).decode


def family_in_url(url: str) -> str | None:
    """The exchange behind a recorded address; None when it does not tell."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    host = parts.hostname or ""
    for mark, family in _HOSTS:
        if mark in host:
            return family
    if parts.path.startswith(("/public/", "/market/", "/private/")):
        return USDM
    return None


def _family_in_event(event: _Event, venue_symbol: str) -> str:
    """The exchange that sent *event*, by members that the others do not have."""
    if event.st == 1:
        return USDM
    if event.st == 2 or event.ps is not None or _COINM_SYMBOL.fullmatch(venue_symbol):
        return COINM
    if _USDM_SYMBOL.fullmatch(venue_symbol):
        return USDM
    if event.e == "depthUpdate":
        return SPOT if event.pu is None else USDM
    if event.e == "trade":
        return USDM if event.X is not None else SPOT
    if event.e == "aggTrade":
        return USDM if event.M is None else SPOT
    if event.e == "24hrTicker":
        return SPOT if bytes(event.b) else USDM
    return USDM if event.e == "bookTicker" else SPOT


def _build(
    venue_symbol: str, channel: str, family: str, listed: Listed
) -> list[Subscription]:
    row = CHANNELS.get(channel)
    if row is None or channel == BALANCES:
        return []
    markets = (
        (Market.SPOT.value,)
        if family == SPOT
        else (Market.SWAP.value, Market.FUTURE.value)
    )
    for market in markets:
        known = listed.get((market, venue_symbol))
        if known is not None:
            return [build_subscription(market, known.symbol, row.channel)]
    place = place_of(venue_symbol, family)
    return [] if place is None else [build_subscription(*place, row.channel)]


def _named(name: str, family: str, listed: Listed) -> list[Subscription]:
    symbol, _, channel = name.partition("@")
    return _build(symbol.upper(), channel, family, listed)


def _in_url(text: str, listed: Listed) -> list[Subscription]:
    family = family_in_url(text)
    if family is None:
        return []
    parts = urlsplit(text)
    if "streams=" in parts.query:
        names = parts.query.partition("streams=")[2].partition("&")[0]
    else:
        names = parts.path.partition("/ws/")[2]
    found: list[Subscription] = []
    for name in unquote(names).split("/"):
        found += _named(name, family, listed)
    return found


def _in_rest(text: str, listed: Listed) -> list[Subscription]:
    match = _TRADES.search(text)
    if match is None or _PROBE.search(text):
        return []
    family = {"api": SPOT, "fapi": USDM, "dapi": COINM}[match[1]]
    channel = "aggTrade" if match[2] == "aggTrades" else "trade"
    return _build(unquote(match[3]), channel, family, listed)


def _unwrapped(
    config: BinanceConfig, event: _Event, url: str, listed: Listed
) -> list[Subscription]:
    if not isinstance(event.s, str):
        return []
    family = family_in_url(url) or _family_in_event(event, event.s)
    channel = _EVENTS.get(event.e, "") if isinstance(event.e, str) else ""
    if event.e == "depthUpdate":
        row = CHANNELS[config.depth]
        fits = row.spot or family != SPOT
        diff = config.depth.startswith("depth@") or config.depth == "depth"
        channel = config.depth if fits and diff else "depth@100ms"
    elif event.e == "kline":
        try:
            channel = f"kline_{_decode_kline(event.k).i}"
        except UNDECODABLE:
            return []
    elif event.e == "bookTicker" or (
        event.e is None and event.u is not None and event.A is not None
    ):
        channel = "bookTicker"
    return _build(event.s, channel, family, listed)


def recorded_streams(
    config: BinanceConfig, text: str, url: str, listed: Listed
) -> Sequence[Subscription]:
    """What *text* shows to be subscribed; never raises.

    Args:
        text: a frame, an address of a connection, or that of a REST answer.
        url: of the connection that *text* is a frame of; empty when not known.
    """
    if not text.startswith("{"):
        try:
            if text.startswith(("ws://", "wss://")):
                return _in_url(text, listed)
            return _in_rest(text, listed)
        except ValueError:
            return []
    try:
        frame = _decode_frame(text.encode("utf-8", "surrogatepass"))
    except UNDECODABLE:
        return []
    known = family_in_url(url)
    if frame.method == "SUBSCRIBE" and isinstance(frame.params, list):
        if known is None and url and urlsplit(url).path in ("/stream", "/ws"):
            # a simulator or a relay: futures have other paths there
            known = SPOT
        if known is None:
            # the data that follows tells what the request does not
            return []
        found: list[Subscription] = []
        for name in frame.params:
            found += _named(name, known, listed) if isinstance(name, str) else []
        return found
    if isinstance(frame.stream, str):
        if known is not None:
            return _named(frame.stream, known, listed)
        try:
            event = _decode_event(frame.data)
        except UNDECODABLE:
            return []
        symbol = frame.stream.partition("@")[0].upper()
        return _named(frame.stream, _family_in_event(event, symbol), listed)
    if frame.e in _BALANCE_EVENTS or bytes(frame.event).startswith(b"{"):
        channel = CHANNELS[BALANCES].channel
        return [build_subscription(Market.SPOT.value, ALL_SYMBOLS, channel)]
    return _unwrapped(config, frame, url, listed)
