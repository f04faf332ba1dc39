"""A local order book that knows whether it is what the venue has."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence

import attrs

from tapeline.integrity.book_sides import BookSide
from tapeline.model import BookDelta, BookSnapshot, RawLevel, Subscription

Checksum = Callable[[Sequence[RawLevel], Sequence[RawLevel]], int | None]
"""``(bids, asks)``, best first → the venue's checksum of them."""

_SNAPSHOT_SLACK_NS = 10 * 10**9
"""A REST snapshot may have our time, or a time before what it contains.

Within it, of a snapshot and a change the one with the higher id is the newer one;
beyond it the venue has counted afresh.
"""


_CONTENT = (
    "valid",
    "crossed",
    "reason",
    "last_id",
    "_bids",
    "_asks",
    "_waiting",
    "_bare",
    "_broken",
    "_spliced",
    "_chain_id",
    "_exchange_ns",
    "_received_ns",
)


class BookChange(enum.Enum):
    """What an event did to a book.

    ``BROKEN`` means it has just become invalid: ask for a new snapshot.
    ``INVALID`` means it still waits for one; the event is kept if it may follow.
    """

    SNAPSHOT = "snapshot"
    APPLIED = "applied"
    IGNORED = "ignored"
    BROKEN = "broken"
    INVALID = "invalid"


@attrs.frozen
class BookSettings:
    """How a local book behaves.

    Args:
        checksum_levels: best levels a side that the venue's checksum is over.
        max_waiting: deltas kept while a snapshot is awaited.
        crossed_is_unusable: a crossed book is not ``usable``; venues may cross
            legally in auctions, so the default is to say so only.
        fold_unproven: apply deltas to an invalid book too, for recordings that
            begin without a snapshot; it stays invalid.
    """

    checksum_levels: int = 25
    max_waiting: int = 2048
    crossed_is_unusable: bool = False
    fold_unproven: bool = False


@attrs.define
class BookStatistics:
    """What happened to one book.

    Args:
        snapshots, updates: events that were applied.
        sequence_breaks: deltas that did not follow the delta before them, whether
            or not there was a book to apply them to.
        ignored: events that were older than the book.
        crossed: events after which the best bid was not below the best ask.
        resyncs: snapshots that repaired a broken book.
        waiting_dropped: deltas that came while waiting and did not fit any more.
    """

    snapshots: int = 0
    updates: int = 0
    checksum_pass: int = 0
    checksum_fail: int = 0
    sequence_breaks: int = 0
    crossed: int = 0
    ignored: int = 0
    resyncs: int = 0
    malformed: int = 0
    absent_deletes: int = 0
    waiting_dropped: int = 0


class LocalBook:
    """The book of one stream, from snapshots and deltas in arrival order.

    Args:
        checksum: the venue's, asked only for events that carry one.
    """

    def __init__(
        self,
        stream: Subscription,
        checksum: Checksum | None = None,
        settings: BookSettings | None = None,
    ) -> None:
        self.stream = stream
        self.valid = False
        self.crossed = False
        self.epoch = 0
        self.reason = "no snapshot yet"
        self.last_id: int | None = None
        self._settings = BookSettings() if settings is None else settings
        self._checksum = checksum
        self._counts = BookStatistics()
        self._bids = BookSide(best_is_low=False)
        self._asks = BookSide(best_is_low=True)
        self._waiting: deque[BookDelta] = deque(maxlen=self._settings.max_waiting)
        # A snapshot that no delta has followed yet: the first one may bridge it.
        self._bare = False
        self._broken = False
        self._spliced: list[BookDelta] = []
        # Newest id among the deltas that came while the book was invalid.
        self._chain_id: int | None = None
        self._exchange_ns = 0
        self._received_ns = 0

    # hot path
    def apply(self, event: BookSnapshot | BookDelta) -> BookChange:
        """Bring the book forward by *event*; never raises for what it holds."""
        if event.__class__ is BookSnapshot:
            return self._replace(event)
        assert isinstance(event, BookDelta)
        link = event.link_id
        last_id = event.last_id
        if link is None or last_id is None:
            return self._change(event) if self.valid else self._wait(event)
        if not self.valid:
            self._follow(link, last_id)
            return self._wait(event)
        last = self.last_id
        if link == last or last is None:
            return self._change(event)
        if self._bare and link <= last < last_id:
            return self._change(event)
        # An old id with a new time is not a repeat: the venue counted afresh
        # while we missed something.
        slack_ns = _SNAPSHOT_SLACK_NS if self._bare and link <= last_id else 0
        if last_id <= last and event.exchange_ns <= self._exchange_ns + slack_ns:
            self._counts.ignored += 1
            return BookChange.IGNORED
        self._counts.sequence_breaks += 1
        self._chain_id = last_id
        self._break(f"expected a change that follows {last}, found one after {link}")
        self._waiting.append(event)
        self._fold(event)
        return BookChange.BROKEN

    def invalidate(self, reason: str) -> None:
        """The book cannot be trusted any more, for *reason*: e.g. a disconnect."""
        self._break(reason)
        self._chain_id = None
        self._waiting.clear()

    def take_spliced(self) -> list[BookDelta]:
        """The deltas that waited for the last snapshot and followed it; once."""
        spliced, self._spliced = self._spliced, []
        return spliced

    @property
    def received_ns(self) -> int:
        """Our wall clock at the last event that it has; 0 before the first."""
        return self._received_ns

    def fresh(self) -> LocalBook:
        """An empty book of the same stream, kept in the same way."""
        return LocalBook(self.stream, self._checksum, self._settings)

    def is_older_than(self, other: LocalBook) -> bool:
        """Whether *other* was brought forward further than this book.

        Ids tell, unless they seem to fall: then the venue may have counted afresh,
        which the time of a change tells, and that of a bare snapshot does not.
        """
        mine, theirs = self.last_id, other.last_id
        if theirs is None or (mine is not None and mine >= theirs):
            return False
        return self._bare or self._exchange_ns <= other._exchange_ns

    def trade_places(self, other: LocalBook) -> None:
        """Have what *other* has, and the other way around; counts stay with each."""
        for name in _CONTENT:
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, theirs)
            setattr(other, name, mine)
        self.epoch += 1

    def take_followers(self, other: LocalBook | None) -> list[BookDelta] | None:
        """The changes that wait in *other* for a snapshot, if they follow this book.

        They are taken out of it; some may be older than this book, and the next one
        may bridge what this book ends with, as after a snapshot. None when one is
        newer and none follows: then something is missing in between.
        """
        last = self.last_id
        if last is None or not self.valid:
            return None
        taken = [] if other is None else list(other._waiting)
        newer = follows = False
        for delta in taken:
            if delta.link_id is None or delta.last_id is None:
                return None
            newer = newer or delta.last_id > last
            follows = follows or delta.link_id <= last < delta.last_id
        if newer and not follows:
            return None
        self._bare = True
        return taken

    @property
    def usable(self) -> bool:
        """Whether consumers may see it."""
        return self.valid and not (self.crossed and self._settings.crossed_is_unusable)

    def top(self, count: int) -> tuple[list[RawLevel], list[RawLevel]]:
        """The best *count* bids and asks, best first, as the venue wrote them."""
        return self._bids.top(count), self._asks.top(count)

    def levels(self) -> tuple[list[RawLevel], list[RawLevel]]:
        """All bids and asks, best first."""
        return self.top(max(len(self._bids), len(self._asks)))

    def depth(self) -> tuple[int, int]:
        """Number of bids and of asks."""
        return len(self._bids), len(self._asks)

    def to_snapshot(self, count: int) -> BookSnapshot:
        """The best *count* levels as an event, with the times of the last one."""
        bids, asks = self.top(count)
        return BookSnapshot(
            self.stream,
            bids,
            asks,
            self.last_id,
            self._exchange_ns,
            self._received_ns,
        )

    def statistics(self) -> BookStatistics:
        """A copy of the counters."""
        absent = self._bids.absent_deletes + self._asks.absent_deletes
        return attrs.evolve(self._counts, absent_deletes=absent)

    def _replace(self, event: BookSnapshot) -> BookChange:
        last = self.last_id
        if (
            self.valid
            and last is not None
            and event.last_id is not None
            and event.last_id < last
            and event.exchange_ns <= self._exchange_ns + _SNAPSHOT_SLACK_NS
        ):
            self._counts.ignored += 1
            return BookChange.IGNORED
        if not self.valid or not self._bare:
            self.epoch += 1
        try:
            self._bids.replace(event.bids)
            self._asks.replace(event.asks)
        except ValueError as error:
            return self._malformed(error)
        self._counts.snapshots += 1
        self.last_id = event.last_id
        self._exchange_ns = event.exchange_ns
        self._received_ns = event.received_ns
        if not self._agrees(event.checksum):
            return BookChange.BROKEN
        was_broken, self._broken = self._broken, False
        self.valid = self._bare = True
        self.reason = ""
        self._note_crossed()
        self._splice()
        if not self.valid:
            return BookChange.BROKEN
        if was_broken:
            self._counts.resyncs += 1
        return BookChange.SNAPSHOT

    def _splice(self) -> None:
        """Bring the fresh snapshot forward by the deltas that came before it.

        When one of them is newer and does not follow, the book is known to be behind
        and breaks again; what may follow the next snapshot goes on waiting.
        """
        waiting = self._waiting
        self._spliced = spliced = []
        unlinked: list[BookDelta] = []
        while waiting:
            delta = waiting.popleft()
            link, last_id, last = delta.link_id, delta.last_id, self.last_id
            if link is None or last_id is None or last is None:
                self._counts.waiting_dropped += 1
            elif link == last or (self._bare and link <= last < last_id):
                self._change(delta)
                if not self.valid:
                    break
                spliced.append(delta)
            else:
                unlinked.append(delta)
        if not self.valid or any(map(self._is_newer, unlinked)):
            waiting.extendleft(reversed(unlinked))
            spliced.clear()
            if self.valid:
                self._chain_id = waiting[-1].last_id
                self._break(
                    f"expected a snapshot that {waiting[0].link_id} follows, found "
                    f"one at {self.last_id}"
                )
        else:
            self._counts.waiting_dropped += len(unlinked)

    def _is_newer(self, delta: BookDelta) -> bool:
        """Whether *delta*, which does not follow the book, tells of a later one.

        A higher id of an earlier time is from before the venue counted afresh.
        """
        last_id, last = delta.last_id, self.last_id
        slack_ns = _SNAPSHOT_SLACK_NS if self._bare else 0
        return (
            last_id is not None
            and last is not None
            and last_id > last
            and delta.exchange_ns + slack_ns >= self._exchange_ns
        )

    def _follow(self, link: int, last_id: int) -> None:
        """Check deltas against each other while there is no book to check with."""
        chain = self._chain_id
        if link != chain and chain is not None:
            if last_id <= chain:
                return
            self._counts.sequence_breaks += 1
        self._chain_id = last_id

    def _change(self, event: BookDelta) -> BookChange:
        try:
            self._bids.update(event.bids)
            self._asks.update(event.asks)
        except ValueError as error:
            return self._malformed(error)
        self._counts.updates += 1
        self.last_id = event.last_id
        self._exchange_ns = event.exchange_ns
        self._received_ns = event.received_ns
        self._bare = False
        if event.checksum is not None and not self._agrees(event.checksum):
            return BookChange.BROKEN
        self._note_crossed()
        return BookChange.APPLIED

    def _wait(self, event: BookDelta) -> BookChange:
        if event.link_id is not None:
            if len(self._waiting) == self._waiting.maxlen:
                self._counts.waiting_dropped += 1
            self._waiting.append(event)
        self._fold(event)
        return BookChange.INVALID

    def _fold(self, event: BookDelta) -> None:
        if not self._settings.fold_unproven:
            return
        try:
            self._bids.update(event.bids)
            self._asks.update(event.asks)
        except ValueError:
            self._counts.malformed += 1
        self._note_crossed()

    def _agrees(self, expected: int | None) -> bool:
        if expected is None or self._checksum is None:
            return True
        found = self._checksum(*self.top(self._settings.checksum_levels))
        if found is None:
            return True
        if found == expected:
            self._counts.checksum_pass += 1
            return True
        self._counts.checksum_fail += 1
        self._break(f"expected checksum {expected}, found {found}")
        return False

    def _note_crossed(self) -> None:
        bid, ask = self._bids.best(), self._asks.best()
        self.crossed = bid is not None and ask is not None and bid >= ask
        if self.crossed:
            self._counts.crossed += 1

    def _malformed(self, error: ValueError) -> BookChange:
        self._counts.malformed += 1
        self._break(f"expected levels of finite numbers, found {error}")
        return BookChange.BROKEN

    def _break(self, reason: str) -> None:
        self._broken = self._broken or self.valid
        self.valid = False
        self._bare = False
        self.reason = reason
