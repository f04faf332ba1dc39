"""What a backfiller may be told, what it counts, and its work on one gap."""

from __future__ import annotations

import attrs

from tapeline.backoff import Backoff
from tapeline.integrity import IntervalSet
from tapeline.model import Backfill, BackfillPage, Fetch, Gap


@attrs.frozen
class BackfillSettings:
    """How patient a backfiller is.

    Args:
        look_s: how often it looks at gaps while there are some.
        idle_look_s: how often it looks for gaps that nobody told it of.
        page_s: bound of one request, with the retries of the client.
        stale_s: pause before a page is asked for again that came from an old cache.
        first_delay_s, slowest_delay_s: bounds of the growing delays after failures.
        sure_after_s: how long a venue must go on saying that it has nothing older
            before a gap is given up.
        sure_after: how many walks must have ended so.
        gather_s: least time between the first pages of two gaps of one stream, so
            that those of a stream with many are filled together.
        join_ids: gaps that are no further apart are filled by the same pages.
    """

    look_s: float = 0.5
    idle_look_s: float = 5.0
    page_s: float = 30.0
    stale_s: float = 0.5
    first_delay_s: float = 1.0
    slowest_delay_s: float = 300.0
    sure_after_s: float = 300.0
    sure_after: int = 3
    gather_s: float = 2.0
    join_ids: int = 100


@attrs.define
class BackfillStatistics:
    """What a backfiller has done so far."""

    pages: int = 0
    recovered: int = 0
    stale: int = 0
    failures: int = 0
    given_up: int = 0


@attrs.define(eq=False)
class Walk:
    """The work on one gap.

    Args:
        gap: as it was when the pages began; its ids are what they may give, and
            reach over neighbors that the same pages fill.
        carrier: whose pages fill this one, too.
        pages: None between two tries.
        fetch: asked for and not answered yet.
        seen: ids of all trades in the pages.
        empty: ids between the rows of the pages: they were never issued.
        due_ns: monotonic; not before.
        troubled: the last try failed.
        ends: tries in a row that ended where the venue says its memory ends.
        ended_ns: monotonic, of the first of them.
    """

    gap: Gap
    backoff: Backoff
    pages: Backfill | None = None
    fetch: Fetch | None = None
    seen: IntervalSet = attrs.field(factory=IntervalSet)
    empty: IntervalSet = attrs.field(factory=IntervalSet)
    due_ns: int = 0
    troubled: bool = False
    ends: int = 0
    ended_ns: int = 0
    carrier: Walk | None = None

    def begin(self, gap: Gap, pages: Backfill) -> None:
        """Start from the newest missing id, trusting nothing of earlier tries."""
        self.gap, self.pages, self.fetch = gap, pages, None
        self.seen.clear()
        self.empty.clear()

    def go_on(self, gap: Gap, other: Walk) -> None:
        """Take over the pages of *other* for *gap*, with what they have shown."""
        first, last = other.gap.from_id, other.gap.to_id
        self.gap = attrs.evolve(gap, from_id=first, to_id=last)
        self.pages, self.fetch = other.pages, None
        self.seen, self.empty = other.seen, other.empty

    def learn(self, page: BackfillPage) -> None:
        """Note what *page* shows, and what it proves not to exist."""
        for trade in page.trades:
            self.seen.add(trade.first_id, trade.last_id)
            self.empty.remove(trade.first_id, trade.last_id)
        first, last = page.proven_from_id, page.proven_to_id
        if page.stale or first is None or last is None:
            return
        for low, high in list(self.seen.gaps(first, last)):
            self.empty.add(low, high)
