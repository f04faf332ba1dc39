"""What is wanted from a venue: one stream of one instrument."""

from __future__ import annotations

import attrs

ALL_SYMBOLS = "*"
"""Symbol of a stream that is not about one instrument, such as balances."""


@attrs.frozen(cache_hash=True)
class Subscription:
    """One stream, and the identity that all of its events carry.

    Args:
        exchange: name of the exchange.
        market: ``spot``, ``swap``, ``future`` or ``option``.
        symbol: canonical symbol, or ``ALL_SYMBOLS``; of balances the name of the
            account, where the collector gives it one.
        data_type: a ``DataType`` value or a plugin's namespaced name.
        channel: the adapter's name for the channel, e.g. ``trades`` or ``books5``.
        id_kind: ``fill``, ``aggregate``, ``block`` for trades; else empty.
        timeframe: of a candle stream, else empty.
    """

    exchange: str
    market: str
    symbol: str
    data_type: str
    channel: str
    id_kind: str = ""
    timeframe: str = ""

    def __str__(self) -> str:
        return f"{self.exchange}:{self.market}:{self.symbol}:{self.channel}"
