"""Order books from the wire: levels stay OKX's texts, but every one is checked."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tapeline.model import BookDelta, BookSnapshot, RawLevels, Subscription
from tapeline_okx.construction import quick_constructor
from tapeline_okx.numbers import NotPlain, floats_of, known_floats_of
from tapeline_okx.wire import MS, Level, Unusable, UsualBook, UsualLevel, WireBook

_Snapshot = quick_constructor(BookSnapshot)
_Delta = quick_constructor(BookDelta)

AnyBook = WireBook | UsualBook
Levels = Sequence[Level] | Sequence[UsualLevel]


def _numbers(levels: Levels) -> tuple[list[float], list[float]]:
    """Prices and sizes of *levels*, checked, for comparing only."""
    # hot path
    try:
        prices = known_floats_of([level[0] for level in levels])
        sizes = floats_of([level[1] for level in levels])
    except (NotPlain, IndexError):
        raise Unusable("level") from None
    if 0.0 in prices:
        raise Unusable("level")
    return prices, sizes


def _filled(levels: Levels) -> RawLevels:
    return [level for level in levels if Decimal(level[1])]


def _price(level: Sequence[str]) -> Decimal:
    return Decimal(level[0])


def _whole_side(levels: Levels, descending: bool) -> RawLevels:
    """*levels* of a snapshot, best first, without empty ones."""
    # hot path
    prices, sizes = _numbers(levels)
    if prices != sorted(prices, reverse=descending):
        return sorted(_filled(levels), key=_price, reverse=descending)
    return _filled(levels) if 0.0 in sizes else levels


def _checksum(row: AnyBook, wanted: bool) -> int | None:
    value = row.checksum
    # constant 0 since 2026-06-23; a signed 32 bit number before
    if not value or not wanted:
        return None
    return value - 2**32 if value >= 2**31 else value


def snapshot_from(
    row: AnyBook,
    stream: Subscription,
    received_ns: int,
    raw: object = None,
    checksums: bool = True,
) -> BookSnapshot:
    """The whole book in *row*; *checksums* says whether to give one.

    Raises:
        Unusable: a level has no true price or size.
    """
    return _Snapshot(
        stream,
        _whole_side(row.bids, True),
        _whole_side(row.asks, False),
        row.seqId,
        row.ts * MS,
        received_ns,
        _checksum(row, checksums),
        raw,
    )


def delta_from(
    row: AnyBook,
    stream: Subscription,
    received_ns: int,
    raw: object = None,
    checksums: bool = True,
) -> BookDelta:
    """The change of a book in *row*; empty sides are normal.

    Raises:
        Unusable: a level has no true price or size.
    """
    _numbers(row.bids)
    _numbers(row.asks)
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
