"""Channels, and what their ids let us check.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tapeline.model import (
    Capabilities,
    Channel,
    Continuity,
    DataType,
    Market,
    Subscription,
)

EXCHANGE = "coinbase"
SPOT = Market.SPOT.value

TRADES = "market_trades"
TRADES_BY_ID = "market_trades-by-id"
LEVEL2 = "level2"
TICKER = "ticker"
HEARTBEATS = "heartbeats"
SUBSCRIPTIONS = "subscriptions"

BACKFILL_REACH_S = 3_600.0
"""How far back trades are asked for. Unconfirmed: no limit is documented."""

WIRE: Mapping[str, str] = MappingProxyType(
    {TRADES: TRADES, TRADES_BY_ID: TRADES, LEVEL2: LEVEL2, TICKER: TICKER}
)
"""Channel of ours → channel of a subscribe message."""

PUSHED: Mapping[str, str] = MappingProxyType(
    {TRADES: TRADES, LEVEL2: LEVEL2, "l2_data": LEVEL2, TICKER: TICKER}
)
"""Channel in a message → channel it was subscribed as: level 2 comes as ``l2_data``."""

_BY_ID = Channel(
    TRADES_BY_ID,
    DataType.TRADE.value,
    Continuity.CONTIGUOUS,
    "fill",
    backfill_reach_s=BACKFILL_REACH_S,
)

CAPABILITIES = Capabilities(
    markets=(SPOT,),
    channels=MappingProxyType(
        {
            DataType.TRADE.value: (
                Channel(TRADES, DataType.TRADE.value, Continuity.MONOTONIC, "fill"),
                _BY_ID,
            ),
            DataType.ORDERBOOK.value: (
                Channel(LEVEL2, DataType.ORDERBOOK.value, Continuity.SEQUENCED),
            ),
            DataType.TICKER.value: (
                Channel(TICKER, DataType.TICKER.value, Continuity.SNAPSHOT),
            ),
        }
    ),
)


def trade_channel(trade_ids: str) -> Channel:
    """The channel of trades that the option *trade_ids* chooses."""
    first, by_id = CAPABILITIES.channels[DataType.TRADE.value]
    return by_id if trade_ids == "contiguous" else first


def subscription_of(channel: Channel, product: str) -> Subscription:
    """The stream of *product* on *channel*; Coinbase's spelling is canonical."""
    return Subscription(
        EXCHANGE, SPOT, product, channel.data_type, channel.name, channel.id_kind
    )
