"""What candles count, per stream."""

from __future__ import annotations

import attrs


@attrs.define
class CandleStatistics:
    """What happened to the bars of one stream.

    Args:
        candles: given out, revisions included.
        revisions: given out again after a change.
        late: trades for a bar that was closed.
        too_late: of those, trades for a bar that was no longer kept; no candle
            has them.
        holes_given_up: holes that stay in their bars for ever.
    """

    candles: int = 0
    revisions: int = 0
    late: int = 0
    too_late: int = 0
    holes_given_up: int = 0
