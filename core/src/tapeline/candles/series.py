"""The bars of one timeframe, and how timeframes nest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tapeline.candles.bars import Bar
from tapeline.candles.holes import TimeHoles
from tapeline.model import GAP, Candle

NEVER = 2**63
"""Later than any time."""


class Series:
    """The bars of one timeframe: those still open, and closed ones worth keeping.

    Args:
        fed: the wider timeframes that closed bars of this one are folded into.
        filled_ns: empty intervals that end by then have a flat bar, or get none;
            bars that begin later are kept. None while there are no flat bars.
    """

    __slots__ = (
        "_before",
        "closed",
        "due_ns",
        "evict_at",
        "fed",
        "filled_ns",
        "name",
        "open",
        "wanted",
        "width",
    )

    def __init__(self, name: str, width: int, *, wanted: bool) -> None:
        self.name = name
        self.width = width
        self.wanted = wanted
        self.fed: list[Series] = []
        self.open: dict[int, Bar] = {}
        self.closed: dict[int, Bar] = {}
        self.due_ns = NEVER
        self.evict_at = 64
        self.filled_ns: int | None = None
        self._before: Bar | None = None

    def hold(
        self,
        open_bars: Iterable[Bar],
        closed: Iterable[Bar],
        filled_ns: int | None,
    ) -> None:
        """Hold these bars and no others; up to *filled_ns* no flat one is wanting."""
        self.filled_ns, self._before = filled_ns, None
        self.open = {bar.open_ns: bar for bar in open_bars}
        self.closed = {bar.open_ns: bar for bar in closed}
        self.due_ns = min((bar.end_ns for bar in self.open.values()), default=NEVER)

    def opening(self, at_ns: int) -> Bar:
        """The open bar that holds *at_ns*, made when it is not there."""
        open_ns = at_ns - at_ns % self.width
        bar = self.open.get(open_ns)
        if bar is None:
            bar = self.open[open_ns] = Bar(open_ns, open_ns + self.width)
            if bar.end_ns < self.due_ns:
                self.due_ns = bar.end_ns
        return bar

    def take_due(self, until_ns: int) -> list[Bar]:
        """Close the bars that end by *until_ns*, oldest first; one at least must."""
        if len(self.open) == 1:
            # All but always; the caller looked at ``due_ns``.
            bars = [self.open.popitem()[1]]
            self.due_ns = NEVER
        else:
            due = sorted(at for at in self.open if at + self.width <= until_ns)
            bars = [self.open.pop(open_ns) for open_ns in due]
            self.due_ns = min(self.open, default=NEVER - self.width) + self.width
        for bar in bars:
            bar.closed = True
            self.closed[bar.open_ns] = bar
        return bars

    def fill_empty(
        self, from_ns: int, until_ns: int, holes: TimeHoles, most: int
    ) -> list[Bar]:
        """Make flat bars between and after bars that are known.

        None is made before *from_ns*, nor where trades may be missing, nor after bars
        of which some are: there the last price is not known.

        Args:
            most: bars to make at most; the next call goes on where this one ends.
        """
        open_ns = self.filled_ns
        if open_ns is None:
            if not self.closed:
                return []
            open_ns = min(self.closed)
        before = self._before or self.closed.get(open_ns - self.width)
        made, self.filled_ns, self._before = self._fill(
            open_ns, before, from_ns, until_ns, holes, most
        )
        return made

    def fill_repaired(
        self, from_ns: int, to_ns: int, holes: TimeHoles, most: int
    ) -> list[Bar]:
        """Make flat bars where something was missing and nothing is any more."""
        open_ns = from_ns - from_ns % self.width
        end_ns = to_ns - to_ns % self.width + self.width
        before = self.closed.get(open_ns - self.width)
        end_ns = min(end_ns, self.filled_ns or 0)
        return self._fill(open_ns, before, open_ns, end_ns, holes, most)[0]

    def _fill(
        self,
        open_ns: int,
        before: Bar | None,
        from_ns: int,
        until_ns: int,
        holes: TimeHoles,
        most: int,
    ) -> tuple[list[Bar], int, Bar | None]:
        made: list[Bar] = []
        closed, width = self.closed, self.width
        while open_ns + width <= until_ns and len(made) < most:
            bar = closed.get(open_ns)
            if bar is not None:
                before = None if bar.lost else bar
            elif before is not None:
                if open_ns < from_ns or holes.touches(open_ns, open_ns + width):
                    before = None
                else:
                    bar = Bar(open_ns, open_ns + width, closed=True)
                    bar.flatten(before.close, before.received_ns)
                    closed[open_ns] = before = bar
                    made.append(bar)
            if before is None:
                # Nothing can be made before the next bar that is known.
                later = (at for at in closed if at > open_ns)
                last_ns = until_ns - until_ns % width
                open_ns = min(min(later, default=last_ns), last_ns)
            else:
                open_ns += width
        return made, open_ns, before

    def hold_flat(self, candle: Candle) -> None:
        """Hold the flat bar that *candle* told of."""
        bar = Bar(candle.open_ns, candle.open_ns + self.width, closed=True)
        bar.flatten(candle.close, candle.received_ns)
        bar.sent_revision, bar.sent_state = candle.revision, candle.state
        self.closed[bar.open_ns] = bar

    def worth_keeping(self, recent_ns: int, holes: TimeHoles) -> list[Bar]:
        """Closed bars that may still be revised.

        The last two are, whatever their age: the next hole begins in one of them.
        One given out as a gap waits for its repair to be said.
        """
        newest = sorted(self.closed)[-2:]
        return [
            bar
            for open_ns, bar in self.closed.items()
            if bar.end_ns > recent_ns
            or bar.changed
            or (self.filled_ns is not None and open_ns >= self.filled_ns)
            or (bar.sent_state == GAP and not bar.lost)
            or open_ns in newest
            or holes.touches(bar.open_ns, bar.end_ns)
        ]

    def evict(self, recent_ns: int, holes: TimeHoles) -> None:
        """Forget closed bars that nothing can revise any more."""
        kept = self.worth_keeping(recent_ns, holes)
        self.closed = {bar.open_ns: bar for bar in kept}
        self.evict_at = 2 * len(kept) + 64


def nested_series(widths: Mapping[str, int], wanted: set[str]) -> list[Series]:
    """A series for each width, each fed by the widest narrower one that divides it."""
    made = [
        Series(name, width, wanted=name in wanted)
        for name, width in sorted(widths.items(), key=lambda item: item[1])
    ]
    for at, series in enumerate(made):
        for source in reversed(made[:at]):
            if series.width % source.width == 0:
                source.fed.append(series)
                break
    return made
