"""What an observer may see of gaps as they open and close."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import attrs

from tapeline.clock import Clock
from tapeline.model import BACKFILLING, CLOSED, OPEN, Gap, Record

_REMEMBERED = 64


@attrs.frozen
class GapNews:
    """One gap, and how long ago it took its present state.

    Args:
        missing: ids that are, or were, missing; None where ids do not tell.
        lost_s: exchange time around it, in seconds; None while not known.
        age_s: since it was opened, or since it was closed or given up.
        lasted_s: how long it was open; None while it is.
    """

    gap: Gap
    missing: int | None
    lost_s: float | None
    age_s: float
    lasted_s: float | None

    @property
    def size(self) -> str:
        """How much is missing, in words."""
        if self.missing is not None:
            return f"{self.missing} id{'s' if self.missing != 1 else ''}"
        return "unknown" if self.lost_s is None else f"{self.lost_s:.1f} s"


@attrs.define(eq=False)
class _Known:
    """A gap as it was last seen, and when it was opened and ended, monotonic."""

    gap: Gap
    missing: int | None
    opened_ns: int
    ended_ns: int | None = None


class GapBoard:
    """Keeps the open gaps and the newest of the others; fed by an engine.

    Args:
        remembered: gaps that are not open any more.
    """

    def __init__(self, clock: Clock, remembered: int = _REMEMBERED) -> None:
        self.opened = 0
        self.closed = 0
        self.unrecoverable = 0
        self._clock = clock
        self._open: dict[int, _Known] = {}
        self._ended: deque[_Known] = deque(maxlen=remembered)

    def take(self, records: Iterable[Record]) -> None:
        """Note the gaps among *records*."""
        for record in records:
            if type(record) is Gap:
                self._note(record)

    @property
    def open(self) -> Sequence[GapNews]:
        """The open gaps, oldest first."""
        return [self._news(known) for known in self._open.values()]

    @property
    def ended(self) -> Sequence[GapNews]:
        """Gaps that were closed or given up, newest first."""
        return [self._news(known) for known in reversed(self._ended)]

    def _note(self, gap: Gap) -> None:
        known = self._open.pop(gap.gap_id, None)
        now_ns = self._clock.monotonic_ns()
        missing = None
        if gap.from_id is not None and gap.to_id is not None:
            missing = gap.to_id - gap.from_id + 1
        if known is None:
            self.opened += 1
        else:
            # What is filled already is no longer in the row of an open gap.
            missing = max(missing or 0, known.missing or 0) or None
        opened_ns = now_ns if known is None else known.opened_ns
        if gap.state in (OPEN, BACKFILLING):
            self._open[gap.gap_id] = _Known(gap, missing, opened_ns)
            return
        if gap.state == CLOSED:
            self.closed += 1
        else:
            self.unrecoverable += 1
        self._ended.append(_Known(gap, missing, opened_ns, now_ns))

    def _news(self, known: _Known) -> GapNews:
        gap = known.gap
        lost_s = None
        if gap.from_ns is not None and gap.to_ns is not None:
            lost_s = max(0, gap.to_ns - gap.from_ns) / 1e9
        since_ns, lasted_s = known.opened_ns, None
        if known.ended_ns is not None:
            since_ns = known.ended_ns
            lasted_s = (known.ended_ns - known.opened_ns) / 1e9
        age_s = (self._clock.monotonic_ns() - since_ns) / 1e9
        return GapNews(gap, known.missing, lost_s, age_s, lasted_s)
