"""One side of an order book: levels as the venue wrote them, sorted by price."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from decimal import Decimal, InvalidOperation
from typing import cast

from tapeline.model import RawLevel, RawLevels

_EXACT_LENGTH = 16
"""Prices this short (15 digits and a point) map one to one onto floats."""

_MAX_KNOWN = 2_048


class BookSide:
    """Levels keyed by price; the key only sorts, the texts stay what they were.

    Args:
        best_is_low: True for asks.
    """

    __slots__ = ("_best_is_low", "_keys", "_known", "_levels", "absent_deletes")

    def __init__(self, *, best_is_low: bool) -> None:
        self._best_is_low = best_is_low
        self._levels: dict[float, RawLevel] = {}
        self._keys: list[float] = []
        # Keys of price texts seen lately: most of them come again, and looking
        # one up costs a fraction of reading it.
        self._known: dict[str, float] = {}
        self.absent_deletes = 0

    def replace(self, levels: RawLevels) -> None:
        """Forget everything and hold *levels*; those of size zero are left out.

        Raises:
            ValueError: a price or size is not a finite number.
        """
        fresh: dict[float, RawLevel] = {}
        for level in levels:
            price = level[0]
            key = float(price) if len(price) <= _EXACT_LENGTH else _long_key(price)
            size = float(level[1])
            if not (0.0 <= size < math.inf and -math.inf < key < math.inf):
                raise ValueError(f"level {level!r}")
            if size:
                fresh[key] = level
        self._levels = fresh
        self._keys = sorted(fresh)

    # hot path
    def update(self, levels: RawLevels) -> None:
        """Set each level, or take it out when its size is zero.

        Raises:
            ValueError: a price or size is not a finite number; some levels may
                have been set already.
        """
        held = self._levels
        keys = self._keys
        known = self._known
        inf = math.inf
        for level in levels:
            price = level[0]
            try:
                key = known[price]
            except KeyError:
                key = self._learn(price)
            size = float(level[1])
            if 0.0 < size < inf:
                if key not in held:
                    insort(keys, key)
                held[key] = level
            elif size == 0.0:
                if key in held:
                    del held[key], keys[bisect_left(keys, key)]
                else:
                    self.absent_deletes += 1
            else:
                raise ValueError(f"level {level!r}")

    def _learn(self, price: str) -> float:
        key = float(price) if len(price) <= _EXACT_LENGTH else _long_key(price)
        if not -math.inf < key < math.inf:
            raise ValueError(f"price {price!r}")
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[price] = key
        return key

    def top(self, count: int) -> list[RawLevel]:
        """The best *count* levels, best first."""
        held = self._levels
        if self._best_is_low:
            return [held[key] for key in self._keys[:count]]
        return [held[key] for key in self._keys[: -count - 1 : -1]]

    def best(self) -> float | None:
        """The best price as a sort key; None when the side is empty."""
        if not self._keys:
            return None
        return self._keys[0] if self._best_is_low else self._keys[-1]

    def clear(self) -> None:
        """Forget everything."""
        self._levels = {}
        self._keys = []
        self._known = {}

    def __len__(self) -> int:
        return len(self._levels)


def _long_key(price: str) -> float:
    """A sort key for a price with more digits than a float holds.

    It is a Decimal, which sorts and compares exactly among floats.
    """
    try:
        exact = Decimal(price)
    except InvalidOperation:
        raise ValueError(f"price {price!r}") from None
    if not exact.is_finite():
        raise ValueError(f"price {price!r}")
    short = format(exact.normalize(), "f")
    return float(short) if len(short) <= _EXACT_LENGTH else cast(float, exact)
