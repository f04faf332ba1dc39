"""Order books from the wire: levels stay Binance's texts, but every one is checked."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tapeline.model import BookDelta, BookSnapshot, RawLevels, Subscription
from tapeline_binance.construction import quick_constructor
from tapeline_binance.numbers import NotPlain, floats_of, known_floats_of
from tapeline_binance.wire import Level, Unusable, WireDepth, WirePartial, ns_of

_Snapshot = quick_constructor(BookSnapshot)
_Delta = quick_constructor(BookDelta)


def _numbers(levels: Sequence[Level]) -> tuple[list[float], list[float]]:
    """Prices and sizes of *levels*, checked, for comparing only."""
    # hot path
    try:
        prices = known_floats_of([level[0] for level in levels])
        sizes = floats_of([level[1] for level in levels])
    except NotPlain:
        raise Unusable("level") from None
    if 0.0 in prices:
        raise Unusable("level")
    return prices, sizes


def _filled(levels: Sequence[Level]) -> list[Level]:
    return [level for level in levels if Decimal(level[1])]


def _price(level: Level) -> Decimal:
    return Decimal(level[0])


def _whole_side(levels: Sequence[Level], descending: bool) -> RawLevels:
    """*levels* of a snapshot, best first, without empty ones."""
    # hot path
    prices, sizes = _numbers(levels)
    if prices != sorted(prices, reverse=descending):
        return sorted(_filled(levels), key=_price, reverse=descending)
    return _filled(levels) if 0.0 in sizes else levels


def partial_from(
    row: WirePartial, stream: Subscription, received_ns: int, raw: object = None
) -> BookSnapshot:
    """The best levels, or a REST snapshot; spot tells no time, so that of receipt
    counts.

    Raises:
        Unusable: a level has no true price or size.
    """
    time = row.T or row.E
    return _Snapshot(
        stream,
        _whole_side(row.bids, True),
        _whole_side(row.asks, False),
        row.lastUpdateId,
        received_ns if time is None else ns_of(time),
        received_ns,
        None,
        raw,
    )


def futures_partial_from(
    row: WireDepth, stream: Subscription, received_ns: int, raw: object = None
) -> BookSnapshot:
    """The best levels as futures send them: like a change, but whole.

    Raises:
        Unusable: a level has no true price or size.
    """
    return _Snapshot(
        stream,
        _whole_side(row.b, True),
        _whole_side(row.a, False),
        row.u,
        ns_of(row.T or row.E),
        received_ns,
        None,
        raw,
    )


def delta_from(
    row: WireDepth, stream: Subscription, received_ns: int, raw: object = None
) -> BookDelta:
    """The change of a book in *row*; an empty side is normal.

    Spot chains by ``U``, which is one above the id before; ids of futures jump, so
    they name the id before, ``pu``.

    Raises:
        Unusable: a level has no true price or size, or ids run backward.
    """
    link = row.pu
    if link is None:
        link = row.U - 1
    if row.U > row.u or link > row.u:
        raise Unusable("sequence")
    _numbers(row.b)
    _numbers(row.a)
    return _Delta(
        stream,
        row.b,
        row.a,
        link,
        row.u,
        ns_of(row.T or row.E),
        received_ns,
        None,
        raw,
    )
