"""The REST snapshot that a book of changes begins with.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""

from __future__ import annotations

import attrs

from tapeline.model import BookDelta, BookSnapshot
from tapeline_binance.wire import MS

IMPATIENCE_NS = 4 * 10**9
"""A resync this long after the last request means that its answer will not come."""

FIRST_PAUSE_NS = 250 * 10**6
LONGEST_PAUSE_NS = 8 * 10**9
MAX_TOO_OLD = 6


@attrs.define
class Seed:
    """Where the snapshot of one book stands.

    Args:
        first_link: what the first change since the start, or since a break, follows.
        newest_id, newest_ns: id and exchange time of the newest change.
        tag: of the request under way; empty when there is none.
        asked_ns: wall time of that request.
        again_ns: monotonic time to ask again; None for not at all.
        wanted: whether a snapshot was asked for since the start or the break.
        too_old: answers in a row that were older than the first change.
    """

    first_link: int | None = None
    newest_id: int = -1
    newest_ns: int = 0
    tag: str = ""
    asked_ns: int = 0
    again_ns: int | None = None
    wanted: bool = False
    too_old: int = 0

    def note(self, delta: BookDelta) -> None:
        """A change came."""
        if delta.link_id is None or delta.last_id is None:
            return
        if self.first_link is None:
            self.first_link = delta.link_id
        self.newest_id, self.newest_ns = delta.last_id, delta.exchange_ns

    def ask(self, tag: str, wall_ns: int) -> None:
        """A request with *tag* goes out."""
        self.tag, self.asked_ns = tag, wall_ns
        self.wanted, self.again_ns = True, None

    def broke(self, wall_ns: int) -> bool:
        """The book's chain broke, or a request failed; True to ask for a snapshot."""
        if self.newest_id >= 0:
            # a snapshot from before the break would only break again
            self.first_link = self.newest_id
        if self.again_ns is not None:
            return False
        return not self.tag or wall_ns - self.asked_ns >= IMPATIENCE_NS

    def reaches(self, last_id: int) -> bool:
        """Whether a snapshot at *last_id* joins what came since."""
        if self.first_link is None or last_id >= self.first_link:
            return True
        # so often cannot be: the id that it is compared with must be wrong
        return self.too_old >= MAX_TOO_OLD

    def postpone(self, monotonic_ns: int) -> None:
        """The answer was of no use: ask again, each time a little later."""
        self.tag = ""
        pause_ns = min(LONGEST_PAUSE_NS, FIRST_PAUSE_NS << min(self.too_old, 10))
        self.too_old += 1
        self.again_ns = monotonic_ns + pause_ns

    def settle(self) -> None:
        """A snapshot was given out."""
        self.tag, self.too_old, self.again_ns = "", 0, None

    def timed(self, snapshot: BookSnapshot, told: bool) -> BookSnapshot:
        """*snapshot* with a time that fits its place among the changes.

        Spot does not say when a snapshot was made. It is older than a change with a
        higher id, so that a book that has that change already can tell.

        Args:
            told: whether the venue said when.
        """
        last_id = snapshot.last_id
        if told or last_id is None or last_id >= self.newest_id:
            return snapshot
        before_ns = min(snapshot.exchange_ns, self.newest_ns - MS)
        return attrs.evolve(snapshot, exchange_ns=before_ns)
