"""Where fetched trades and news about gaps enter the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tapeline.clock import Clock
from tapeline.integrity import IntervalSet
from tapeline.model import CLOSED, Gap, Record, Subscription, Trade
from tapeline.runtime.pipeline import Output, Pipeline

NEVER_ISSUED = "never-issued"
BEYOND_REACH = "beyond-reach"


class Healer:
    """Synchronous hands of all backfillers of an engine.

    Args:
        emit: takes what the pipeline gives, as it does for live data.
        refuses: True while nothing can be stored.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        clock: Clock,
        emit: Callable[[Output], None],
        refuses: Callable[[], bool],
    ) -> None:
        self.refuses = refuses
        self.claimed: set[int] = set()
        self._pipeline = pipeline
        self._ledger = pipeline.ledger
        self._clock = clock
        self._emit = emit

    def give(self, out: Output) -> None:
        """Hand *out* on, unless nothing can be stored."""
        if not self.refuses():
            self._emit(out)

    def open_gaps(self, streams: Iterable[Subscription]) -> list[Gap]:
        """The open gaps of *streams* whose missing ids are known."""
        return [
            gap
            for subscription in streams
            for gap in self._ledger.open_gaps_of(subscription)
            if gap.from_id is not None and gap.to_id is not None
        ]

    def find(self, subscription: Subscription, gap_id: int) -> Gap | None:
        """The row of an open gap as it stands; None when it is open no more."""
        for gap in self._ledger.open_gaps_of(subscription):
            if gap.gap_id == gap_id:
                return gap
        return None

    def revise(self, gap: Gap, state: str, cause: str | None = None) -> None:
        """Write that *gap* is in *state* now; nothing when it is open no more."""
        out = Output()
        self._ledger.resolve(gap.stream, gap.gap_id, state, out.journal, cause)
        if out.journal:
            self._emit(out)

    def take(
        self,
        subscription: Subscription,
        trades: Sequence[Trade],
        empty: IntervalSet,
    ) -> int:
        """Store *trades*, and close what is left of gaps inside *empty*.

        Args:
            empty: ids for which the venue has proven that it never issued them.

        Returns:
            how many of *trades* were missing.
        """
        # From the end that a gap shares with the page: it is not cut in two then.
        falling = self._begins_inside(subscription, trades)
        ordered = sorted(trades, key=lambda trade: trade.last_id, reverse=falling)
        out = self._pipeline.recover(subscription, ordered, self._clock.wall_ns())
        taken = sum(isinstance(record, Trade) for record in out.journal)
        self._close(subscription, empty, out)
        if out.journal or out.live:
            self._emit(out)
        return taken

    def _begins_inside(
        self, subscription: Subscription, trades: Sequence[Trade]
    ) -> bool:
        """Whether the oldest of *trades* lies inside a gap that begins below it."""
        oldest = min((trade.first_id for trade in trades), default=0)
        return any(
            gap.from_id is not None
            and gap.to_id is not None
            and gap.from_id < oldest <= gap.to_id
            for gap in self._ledger.open_gaps_of(subscription)
        )

    def _close(
        self, subscription: Subscription, empty: IntervalSet, out: Output
    ) -> None:
        """Close what is left of gaps inside *empty*; one row a gap is enough."""
        state = self._pipeline.streams.get(subscription)
        closed: list[Record] = []
        for gap in self.open_gaps((subscription,)):
            first, last = gap.from_id, gap.to_id
            if first is None or last is None:
                continue
            if empty.count(first, last) < last - first + 1:
                continue
            self._ledger.resolve(subscription, gap.gap_id, CLOSED, closed, NEVER_ISSUED)
            if state is not None and state.candles is not None:
                state.candles.never_issued(first, last)
        if closed:
            ids = {row.gap_id for row in closed if isinstance(row, Gap)}
            rest = [
                record
                for record in out.journal
                if not (isinstance(record, Gap) and record.gap_id in ids)
            ]
            out.journal = [*rest, *closed]
