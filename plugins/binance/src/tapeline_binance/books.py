"""Order books from the wire: levels stay Binance's texts, but every one is proven.

Decoding the same bytes a second time, to numbers, tells whether all levels are some
at a fraction of what looking at each text would cost. Which of them are plain is seen
in the bytes of a usual frame as a whole, else text by text.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tapeline.model import BookDelta, BookSnapshot, RawLevels, Subscription
from tapeline.model.construction import quick_constructor
from tapeline_binance.numbers import PLAIN
from tapeline_binance.wire import (
    DepthProof,
    Level,
    PartialProof,
    Unusable,
    WireDepth,
    WirePartial,
    ns_of,
)

_Snapshot = quick_constructor(BookSnapshot)
_Delta = quick_constructor(BookDelta)

Numbers = Sequence[tuple[float, float]]

_PLAIN_BYTES = PLAIN.encode()
_USUAL_BYTES = _PLAIN_BYTES + b'"[],:' + bytes(set(b"asksbids"))
"""What stands between the first and the last level of a usual frame.

Texts of these alone that read as floats are plain numbers: signs, exponents, escapes,
infinity and NaN all need other bytes.
"""


def check_frame(frame: bytes) -> None:
    """Let a frame with one book pass when all its levels are surely plain.

    Raises:
        Unusable: something else is among them; they may be good all the same.
    """
    # hot path
    if frame[frame.find(b"[") : frame.rfind(b"]")].translate(None, _USUAL_BYTES):
        raise Unusable("level")


def check_levels(*sides: Sequence[Level]) -> None:
    """Let *sides*, which are proven to be numbers, pass when all are plain ones.

    Raises:
        Unusable: a price or size is written with a sign or an exponent.
    """
    for levels in sides:
        texts = "".join([price + size for price, size in levels])
        if texts.encode("utf-8", "replace").translate(None, _PLAIN_BYTES):
            raise Unusable("level")


def _price(level: Level) -> Decimal:
    return Decimal(level[0])


def _whole_side(levels: Sequence[Level], proof: Numbers, descending: bool) -> RawLevels:
    """*levels* of a snapshot, best first, without empty ones."""
    # hot path
    prices = [price for price, _ in proof]
    if prices != sorted(prices, reverse=descending):
        filled = [level for level in levels if Decimal(level[1])]
        return sorted(filled, key=_price, reverse=descending)
    if 0.0 in [size for _, size in proof]:
        return [level for level in levels if Decimal(level[1])]
    return levels


def partial_from(
    row: WirePartial,
    proof: PartialProof,
    stream: Subscription,
    received_ns: int,
    raw: object = None,
) -> BookSnapshot:
    """The best levels, or a REST snapshot; where it tells no time, that of receipt
    counts."""
    time = row.T or row.E
    return _Snapshot(
        stream,
        _whole_side(row.bids, proof.bids, True),
        _whole_side(row.asks, proof.asks, False),
        row.lastUpdateId,
        received_ns if time is None else ns_of(time),
        received_ns,
        None,
        raw,
    )


def futures_partial_from(
    row: WireDepth,
    proof: DepthProof,
    stream: Subscription,
    received_ns: int,
    raw: object = None,
) -> BookSnapshot:
    """The best levels as futures send them: like a change, but whole."""
    return _Snapshot(
        stream,
        _whole_side(row.b, proof.b, True),
        _whole_side(row.a, proof.a, False),
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
        Unusable: ids run backward.
    """
    # hot path
    link = row.pu
    last = row.u
    if link is None:
        link = row.U - 1
    if last < row.U or link > last:
        raise Unusable("sequence")
    return _Delta(
        stream,
        row.b,
        row.a,
        link,
        last,
        ns_of(row.T or row.E),
        received_ns,
        None,
        raw,
    )
