"""What integrity may be told."""

from __future__ import annotations

import attrs


@attrs.frozen
class IntegritySettings:
    """How continuity is judged.

    Args:
        reorder_grace_s: how long a hole in the ids waits for a late trade before
            it becomes a gap.
        coverage_interval_s: how often coverage of a changed stream is written.
        max_open_gaps: open gaps of one stream that are kept in memory; beyond it
            the oldest is written as unrecoverable.
        reset_after: rising trades below the high-water mark, with times after it,
            that prove that the venue began to number afresh.
        accept_resets: follow such a new numbering; else its trades are dropped,
            and a gap without an end says so.
        recent_runs: runs of ids that are remembered of a stream whose ids only rise.
            What is older than all of them counts as a repeat.
    """

    reorder_grace_s: float = 2.0
    coverage_interval_s: float = 1.0
    max_open_gaps: int = 4096
    reset_after: int = 3
    accept_resets: bool = False
    recent_runs: int = 2048

    @property
    def reorder_grace_ns(self) -> int:
        """The grace in nanoseconds."""
        return round(self.reorder_grace_s * 1e9)

    @property
    def coverage_interval_ns(self) -> int:
        """The interval in nanoseconds."""
        return round(self.coverage_interval_s * 1e9)
