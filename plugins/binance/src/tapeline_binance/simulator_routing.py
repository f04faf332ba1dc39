"""Paths and stream names of the simulator: what lives where.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from tapeline_binance.simulator_intervals import WIDTHS

SPOT = "spot"
FUTURES = "futures"
API_PATH = "/ws-api/v3"

MILLISECOND_NS = 1_000_000
MICROSECOND_NS = 1_000

_ROUTES = ("public", "market", "private")
_DEPTH = re.compile(r"depth(5|10|20)?(?:@(\d+)ms)?")
_KLINE = re.compile(r"kline_(\w+?)(@\+08:00)?")
_SPOT_SPEEDS = {"": 1_000, "100": 100, "1000": 1_000}
_FUTURES_SPEEDS = {"": 250, "0": 0, "100": 100, "250": 250, "500": 500}
_EAST_NS = 8 * 3_600 * 10**9


class BadQuery(ValueError):
    """A query string that the venue answers with 400."""


@attrs.frozen
class Endpoint:
    """What a WebSocket URL asks for.

    Args:
        family: ``spot`` or ``futures``.
        route: path class of futures; empty on spot.
        combined: whether events are wrapped from the start.
        streams: named in the URL.
        unit_ns: nanoseconds in one unit of the times in JSON.
    """

    family: str
    route: str
    combined: bool
    streams: Sequence[str]
    unit_ns: int


@attrs.frozen
class StreamKind:
    """What a stream name means.

    Args:
        kind: ``trade``, ``aggTrade``, ``bookTicker``, ``ticker``, ``miniTicker``,
            ``depth``, ``partial`` or ``kline``.
        speed_ms: between two pushes; 0 is as it happens.
        levels: of partial depth.
        interval: of klines.
        shift_ns: how far ahead of UTC the days of klines begin.
    """

    kind: str
    speed_ms: int = 0
    levels: int = 0
    interval: str = ""
    shift_ns: int = 0

    @property
    def route(self) -> str:
        """The path class that serves it on futures."""
        return "public" if self.kind in _PUBLIC else "market"


_PUBLIC = frozenset({"bookTicker", "depth", "partial"})
_PLAIN = {
    "trade": StreamKind("trade"),
    "aggTrade": StreamKind("aggTrade"),
    "bookTicker": StreamKind("bookTicker"),
    "ticker": StreamKind("ticker", 1_000),
    "miniTicker": StreamKind("miniTicker", 1_000),
}


def read_endpoint(target: str) -> Endpoint | None:
    """The endpoint that *target* (path and query) names; None is 404.

    Raises:
        BadQuery: ``timeUnit`` is neither milliseconds nor microseconds.
    """
    parts = urlsplit(target)
    path = unquote(parts.path)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    family, route = SPOT, ""
    head, _, rest = path.removeprefix("/").partition("/")
    if head in _ROUTES:
        family, route = FUTURES, head
        head, _, rest = rest.partition("/")
    streams = [name for name in rest.split("/") if name]
    if head == "stream":
        if rest:
            return None
        streams = [name for name in query.get("streams", "").split("/") if name]
    elif head != "ws":
        return None
    return Endpoint(
        family, route, head == "stream", streams, read_unit(query.get("timeUnit", ""))
    )


def read_unit(text: str) -> int:
    """Nanoseconds in the time unit named *text*; empty is milliseconds.

    Raises:
        BadQuery: it is no time unit.
    """
    if text in ("", "MILLISECOND", "millisecond"):
        return MILLISECOND_NS
    if text in ("MICROSECOND", "microsecond"):
        return MICROSECOND_NS
    raise BadQuery(text)


def read_channel(family: str, channel: str) -> StreamKind | None:
    """The meaning of what follows ``@`` in a stream name; None when unknown."""
    known = _PLAIN.get(channel)
    if known is not None:
        # Futures never documented single trades and went silent on them.
        return None if channel == "trade" and family == FUTURES else known
    found = _DEPTH.fullmatch(channel)
    if found is not None:
        levels, speed = found.groups()
        speeds = _SPOT_SPEEDS if family == SPOT else _FUTURES_SPEEDS
        speed_ms = speeds.get(speed or "")
        if speed_ms is None:
            return None
        kind = "partial" if levels else "depth"
        return StreamKind(kind, speed_ms, levels=int(levels or 0))
    found = _KLINE.fullmatch(channel)
    if found is None or found[1] not in WIDTHS:
        return None
    interval, east = found[1], found[2]
    if family == FUTURES and (east or interval == "1s"):
        return None
    speed_ms = 1_000 if interval == "1s" else 2_000 if family == SPOT else 250
    return StreamKind(
        "kline", speed_ms, interval=interval, shift_ns=_EAST_NS if east else 0
    )
