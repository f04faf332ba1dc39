"""All timeframes of one stream: trades go in at 1 s, closed bars climb up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tapeline.candles.bars import Bar
from tapeline.candles.holes import TimeHoles
from tapeline.candles.series import Series, nested_series
from tapeline.model import TIMEFRAMES, Trade

_MOST_FLAT = 1_000
"""Flat bars of one timeframe that are made at once."""

_MOST_REPAIRED = 20_000
"""Flat bars of one timeframe that the end of one hole makes."""


class Ladder:
    """The bars themselves: what is in them, which are closed, which changed.

    All eleven timeframes are kept, so that a configuration may change between
    runs; only *wanted* ones are reported as changed.

    Args:
        holes: bars that one of them touches are kept.
        keep_closed_ns: how long other closed bars are kept.
    """

    __slots__ = (
        "_holes",
        "_keep_closed_ns",
        "_step_ns",
        "base",
        "changed",
        "closed_until_ns",
        "kept_from_ns",
        "series",
    )

    def __init__(self, wanted: set[str], holes: TimeHoles, keep_closed_ns: int) -> None:
        self.series = nested_series(TIMEFRAMES, wanted)
        self.base = self.series[0]
        self._step_ns = self.series[1].width
        self.closed_until_ns = 0
        self.changed: dict[Bar, Series] = {}
        self._holes = holes
        # What a snapshot leaves out is unknown after a restart.
        self.kept_from_ns = 0
        self._keep_closed_ns = keep_closed_ns

    def place(self, trade: Trade) -> Bar | None:
        """Count *trade* in its open 1 s bar; None when that bar is closed."""
        at_ns = trade.exchange_ns
        if at_ns - at_ns % self.base.width + self.base.width <= self.closed_until_ns:
            return None
        bar = self.base.opening(at_ns)
        bar.add(trade)
        return bar

    def keeps(self, at_ns: int) -> bool:
        """Whether a closed bar at *at_ns* is known, or known never to have been."""
        open_ns = at_ns - at_ns % self.base.width
        end_ns = open_ns + self.base.width
        return (
            open_ns in self.base.closed
            or end_ns
            > max(self.kept_from_ns, self.closed_until_ns - self._keep_closed_ns)
            or self._holes.touches(open_ns, end_ns)
        )

    def revise(self, trade: Trade) -> None:
        """Count a late *trade* in a closed bar and in those it was folded into."""
        self._revise(self.base, trade)

    def close(self, until_ns: int) -> None:
        """Close the bars that end by *until_ns* and fold them upward."""
        # hot path
        before_ns, self.closed_until_ns = self.closed_until_ns, until_ns
        step = self._step_ns
        # Wider bars end where one of the second series does, and not in between.
        climbs = until_ns - until_ns % step > before_ns
        for series in self.series if climbs else (self.base,):
            if series.due_ns > until_ns:
                continue
            for bar in series.take_due(until_ns):
                if series.wanted:
                    bar.changed = True
                    self.changed[bar] = series
                for wider in series.fed:
                    wider.opening(bar.open_ns).merge(bar)
            if len(series.closed) > series.evict_at:
                series.evict(until_ns - self._keep_closed_ns, self._holes)

    def begin_filling(self, at_ns: int) -> None:
        """Empty intervals from *at_ns* on shall have flat bars."""
        for series in self.series:
            if series.wanted and series.filled_ns is None:
                series.filled_ns = at_ns - at_ns % series.width

    def fill_empty(self, from_ns: int, until_ns: int) -> bool:
        """Make flat bars for empty intervals; False when some are left for later."""
        done = True
        for series in self.series:
            filled_ns = series.filled_ns or 0
            if not series.wanted or filled_ns + series.width > until_ns:
                continue
            made = series.fill_empty(from_ns, until_ns, self._holes, _MOST_FLAT)
            for bar in made:
                self.touch(series, bar)
            if len(series.closed) > series.evict_at:
                series.evict(until_ns - self._keep_closed_ns, self._holes)
            done = done and len(made) < _MOST_FLAT
        return done

    def fill_repaired(self) -> None:
        """Make flat bars where holes are no more; call whenever one has shrunk."""
        for from_ns, to_ns in self._holes.take_repaired():
            for series in self.series:
                if series.wanted:
                    for bar in series.fill_repaired(
                        from_ns, to_ns, self._holes, _MOST_REPAIRED
                    ):
                        self.touch(series, bar)

    def touch(self, series: Series, bar: Bar) -> None:
        """*bar* differs from the candle given out last."""
        if series.wanted:
            bar.changed = True
            self.changed[bar] = series

    def recheck(self, state: Callable[[Bar], str]) -> None:
        """Touch closed bars whose *state* is no longer the one given out last."""
        for series in self.series:
            if series.wanted:
                for bar in series.closed.values():
                    if bar.sent_state and state(bar) != bar.sent_state:
                        self.touch(series, bar)

    def stamp_lost(self, from_ns: int, to_ns: int) -> None:
        """Bars in this interval, both ends inclusive, stay incomplete for ever."""
        for series in self.series:
            for bar in (*series.closed.values(), *series.open.values()):
                if from_ns < bar.end_ns and to_ns >= bar.open_ns:
                    bar.lost = True

    def views(self) -> Iterator[tuple[Series, Bar, Bar]]:
        """Each open bar, and a copy that has what is open in narrower ones too."""
        views: dict[str, dict[int, Bar]] = {series.name: {} for series in self.series}
        for series in self.series:
            mine = views[series.name]
            for open_ns, bar in series.open.items():
                mine.setdefault(open_ns, Bar(open_ns, bar.end_ns)).merge(bar)
            for view in mine.values():
                for wider in series.fed:
                    open_ns = view.open_ns - view.open_ns % wider.width
                    made = Bar(open_ns, open_ns + wider.width)
                    views[wider.name].setdefault(open_ns, made).merge(view)
        for series in self.series:
            for open_ns, view in sorted(views[series.name].items()):
                if view.first_id is not None:
                    yield series, series.opening(open_ns), view

    def worth_keeping(self, recent_ns: int) -> Iterator[tuple[Series, list[Bar]]]:
        """The closed bars of each series that a restart may have to revise."""
        for series in self.series:
            yield series, series.worth_keeping(recent_ns, self._holes)

    def _revise(self, series: Series, trade: Trade) -> None:
        at_ns = trade.exchange_ns
        open_ns = at_ns - at_ns % series.width
        if open_ns + series.width > self.closed_until_ns:
            series.opening(at_ns).add(trade)
            return
        bar = series.closed.get(open_ns)
        if bar is None:
            bar = Bar(open_ns, open_ns + series.width, closed=True)
            series.closed[open_ns] = bar
        bar.add(trade)
        self.touch(series, bar)
        for wider in series.fed:
            self._revise(wider, trade)
