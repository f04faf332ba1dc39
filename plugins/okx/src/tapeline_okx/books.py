"""Order books from the wire: levels stay OKX's texts, but every one is proven.

Decoding the same bytes a second time, to numbers, proves the levels of a usual frame
at a fraction of what looking at each text costs. Any other frame goes text by text.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tapeline.model import BookDelta, BookSnapshot, RawLevels, Subscription
from tapeline.model.construction import quick_constructor
from tapeline_okx.numbers import NotPlain, floats_of
from tapeline_okx.wire import (
    MS,
    Level,
    Pair,
    Proof,
    Unusable,
    UsualBook,
    UsualLevel,
    WireBook,
    decode_proof,
)

_Snapshot = quick_constructor(BookSnapshot)
_Delta = quick_constructor(BookDelta)

AnyBook = WireBook | UsualBook
Levels = Sequence[Level] | Sequence[UsualLevel]

_USUAL_BYTES = b'0123456789."[],:{}' + bytes(set(b"asksbids"))
"""What stands between the first and the last level of a usual frame.

Texts of these alone that read as floats are plain numbers: signs, exponents, spaces,
escapes, infinity and NaN all need other bytes.
"""


def prove_frame(frame: bytes) -> Proof:
    """The proof for the only book in *frame*, a frame that decodes as a usual one.

    Raises:
        Unusable: its levels are not proven by this; they may be good all the same.
        ValueError: likewise.
    """
    # hot path: prices and sizes all stand before the end of the list opened last
    end = frame.find(b"]", frame.rfind(b"["))
    if frame[frame.find(b"[") : end].translate(None, _USUAL_BYTES):
        raise Unusable("level")
    (proof,) = decode_proof(frame).data
    return proof


def prove_row(row: AnyBook) -> Proof:
    """The proof for *row*, text by text.

    Raises:
        Unusable: a level has no true price or size.
    """
    return Proof(_pairs(row.asks), _pairs(row.bids))


def _pairs(levels: Levels) -> list[Pair]:
    try:
        prices = floats_of([level[0] for level in levels])
        sizes = floats_of([level[1] for level in levels])
    except (NotPlain, IndexError):
        raise Unusable("level") from None
    if 0.0 in prices:
        raise Unusable("level")
    return list(map(Pair, prices, sizes))


def _filled(levels: Levels) -> RawLevels:
    return [level for level in levels if Decimal(level[1])]


def _price(level: Sequence[str]) -> Decimal:
    return Decimal(level[0])


def _whole_side(levels: Levels, pairs: Sequence[Pair], descending: bool) -> RawLevels:
    """*levels* of a snapshot, best first, without empty ones."""
    # hot path
    prices = [pair.price for pair in pairs]
    if prices != sorted(prices, reverse=descending):
        return sorted(_filled(levels), key=_price, reverse=descending)
    return _filled(levels) if 0.0 in [pair.size for pair in pairs] else levels


def _checksum(row: AnyBook, wanted: bool) -> int | None:
    value = row.checksum
    # constant 0 since 2026-06-23; a signed 32 bit number before
    if not value or not wanted:
        return None
    return value - 2**32 if value >= 2**31 else value


def snapshot_from(
    row: AnyBook,
    proof: Proof,
    stream: Subscription,
    received_ns: int,
    raw: object = None,
    checksums: bool = True,
) -> BookSnapshot:
    """The whole book in *row*; *checksums* says whether to give one."""
    return _Snapshot(
        stream,
        _whole_side(row.bids, proof.bids, True),
        _whole_side(row.asks, proof.asks, False),
        row.seqId,
        row.ts * MS,
        received_ns,
        _checksum(row, checksums),
        raw,
    )


def delta_from(
    row: AnyBook,
    proof: Proof,
    stream: Subscription,
    received_ns: int,
    raw: object = None,
    checksums: bool = True,
) -> BookDelta:
    """The change of a book in *row*; empty sides are normal.

    The proof is only asked for so that no change is made without one.
    """
    return _Delta(
        stream,
        row.bids,
        row.asks,
        row.prevSeqId,
        row.seqId,
        row.ts * MS,
        received_ns,
        _checksum(row, checksums),
        raw,
    )
