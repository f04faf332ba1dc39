"""Filling a hole over REST, page by page, as a pure state machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from tapeline.model.actions import Fetch
from tapeline.model.candles import Candle
from tapeline.model.requests import Response
from tapeline.model.trades import Trade


@attrs.frozen
class BackfillPage:
    """What one page gave.

    Args:
        trades: of the gap, any order, ``source="backfill"``.
        proven_from_id, proven_to_id: ids for which the page proves that there is
            nothing else: everything between its oldest and newest row.
        exhausted: the venue has nothing older.
        stale: the answer was older than what is already known; ask again.
        candles: final ones of the venue, when the gap is one of a candle stream.
    """

    trades: Sequence[Trade]
    proven_from_id: int | None = None
    proven_to_id: int | None = None
    exhausted: bool = False
    stale: bool = False
    candles: Sequence[Candle] = ()


class Backfill(Protocol):
    """Pages of one gap; pure like a session."""

    def next(self) -> Fetch | None:
        """The next page to ask for; None when done."""

    def read(self, response: Response) -> BackfillPage:
        """Take the answer to the last ``next``."""
