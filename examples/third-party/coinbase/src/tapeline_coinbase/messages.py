"""From one message of the wire to events; pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tapeline.model import (
    LIVE,
    BookDelta,
    BookSnapshot,
    RawLevel,
    Subscription,
    Ticker,
    Trade,
)
from tapeline_coinbase.numbers import (
    Unusable,
    decimal_of,
    id_of,
    ns_of,
    optional,
    positive,
)
from tapeline_coinbase.wire import WireLevel, WireTicker, WireTrade

SIDES = {"BUY": "buy", "SELL": "sell"}
"""Unconfirmed: whether it is the maker's side, as on Coinbase Exchange, or the taker's.

The documentation of ``market_trades`` says only "side of the trade"; it is passed on
as it is.
"""


def trade_from(
    wire: WireTrade, stream: Subscription, received_ns: int, source: str = LIVE
) -> Trade:
    """One trade.

    Raises:
        Unusable: a field of it cannot be used.
    """
    # hot path
    number = id_of(wire.trade_id)
    side = SIDES.get(wire.side)
    if side is None:
        raise Unusable("side")
    return Trade(
        stream,
        wire.trade_id,
        number,
        number,
        1,
        side,
        positive(wire.price, "price"),
        positive(wire.size, "size"),
        ns_of(wire.time),
        received_ns,
        source,
    )


def ticker_from(
    wire: WireTicker, stream: Subscription, exchange_ns: int, received_ns: int
) -> Ticker:
    """One ticker; Coinbase dates the message, not the ticker.

    Raises:
        Unusable: a field of it cannot be used.
    """
    return Ticker(
        stream,
        last=optional(wire.price, "price"),
        last_size=None,
        bid=optional(wire.best_bid, "price"),
        bid_size=optional(wire.best_bid_quantity, "size"),
        ask=optional(wire.best_ask, "price"),
        ask_size=optional(wire.best_ask_quantity, "size"),
        open_24h=None,
        high_24h=optional(wire.high_24_h, "price"),
        low_24h=optional(wire.low_24_h, "price"),
        volume_24h=optional(wire.volume_24_h, "size"),
        quote_volume_24h=None,
        exchange_ns=exchange_ns,
        received_ns=received_ns,
    )


def levels_of(
    updates: Sequence[WireLevel],
) -> tuple[list[RawLevel], list[RawLevel]]:
    """Bids and asks as Coinbase wrote them, in its order.

    Raises:
        Unusable: a number or a side cannot be used.
    """
    bids: list[RawLevel] = []
    asks: list[RawLevel] = []
    for level in updates:
        decimal_of(level.price_level, "price")
        decimal_of(level.new_quantity, "size")
        if level.side == "bid":
            bids.append((level.price_level, level.new_quantity))
        elif level.side in ("offer", "ask"):
            asks.append((level.price_level, level.new_quantity))
        else:
            raise Unusable("side")
    return bids, asks


def _price(level: RawLevel) -> Decimal:
    return Decimal(level[0])


def snapshot_from(
    updates: Sequence[WireLevel],
    stream: Subscription,
    exchange_ns: int,
    received_ns: int,
) -> BookSnapshot:
    """A whole book, best levels first; the order of the message is not documented.

    Raises:
        Unusable: a level of it cannot be used.
    """
    bids, asks = levels_of(updates)
    return BookSnapshot(
        stream,
        sorted(
            (level for level in bids if Decimal(level[1])), key=_price, reverse=True
        ),
        sorted((level for level in asks if Decimal(level[1])), key=_price),
        exchange_ns,
        exchange_ns,
        received_ns,
    )


def delta_from(
    updates: Sequence[WireLevel],
    stream: Subscription,
    link_id: int | None,
    exchange_ns: int,
    received_ns: int,
) -> BookDelta:
    """What changed since the message of *link_id*.

    Raises:
        Unusable: a level of it cannot be used.
    """
    bids, asks = levels_of(updates)
    return BookDelta(stream, bids, asks, link_id, exchange_ns, exchange_ns, received_ns)
