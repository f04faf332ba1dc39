"""Binance's channels, symbols, stream names and sockets, to and from ours.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from tapeline.hookspecs import Instruments
from tapeline.model import (
    Capabilities,
    Channel,
    Continuity,
    DataType,
    Market,
    Subscription,
)
from tapeline_binance.config import COINM, SPOT, USDM

EXCHANGE = "binance"

FUTURES_PUBLIC = "futures-public"
FUTURES_MARKET = "futures-market"
ACCOUNT = "account"
BALANCES = "userDataStream"
"""Name of the channel of balances; they come over the WebSocket API."""

SOCKET_CAPACITY = 1_000
"""Cost that one socket takes: Binance has 1024 streams a connection."""

DEEP_COST = 4

AGGREGATE_REACH_S = 365 * 86_400.0
FILL_REACH_S = 30 * 86_400.0
"""``historicalTrades`` of futures reaches back one month."""

CANDLES = MappingProxyType(
    {name: f"kline_{name}" for name in ("1s", "1m", "5m", "15m", "1h", "4h", "1d")}
)
"""Our timeframe → channel, where Binance has it."""


@attrs.frozen
class VenueChannel:
    """A channel and where it is found.

    Args:
        route: of the futures socket that carries it.
        cost: what it takes of a socket's capacity.
        spot, futures: whether these markets have it.
    """

    channel: Channel
    route: str
    cost: int = 1
    spot: bool = True
    futures: bool = True


def _trade(name: str, id_kind: str, reach_s: float) -> VenueChannel:
    channel = Channel(
        name,
        DataType.TRADE.value,
        Continuity.CONTIGUOUS,
        id_kind=id_kind,
        backfill_reach_s=reach_s,
    )
    return VenueChannel(channel, FUTURES_MARKET)


def _partial(levels: int, speed: str) -> VenueChannel:
    channel = Channel(
        f"depth{levels}{speed}",
        DataType.ORDERBOOK.value,
        Continuity.SNAPSHOT,
        depth=levels,
    )
    return VenueChannel(channel, FUTURES_PUBLIC, spot=speed != "@500ms")


def _diff(speed: str, *, spot: bool = True) -> VenueChannel:
    channel = Channel(
        f"depth{speed}", DataType.ORDERBOOK.value, Continuity.SEQUENCED, depth=5_000
    )
    return VenueChannel(channel, FUTURES_PUBLIC, DEEP_COST, spot=spot)


_TABLE = (
    _trade("aggTrade", "aggregate", AGGREGATE_REACH_S),
    _trade("trade", "fill", FILL_REACH_S),
    VenueChannel(
        Channel("ticker", DataType.TICKER.value, Continuity.SNAPSHOT), FUTURES_MARKET
    ),
    VenueChannel(
        Channel("bookTicker", DataType.TICKER.value, Continuity.SNAPSHOT),
        FUTURES_PUBLIC,
    ),
    _partial(20, "@100ms"),
    *(
        _partial(levels, speed)
        for levels in (5, 10, 20)
        for speed in ("", "@100ms", "@500ms")
        if (levels, speed) != (20, "@100ms")
    ),
    _diff("@100ms"),
    _diff(""),
    _diff("@500ms", spot=False),
    # not documented, but found in recordings of futures
    _diff("@0ms", spot=False),
    *(
        VenueChannel(
            Channel(
                name, DataType.CANDLE.value, Continuity.SNAPSHOT, timeframe=timeframe
            ),
            FUTURES_MARKET,
            futures=timeframe != "1s",
        )
        for timeframe, name in CANDLES.items()
    ),
    VenueChannel(
        Channel(BALANCES, DataType.BALANCE.value, Continuity.SNAPSHOT),
        ACCOUNT,
        futures=False,
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
    markets=(Market.SPOT.value, Market.SWAP.value, Market.FUTURE.value),
    channels=MappingProxyType(_by_data_type()),
)


def is_diff(channel: str) -> bool:
    """Whether *channel* sends changes of a book, to be joined to a REST snapshot."""
    row = CHANNELS.get(channel)
    return row is not None and row.channel.continuity is Continuity.SEQUENCED


def family_of(market: str, symbol: str) -> str:
    """Which of Binance's exchanges trades *symbol*; COIN-M quotes plain dollars."""
    if market == Market.SPOT.value:
        return SPOT
    return COINM if f"{symbol}-".find("-USD-") > 0 else USDM


def venue_symbol_of(market: str, symbol: str, instruments: Instruments) -> str:
    """Binance's spelling of *symbol*: by metadata, else by the form alone."""
    known = instruments.get((market, symbol))
    if known is not None:
        return known.venue_symbol
    if market == Market.SPOT.value:
        return symbol.replace("-", "")
    base, _, rest = symbol.partition("-")
    quote, _, date = rest.partition("-")
    if date:
        return f"{base}{quote}_{date}"
    return f"{base}{quote}_PERP" if quote == "USD" else f"{base}{quote}"


def stream_name_of(subscription: Subscription, instruments: Instruments) -> str:
    """The stream that carries *subscription*; an upper-case one would be silent."""
    symbol = venue_symbol_of(subscription.market, subscription.symbol, instruments)
    return f"{symbol.lower()}@{subscription.channel}"


_PERP = "_PERP"
_DATED = re.compile(r"(.+)_([0-9]{6})")

# only to guess where a recorded symbol splits; live ones are split by metadata
_QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "USD1", "BIDR", "IDRT", "BVND",
    "BKRW", "EURI", "EUR", "GBP", "AUD", "BRL", "TRY", "RUB", "UAH",
    "NGN", "ZAR", "PLN", "RON", "ARS", "JPY", "MXN", "COP", "CZK", "DAI", "VAI", "UST",
    "PAX", "USD", "BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "DOT", "SOL",
)  # fmt: skip


def split_pair(pair: str) -> str | None:
    """``BASE-QUOTE`` of *pair*, guessed by its end; None when nothing fits."""
    for quote in _QUOTES:
        if pair.endswith(quote) and len(pair) > len(quote):
            return f"{pair[: -len(quote)]}-{quote}"
    return None


def place_of(venue_symbol: str, family: str) -> tuple[str, str] | None:
    """``(market, symbol)`` of a recorded *venue_symbol*, guessed by its form."""
    if family == SPOT:
        symbol = split_pair(venue_symbol)
        return None if symbol is None else (Market.SPOT.value, symbol)
    dated = _DATED.fullmatch(venue_symbol)
    pair = dated[1] if dated else venue_symbol.removesuffix(_PERP)
    symbol = f"{pair[:-3]}-USD" if family == COINM else split_pair(pair)
    if symbol is None:
        return None
    if dated:
        return Market.FUTURE.value, f"{symbol}-{dated[2]}"
    return Market.SWAP.value, symbol


def build_subscription(market: str, symbol: str, channel: Channel) -> Subscription:
    """The subscription of *channel* for one instrument."""
    return Subscription(
        EXCHANGE,
        market,
        symbol,
        channel.data_type,
        channel.name,
        id_kind=channel.id_kind,
        timeframe=channel.timeframe,
    )
