"""Candles of all timeframes from one trade stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tapeline.candles.bars import Bar
from tapeline.candles.checkpoints import (
    VERSION,
    AggregatorState,
    SeriesState,
    decode_state,
)
from tapeline.candles.holes import TimeHole, TimeHoles
from tapeline.candles.ladder import Ladder
from tapeline.candles.series import NEVER, Series
from tapeline.candles.settings import CandleSettings
from tapeline.candles.statistics import CandleStatistics
from tapeline.model import (
    COMPLETE,
    FROM_TRADES,
    GAP,
    PARTIAL,
    REPAIRED,
    Candle,
    Subscription,
    Trade,
    width_ns,
)


class CandleAggregator:
    """Bars of one trade stream, each trade counted in every timeframe.

    A bar is ``complete`` when every id of its interval is in it, which the first
    trade after it proves; ended by the clock it is ``partial`` until then. Ids that
    are missing show here at once; the bars they may belong to stay open for a grace,
    and are ``gap`` after it until the trades come.

    Args:
        stream: the trades' subscription; each trade must come exactly once.
        timeframes: names out of the eleven.

    Raises:
        UnknownTimeframe: one of *timeframes* is not among the eleven.
    """

    def __init__(
        self,
        stream: Subscription,
        timeframes: Sequence[str],
        settings: CandleSettings | None = None,
    ) -> None:
        self.stream = stream
        self.statistics = CandleStatistics()
        self._settings = CandleSettings() if settings is None else settings
        wanted = {name for name in timeframes if width_ns(name)}
        self._holes = TimeHoles()
        keep_ns = self._settings.keep_closed_ns
        self._ladder = Ladder(wanted, self._holes, keep_ns)
        # The bar of the trade with the highest id, while it is open, and trades
        # that follow in it: sums over many are cheaper than many sums.
        self._bar = Bar(0, 0)
        self._pending: list[Trade] = []
        self._open_ns = self._end_ns = 0
        self._contiguous = self._settings.contiguous_ids
        self._grace_ns = self._settings.close_grace_ns
        self._snapshot_ns = 5 * self._grace_ns
        self._next_id: int | None = None
        self._last_ns = 0
        self._from_ns: int | None = None
        self._started_ns: int | None = None
        self._live_ns: int | None = None
        self._quiet_ns = 0
        self._now_ns = 0
        self._recheck_ns: int | None = None
        # Bars up to here were ended by the clock alone; a later trade proves them.
        self._unproven_ns: int | None = None
        self._silent = False

    def add_timeframes(self, timeframes: Sequence[str]) -> None:
        """Give *timeframes* out too, from now on.

        Raises:
            UnknownTimeframe: one of them is not among the eleven.
        """
        wanted = {name for name in timeframes if width_ns(name)}
        for series in self._ladder.series:
            series.wanted = series.wanted or series.name in wanted

    def started(self, from_ns: int) -> None:
        """The stream is followed whole from *from_ns* on; call before any trade.

        Without it, it is followed from the first trade on.
        """
        self._started_ns = from_ns

    # hot path
    def add(self, trade: Trade, out: list[Candle]) -> None:
        """Count *trade*; *out* gets the bars that it closes."""
        first = trade.first_id
        if (
            first != self._next_id
            or not self._open_ns <= trade.exchange_ns < self._end_ns
        ):
            self._add_slowly(trade, out)
            return
        self._next_id = trade.last_id + 1
        self._pending.append(trade)

    def advance(self, now_ns: int, out: list[Candle]) -> None:
        """Close what the clock closes; call about once a second.

        Args:
            now_ns: the venue's clock as far as we know it, nanoseconds UTC.
        """
        if self._next_id is None:
            return
        if now_ns > self._now_ns:
            self._now_ns = now_ns
        until_ns = now_ns - self._grace_ns
        if (
            until_ns < self._end_ns
            and self._recheck_ns is None
            and self._ladder.closed_until_ns >= self._open_ns
            and not self._ladder.changed
            and not self._holes
        ):
            # The newest bar goes on, and all before it were given out.
            return
        self._drain()
        self._give_up_old(now_ns)
        if self._close(until_ns, now_ns):
            self._unproven_ns = self._ladder.closed_until_ns
        self._emit(out)

    def quiet(self, last_id: int, until_ns: int) -> None:
        """Up to *until_ns* the venue has no trade after *last_id*.

        If that is our newest, this proves what a later trade would: bars that the
        clock has ended are complete, and empty intervals are known to be empty.
        """
        if self._next_id == last_id + 1 and until_ns > self._quiet_ns:
            self._quiet_ns = until_ns
            self._recheck_at(0)

    def live(self, since_ns: int) -> None:
        """The stream is followed since *since_ns*.

        Of streams whose ids do not show what is missing, this is all that is known.
        """
        if self._live_ns is None:
            self._live_ns = since_ns

    def not_live(self) -> None:
        """The stream is not followed from here on."""
        self._live_ns = None

    def interrupted(self, from_ns: int, to_ns: int) -> None:
        """Trades may be missing between two exchange times, both inclusive."""
        self.mark(from_ns, to_ns, GAP)

    def mark(self, from_ns: int, to_ns: int, state: str) -> None:
        """Say of an interval that it has a hole, or that it has none any more.

        Bars already given out are revised with the next ``advance``. Holes in
        contiguous ids need no mark: they are seen here, and filled by their trades.

        Args:
            state: ``gap``, or ``repaired`` (also for ids that were never issued).
        """
        if state == GAP:
            self._holes.add(from_ns, to_ns)
            self._recheck_ns = 0
        elif self._holes.repair(from_ns, to_ns):
            self._shrunk()

    def never_issued(self, first_id: int, last_id: int) -> None:
        """The venue gave none of these ids out: nothing of them is missing.

        Bars already given out are revised with the next ``advance``.
        """
        if self._holes.forget(first_id, last_id):
            self._shrunk()

    def flush(self, out: list[Candle]) -> None:
        """Give open bars out as ``partial``: collection stops here.

        They stay open, so that a restart goes on with them.
        """
        self._drain()
        self._now_ns = NEVER
        self._emit(out)
        for series, bar, view in self._ladder.views():
            if series.wanted:
                self._send(series, bar, view, PARTIAL, out)
        self._now_ns = self._ladder.closed_until_ns

    def open_candles(self) -> list[Candle]:
        """The bars that are still open, as they would be now, narrow ones first."""
        self._drain()
        return [
            view.candle(self.stream, series.name, PARTIAL, bar.sent_revision + 1)
            for series, bar, view in self._ladder.views()
            if series.wanted
        ]

    def kept_bars(self) -> int:
        """Number of bars in memory, open and closed."""
        series = self._ladder.series
        return sum(len(one.open) + len(one.closed) for one in series)

    def snapshot(self) -> bytes:
        """Everything needed to go on after a restart."""
        self._drain()
        recent_ns = self._ladder.closed_until_ns - self._snapshot_ns
        states = [
            SeriesState(series.name, [*series.open.values()], closed, series.filled_ns)
            for series, closed in self._ladder.worth_keeping(recent_ns)
        ]
        return msgspec.msgpack.encode(
            AggregatorState(
                VERSION,
                self._next_id,
                self._last_ns,
                self._from_ns or 0,
                self._ladder.closed_until_ns,
                [
                    (hole.from_ns, hole.to_ns, hole.first_id, hole.last_id)
                    for hole in self._holes
                ],
                states,
            )
        )

    def restore(self, data: bytes) -> None:
        """Go on from a ``snapshot``, made with any timeframes.

        Raises:
            JournalError: *data* is not a snapshot of this version; nothing changed.
        """
        state = decode_state(data)
        if state.next_id is None:
            return
        self._next_id = state.next_id
        self._last_ns = state.last_ns
        self._from_ns = state.from_ns
        self._ladder.closed_until_ns = self._now_ns = state.closed_until_ns
        self._ladder.kept_from_ns = state.closed_until_ns - self._snapshot_ns
        self._open_ns = self._end_ns = 0
        self._pending.clear()
        self._holes.replace(TimeHole(*hole) for hole in state.holes)
        self._recheck_ns = 0
        self._unproven_ns = state.closed_until_ns
        self._ladder.changed.clear()
        for series, one in zip(self._ladder.series, state.series, strict=True):
            filled_ns = one.filled_ns if self._settings.fill_empty else None
            series.hold(one.open, one.closed, filled_ns)
            for bar in one.closed:
                if bar.changed:
                    self._ladder.changed[bar] = series

    def refold(self, records: Iterable[object]) -> None:
        """Learn from journal rows that are younger than the snapshot, silently.

        What was not given out before the end of the rows comes with the next
        ``advance``.
        """
        self._silent = True
        by_name = {series.name: series for series in self._ladder.series}
        nothing: list[Candle] = []
        for record in records:
            if isinstance(record, Trade):
                if record.stream == self.stream:
                    self.add(record, nothing)
            elif (
                isinstance(record, Candle)
                and record.source == FROM_TRADES
                and record.stream == self.stream
            ):
                self._refold_candle(record, by_name[record.timeframe])
        self._silent = False

    def _refold_candle(self, candle: Candle, series: Series) -> None:
        self._drain()
        end_ns = candle.open_ns + series.width
        if candle.state != PARTIAL and end_ns > self._ladder.closed_until_ns:
            # It was closed then, whatever holes look like without the clock.
            self._close_until(end_ns)
        bar = series.closed.get(candle.open_ns) or series.open.get(candle.open_ns)
        if bar is None:
            if end_ns <= self._ladder.closed_until_ns:
                if candle.first_id is None:
                    series.hold_flat(candle)
                return
            # Given out by flush, before anything was folded into it.
            bar = series.opening(candle.open_ns)
        bar.sent_revision = candle.revision
        bar.sent_state = candle.state
        bar.was_gap = bar.was_gap or candle.state == GAP
        bar.changed = False
        self._ladder.changed.pop(bar, None)

    def _drain(self) -> None:
        """Count the trades that were only put aside."""
        if self._pending:
            self._bar.add_in_order(self._pending)
            self._last_ns = self._pending[-1].exchange_ns
            self._pending.clear()

    def _add_slowly(self, trade: Trade, out: list[Candle]) -> None:
        if self._pending:
            self._drain()
        first, last, at_ns = trade.first_id, trade.last_id, trade.exchange_ns
        expected = self._next_id
        was_missing = False
        if expected is None:
            self._begin(at_ns)
        elif first > expected and self._contiguous:
            self._holes.add(self._last_ns, at_ns, expected, first - 1)
            self._recheck_at(at_ns + self._grace_ns)
        elif first < expected and self._contiguous:
            was_missing = self._holes.fill(first, last, at_ns)
        highest = expected is None or last >= expected
        # After the newest trade there is no bar that could have been forgotten.
        is_newest = highest and at_ns >= self._last_ns
        if highest:
            self._next_id = last + 1
            self._last_ns = at_ns
            if self._unproven_ns is not None:
                self._recheck_at(0)
                if at_ns >= self._unproven_ns:
                    self._unproven_ns = None
        ahead_ns = trade.received_ns + self._settings.max_ahead_ns
        limit_ns = min(at_ns, ahead_ns) if trade.received_ns > 0 else at_ns
        if limit_ns > self._now_ns:
            self._now_ns = limit_ns
        closes = self._close(limit_ns, limit_ns)
        bar = self._ladder.place(trade)
        if bar is None:
            self.statistics.late += 1
            if was_missing or is_newest or self._ladder.keeps(at_ns):
                self._ladder.revise(trade)
            else:
                self.statistics.too_late += 1
        elif highest:
            self._bar = bar
            self._open_ns, self._end_ns = bar.open_ns, bar.end_ns
        if was_missing:
            self._shrunk()
        if closes:
            self._emit(out)

    def _begin(self, at_ns: int) -> None:
        started = self._started_ns
        if started is not None and (started <= at_ns or not self._contiguous):
            self._from_ns = started
        else:
            # Others may have traded in the same instant before we were there.
            self._from_ns = at_ns + 1
        if self._settings.fill_empty:
            self._ladder.begin_filling(at_ns)
        width = self._ladder.base.width
        self._ladder.closed_until_ns = at_ns - at_ns % width

    def _close(self, until_ns: int, now_ns: int) -> bool:
        """Close bars that end by *until_ns*, unless their ids may still come."""
        if self._holes:
            settled_ns = now_ns - self._grace_ns
            until_ns = self._holes.settled_limit_ns(until_ns, settled_ns)
        if until_ns <= self._ladder.closed_until_ns:
            return False
        self._close_until(until_ns)
        return True

    def _close_until(self, until_ns: int) -> None:
        self._ladder.close(until_ns)
        if self._end_ns <= until_ns:
            self._open_ns = self._end_ns = 0

    def _shrunk(self) -> None:
        """Less is missing than before."""
        self._recheck_at(0)
        if self._settings.fill_empty:
            self._ladder.fill_repaired()
        else:
            self._holes.take_repaired()

    def _fill_empty(self) -> None:
        """Make flat bars where it is known that nobody traded.

        In contiguous ids the next trade proves it, whatever the connection did; in
        others only while the stream is followed.
        """
        until_ns = min(self._ladder.closed_until_ns, self._known_until_ns())
        from_ns = self._from_ns if self._contiguous else self._live_ns
        if from_ns is None:
            # What lies before is settled all the same: it gets none.
            from_ns = until_ns
        if not self._ladder.fill_empty(from_ns, until_ns):
            self._recheck_at(0)

    def _known_until_ns(self) -> int:
        """Up to where no trade is owed to us, but for holes."""
        return max(self._last_ns, self._quiet_ns)

    def _recheck_at(self, at_ns: int) -> None:
        if self._recheck_ns is None or at_ns < self._recheck_ns:
            self._recheck_ns = at_ns

    def _recheck(self) -> None:
        """Find closed bars whose state is no longer what was given out."""
        if self._recheck_ns is None or self._now_ns < self._recheck_ns:
            return
        self._recheck_ns = None
        settled_ns = self._now_ns - self._grace_ns
        for hole in self._holes:
            if hole.first_id is not None and hole.to_ns > settled_ns:
                self._recheck_at(hole.to_ns + self._grace_ns)
        self._ladder.recheck(self._state)

    def _state(self, bar: Bar) -> str:
        if self._from_ns is None or bar.open_ns < self._from_ns:
            return PARTIAL
        settled_ns = self._now_ns - self._grace_ns
        if bar.lost or self._holes.touches(bar.open_ns, bar.end_ns, settled_ns):
            return GAP
        if self._holes.touches(bar.open_ns, bar.end_ns):
            # It may fill itself: nothing better is said until it has.
            return bar.sent_state or PARTIAL
        if bar.first_id is not None and bar.end_ns > self._known_until_ns():
            # Only the clock has ended it: a silent stream may still owe it trades.
            return PARTIAL
        return REPAIRED if bar.was_gap else COMPLETE

    def _emit(self, out: list[Candle]) -> None:
        """Give out what changed since it was given out last."""
        if self._silent:
            return
        self._recheck()
        if self._settings.fill_empty:
            self._fill_empty()
        if self._ladder.changed:
            for bar, series in self._ladder.changed.items():
                self._send(series, bar, bar, self._state(bar), out)
            self._ladder.changed.clear()

    def _send(
        self, series: Series, bar: Bar, view: Bar, state: str, out: list[Candle]
    ) -> None:
        revision = bar.sent_revision + 1
        bar.sent_revision = revision
        bar.sent_state = state
        bar.was_gap = bar.was_gap or state == GAP
        bar.changed = False
        self.statistics.candles += 1
        if revision:
            self.statistics.revisions += 1
        out.append(view.candle(self.stream, series.name, state, revision))

    def _give_up_old(self, now_ns: int) -> None:
        """Forget holes that nobody fills; their bars keep the mark for ever."""
        old = self._holes.pop_old(
            now_ns - self._settings.repair_window_ns, self._settings.max_holes
        )
        for hole in old:
            self.statistics.holes_given_up += 1
            self._ladder.stamp_lost(hole.from_ns, hole.to_ns)
