"""Telling a venue that began to number afresh from a repeated trade."""

from __future__ import annotations

from tapeline.integrity.settings import IntegritySettings
from tapeline.model import Trade


class ResetWatch:
    """Counts trades whose ids are old though their times are new.

    A repeat carries the time it had; only a new numbering brings old ids with
    times after the newest trade, and keeps on rising.
    """

    __slots__ = ("_high", "_margin_ns", "_needed", "_run")

    def __init__(self, settings: IntegritySettings) -> None:
        self._margin_ns = settings.reorder_grace_ns
        self._needed = settings.reset_after
        self._high = 0
        self._run = 0

    def is_new(self, trade: Trade, newest_ns: int | None) -> bool:
        """Whether *trade* is later than a repeat could be."""
        return newest_ns is not None and trade.exchange_ns > newest_ns + self._margin_ns

    def proves_reset(self, trade: Trade) -> bool:
        """Count *trade*; True exactly once, when a run is long enough."""
        self._run = self._run + 1 if self._run and trade.first_id > self._high else 1
        self._high = trade.last_id
        return self._run == self._needed

    @property
    def proven(self) -> bool:
        """Whether a run is long enough, and ids are not in order again."""
        return self._run >= self._needed

    def forget(self) -> None:
        """Ids are in order again."""
        self._run = 0
