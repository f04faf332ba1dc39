"""What candles may be told."""

from __future__ import annotations

import attrs


@attrs.frozen
class CandleSettings:
    """How bars are closed, kept and revised.

    Args:
        close_grace_s: how long after its end a bar waits for trades when only the
            clock moves, or when ids before it are missing.
        keep_closed_s: how long closed bars can still be revised; those that a hole
            touches stay until it is filled or given up.
        repair_window_s: age at which an unfilled hole is given up here.
        max_holes: holes kept; beyond it the oldest is given up.
        fill_empty: give out flat bars for intervals of which it is known that nobody
            traded: by a later trade, or by the venue's word; never for mere silence.
        contiguous_ids: ids of the trade stream step by one, so that holes show.
        max_ahead_s: how far beyond its time of receipt a trade may move the close.
    """

    close_grace_s: float = 2.0
    keep_closed_s: float = 120.0
    repair_window_s: float = 6 * 3600.0
    max_holes: int = 256
    fill_empty: bool = False
    contiguous_ids: bool = True
    max_ahead_s: float = 60.0

    @property
    def close_grace_ns(self) -> int:
        """The grace in nanoseconds."""
        return round(self.close_grace_s * 1e9)

    @property
    def keep_closed_ns(self) -> int:
        """The time closed bars are kept in nanoseconds."""
        return round(self.keep_closed_s * 1e9)

    @property
    def repair_window_ns(self) -> int:
        """The repair window in nanoseconds."""
        return round(self.repair_window_s * 1e9)

    @property
    def max_ahead_ns(self) -> int:
        """The greatest lead in nanoseconds."""
        return round(self.max_ahead_s * 1e9)
