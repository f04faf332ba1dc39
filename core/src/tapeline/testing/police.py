"""A police for a venue's limits: it counts what a client may not do."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

import attrs


@attrs.frozen
class Limit:
    """At most *count* units in any rolling window of *window_s* seconds.

    Args:
        name: for the counts.
        count: units that one window may hold.
        window_s: length of the rolling window.
    """

    name: str
    count: int
    window_s: float


class LimitsPolice:
    """Rolling windows per limit and key, and a count of every violation by name."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self.limits: Mapping[str, Limit] = {limit.name: limit for limit in limits}
        self.violations: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self._hits: dict[tuple[str, object], deque[int]] = {}

    @property
    def total(self) -> int:
        """Number of all violations."""
        return self.violations.total()

    def hit(self, name: str, key: object, now_ns: int, units: int = 1) -> bool:
        """Count *units* of the limit *name* for *key* (an address, a connection).

        Returns:
            True when the limit is kept; a name without a limit always is.
        """
        self.seen[name] += units
        limit = self.limits.get(name)
        if limit is None:
            return True
        hits = self._hits.get((name, key))
        if hits is None:
            # No longer than the limit: an older hit can never matter again.
            hits = self._hits[name, key] = deque(maxlen=limit.count)
        oldest_ns = now_ns - int(limit.window_s * 1e9)
        kept = True
        for _ in range(units):
            if len(hits) == limit.count and hits[0] > oldest_ns:
                kept = False
            hits.append(now_ns)
        if not kept:
            self.violations[name] += 1
        return kept

    def note(self, name: str) -> None:
        """Count one violation that has no window, such as a frame too large."""
        self.violations[name] += 1

    def forget(self, key: object) -> None:
        """Drop the windows of *key*, a connection that is gone."""
        for entry in [entry for entry in self._hits if entry[1] == key]:
            del self._hits[entry]
