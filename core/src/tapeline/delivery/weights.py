"""Roughly how many bytes a record takes in memory, without encoding it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tapeline.model import BookDelta, BookSnapshot, RawMessage, Record

_FLAT = 600
_LEVEL = 250


def _book(record: Any) -> int:
    return _FLAT + _LEVEL * (len(record.bids) + len(record.asks))


def _raw(record: Any) -> int:
    return _FLAT + len(record.text)


_WEIGHTS: dict[type[Any], Callable[[Any], int]] = {
    BookSnapshot: _book,
    BookDelta: _book,
    RawMessage: _raw,
}


def approximate_bytes(record: Record) -> int:
    """Bytes of *record*, objects included; good within a factor of two."""
    weigh = _WEIGHTS.get(type(record))
    return _FLAT if weigh is None else weigh(record)
