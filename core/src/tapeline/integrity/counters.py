"""What integrity counts, per stream."""

from __future__ import annotations

import attrs


@attrs.define
class ContinuityCounters:
    """What happened to one stream since the process began.

    Args:
        duplicates: trades whose ids were all stored already; dropped.
        overlaps: aggregates with some ids stored already; dropped.
        below: trades older than the first one that was taken; dropped.
        out_of_order: trades with an old id and a new time; dropped.
        invalid: trades whose id range is empty; dropped.
        quarantined: items that were reported as unusable.
        gaps_opened, gaps_closed, gaps_unrecoverable: rows by how they went.
    """

    duplicates: int = 0
    overlaps: int = 0
    below: int = 0
    out_of_order: int = 0
    invalid: int = 0
    quarantined: int = 0
    gaps_opened: int = 0
    gaps_closed: int = 0
    gaps_unrecoverable: int = 0


@attrs.frozen
class StreamStatistics:
    """``ContinuityCounters`` at one moment, with what is known of the stream.

    Args:
        high_water: highest id known to exist; None without ids.
        gaps_open: gaps neither closed nor given up.
        pending_holes: holes that still wait for a late trade.
    """

    high_water: int | None
    gaps_open: int
    pending_holes: int
    duplicates: int
    overlaps: int
    below: int
    out_of_order: int
    invalid: int
    quarantined: int
    gaps_opened: int
    gaps_closed: int
    gaps_unrecoverable: int

    @classmethod
    def of(
        cls,
        counters: ContinuityCounters,
        high_water: int | None,
        gaps_open: int,
        pending_holes: int,
    ) -> StreamStatistics:
        """The statistics of *counters* as they stand."""
        return cls(
            high_water,
            gaps_open,
            pending_holes,
            counters.duplicates,
            counters.overlaps,
            counters.below,
            counters.out_of_order,
            counters.invalid,
            counters.quarantined,
            counters.gaps_opened,
            counters.gaps_closed,
            counters.gaps_unrecoverable,
        )
