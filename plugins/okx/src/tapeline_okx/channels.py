"""OKX's channels, symbols and subscription arguments, to and from ours.

https://my.okx.com/docs-v5/en/#order-book-trading-market-data
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs
import msgspec

from tapeline.hookspecs import Instruments
from tapeline.model import (
    ALL_SYMBOLS,
    Capabilities,
    Channel,
    Continuity,
    DataType,
    Market,
    Subscription,
)

EXCHANGE = "okx"

PUBLIC = "public"
BUSINESS = "business"
PRIVATE = "private"
PUBLIC_LOGIN = "public-login"
"""Route of the books that are on ``/public`` but want a VIP login."""

PATHS = MappingProxyType(
    {
        PUBLIC: "/public",
        PUBLIC_LOGIN: "/public",
        BUSINESS: "/business",
        PRIVATE: "/private",
    }
)
"""Route name → path below the WebSocket base."""

SOCKET_CAPACITY = 240
"""Cost that one socket takes; OKX publishes no number, but advises below 30
channels a connection for deep books, which cost 8 here."""

DEEP_COST = 8

HISTORY_S = 90 * 86_400.0
"""How far back ``history-trades`` reaches: three months."""

CANDLES = MappingProxyType(
    {
        "1s": "candle1s",
        "1m": "candle1m",
        "5m": "candle5m",
        "15m": "candle15m",
        "1h": "candle1H",
        "4h": "candle4H",
        # without "utc" a day opens at midnight UTC+8
        "1d": "candle1Dutc",
    }
)
"""Our timeframe → channel, where OKX has one that opens on the same boundary."""


@attrs.frozen
class VenueChannel:
    """A channel and where it is found.

    Args:
        route: name of the socket class.
        cost: what it takes of a socket's capacity.
    """

    channel: Channel
    route: str
    cost: int = 1


def _trade(name: str, route: str) -> VenueChannel:
    return VenueChannel(
        Channel(
            name,
            DataType.TRADE.value,
            Continuity.CONTIGUOUS,
            id_kind="fill",
            backfill_reach_s=HISTORY_S,
        ),
        route,
    )


def _book(
    name: str, continuity: Continuity, depth: int, route: str = PUBLIC, cost: int = 1
) -> VenueChannel:
    channel = Channel(name, DataType.ORDERBOOK.value, continuity, depth=depth)
    return VenueChannel(channel, route, cost)


_TABLE = (
    _trade("trades", PUBLIC),
    _trade("trades-all", BUSINESS),
    VenueChannel(
        Channel("tickers", DataType.TICKER.value, Continuity.SNAPSHOT), PUBLIC
    ),
    _book("books5", Continuity.SNAPSHOT, 5),
    _book("books", Continuity.SEQUENCED, 400, cost=DEEP_COST),
    _book("bbo-tbt", Continuity.SNAPSHOT, 1),
    _book("books50-l2-tbt", Continuity.SEQUENCED, 50, PUBLIC_LOGIN, DEEP_COST),
    _book("books-l2-tbt", Continuity.SEQUENCED, 400, PUBLIC_LOGIN, DEEP_COST),
    *(
        VenueChannel(
            Channel(
                name, DataType.CANDLE.value, Continuity.SNAPSHOT, timeframe=timeframe
            ),
            BUSINESS,
        )
        for timeframe, name in CANDLES.items()
    ),
    VenueChannel(
        Channel("account", DataType.BALANCE.value, Continuity.SNAPSHOT), PRIVATE
    ),
)

CHANNELS: Mapping[str, VenueChannel] = MappingProxyType(
    {row.channel.name: row for row in _TABLE}
)
"""Name → channel; the first of each data type is the default."""


def _by_data_type() -> dict[str, tuple[Channel, ...]]:
    found: dict[str, tuple[Channel, ...]] = {}
    for row in _TABLE:
        known = found.get(row.channel.data_type, ())
        found[row.channel.data_type] = (*known, row.channel)
    return found


CAPABILITIES = Capabilities(
    markets=tuple(market.value for market in Market),
    channels=MappingProxyType(_by_data_type()),
)

_SWAP = "-SWAP"
_OPTION = re.compile(r".+-[0-9]{6}-[0-9]+(?:\.[0-9]+)?-[CP]")
_DATED = re.compile(r".+-[0-9]{6}")


def market_of(inst_id: str) -> str:
    """The market that the form of *inst_id* tells."""
    if inst_id.endswith(_SWAP):
        return Market.SWAP.value
    if _OPTION.fullmatch(inst_id):
        return Market.OPTION.value
    if _DATED.fullmatch(inst_id):
        return Market.FUTURE.value
    return Market.SPOT.value


def symbol_of(inst_id: str) -> str:
    """The canonical symbol of *inst_id*."""
    return inst_id.removesuffix(_SWAP)


def inst_id_of(market: str, symbol: str) -> str:
    """OKX's spelling of *symbol*, derived from the form alone."""
    if market == Market.SWAP.value and not symbol.endswith(_SWAP):
        return symbol + _SWAP
    return symbol


Key = tuple[str, str]
"""``(channel, instId)``: what identifies a stream on one socket."""


def arg_of(subscription: Subscription, instruments: Instruments) -> dict[str, str]:
    """The argument that subscribes *subscription*."""
    if subscription.data_type == DataType.BALANCE:
        return {"channel": subscription.channel}
    known = instruments.get((subscription.market, subscription.symbol))
    if known is not None:
        inst_id = known.venue_symbol
    else:
        inst_id = inst_id_of(subscription.market, subscription.symbol)
    return {"channel": subscription.channel, "instId": inst_id}


def key_of(arg: Mapping[str, object]) -> Key:
    """The identity in an argument that the venue echoes; further keys are ignored."""
    return str(arg.get("channel", "")), str(arg.get("instId", ""))


def subscription_from_arg(
    arg: Mapping[str, object], instruments: Instruments
) -> Subscription | None:
    """The subscription that *arg* asks for; None for channels we do not read.

    Args:
        instruments: may be empty; then market and symbol come from the form.
    """
    name, inst_id = key_of(arg)
    row = CHANNELS.get(name)
    if row is None:
        return None
    channel = row.channel
    if row.route == PRIVATE:
        market, symbol = Market.SPOT.value, ALL_SYMBOLS
    elif inst_id:
        market, symbol = market_of(inst_id), symbol_of(inst_id)
        known = instruments.get((market, symbol))
        if known is not None and known.venue_symbol != inst_id:
            return None
    else:
        return None
    return Subscription(
        EXCHANGE,
        market,
        symbol,
        channel.data_type,
        name,
        id_kind=channel.id_kind,
        timeframe=channel.timeframe,
    )


class _AnyFrame(msgspec.Struct):
    op: str = ""
    event: str = ""
    args: list[dict[str, object]] = []
    arg: dict[str, object] = {}


_decode = msgspec.json.Decoder(_AnyFrame).decode


def args_in_frame(raw: str) -> Sequence[Mapping[str, object]]:
    """The arguments that *raw* shows to be subscribed.

    *raw* may be a client's subscribe request, an acknowledgment or a data frame;
    anything else gives none. Never raises.
    """
    try:
        frame = _decode(raw.encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return ()
    if frame.op == "subscribe":
        return frame.args
    if frame.arg and not frame.op and frame.event in ("", "subscribe"):
        return (frame.arg,)
    return ()
