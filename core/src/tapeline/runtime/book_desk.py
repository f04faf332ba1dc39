"""The books of all streams: one per connection, of which one is published.

Consumers follow one connection at a time. Another one takes over when the first
is lost or breaks, as soon as its own book is right and not older; what two of them
send is never mixed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tapeline.integrity import BookChange, BookSettings, LocalBook, StreamLedger
from tapeline.model import BookDelta, BookSnapshot, RawMessage
from tapeline.runtime.stream_state import Output, StreamState

SEQUENCE = "sequence"
"""Cause of the gap from a break in a book's chain to its next snapshot."""

Checksum = Callable[[Any, Any], int | None]
BookEvent = BookSnapshot | BookDelta


class BookDesk:
    """Brings books forward and gives out what consumers may see of them.

    Args:
        ledger: continuity of all streams.
        raw_message: makes the record of an event's own text.
        sample_ns: least time between two stored snapshots of one book.
        depth: levels a side of stored snapshots.
    """

    def __init__(
        self,
        ledger: StreamLedger,
        raw_message: Callable[[Any], RawMessage],
        *,
        sample_ns: int,
        depth: int,
        settings: BookSettings,
    ) -> None:
        self.shed = 0
        self._ledger = ledger
        self._raw_message = raw_message
        self._sample_ns = sample_ns
        self._depth = depth
        self._settings = settings
        self._out = Output()
        self._now_ns = 0
        self._shedding = False

    def begin(self, out: Output, now_ns: int, shedding: bool) -> None:
        """Everything from here on goes to *out*; nothing is stored if *shedding*."""
        self._out, self._now_ns, self._shedding = out, now_ns, shedding

    def new_book(self, state: StreamState, checksum: Checksum | None) -> LocalBook:
        """An empty book of a stream."""
        return LocalBook(state.subscription, checksum, self._settings)

    # -- events -----------------------------------------------------------------

    def take(
        self, state: StreamState, event: BookEvent, connection: int | None = None
    ) -> None:
        """Take *event*, which came over *connection*; None for the only one."""
        # hot path
        state.received += 1
        book = state.book
        if book is None:
            self._take_whole(state, event)
            return
        if connection is not None and connection != state.publisher:
            if state.publisher is not None or state.standbys:
                self._take_aside(state, book, event, connection)
                return
            state.publisher = connection
        self._publish(state, book, event)

    def _take_whole(self, state: StreamState, event: BookEvent) -> None:
        """A book that is sent whole each time: there is nothing to bring forward."""
        self._note(state, event)
        if (
            self._keep(state, event)
            and event.__class__ is BookSnapshot
            and event.received_ns - state.sampled_ns >= self._sample_ns
        ):
            state.sampled_ns = event.received_ns
            self._out.journal.append(event)

    def _note(self, state: StreamState, event: BookEvent) -> None:
        state.last = event
        if state.raw and event.raw is not None and not self._shedding:
            self._out.journal.append(self._raw_message(event))

    def _keep(self, state: StreamState, event: BookEvent) -> bool:
        """Give *event* out; True when the journal may have what follows from it."""
        out = self._out
        out.live.append(event)
        if self._shedding:
            self.shed += 1
            self._ledger.shed(event.stream, self._now_ns)
            return False
        if not state.take(event, self._now_ns, out.journal):
            return False
        state.accepted += 1
        return True

    def _publish(self, state: StreamState, book: LocalBook, event: BookEvent) -> None:
        """Bring the book forward; only what a valid book has is given out.

        So consumers see a snapshot, then changes without a break; after a break
        nothing, until the next snapshot. What is not given out is in a gap.
        """
        self._note(state, event)
        change = book.apply(event)
        if change is BookChange.BROKEN:
            self._broke(state, book)
            return
        if not book.valid:
            if self._settings.fold_unproven:
                self._out.live.append(event)
            return
        if change is BookChange.IGNORED:
            return
        kept = self._keep(state, event)
        if change is BookChange.SNAPSHOT:
            for delta in book.take_spliced():
                self._keep(state, delta)
        if kept:
            self._sample(state, book)

    def _sample(self, state: StreamState, book: LocalBook) -> None:
        if book.usable and self._now_ns - state.sampled_ns >= self._sample_ns:
            state.sampled_ns = self._now_ns
            self._out.journal.append(book.to_snapshot(self._depth))

    def _take_aside(
        self, state: StreamState, book: LocalBook, event: BookEvent, connection: int
    ) -> None:
        """Bring a book forward that nobody sees; it may be the next to be seen."""
        standby = state.standbys.get(connection)
        if standby is None:
            standby = state.standbys[connection] = book.fresh()
        change = standby.apply(event)
        if change is BookChange.SNAPSHOT:
            standby.take_spliced()
        elif change is BookChange.BROKEN:
            self._out.broken_standbys.append((state.subscription, connection))
            if state.publisher is None:
                self._elect(state, book, SEQUENCE, self._now_ns)
                return
        if not book.valid:
            self._switch(state, book)

    # -- who publishes ----------------------------------------------------------

    def opened(self, state: StreamState, connection: int) -> None:
        """*connection* carries the stream from now on."""
        if state.publisher is None and not state.standbys:
            state.publisher = connection

    def gone(self, state: StreamState, connection: int, cause: str, at_ns: int) -> None:
        """*connection* carries the stream no more; its sources say so already."""
        book = state.book
        state.standbys.pop(connection, None)
        if book is None:
            return
        if not state.sources:
            state.publisher = None
            state.standbys.clear()
            self._ledger.lost(state.subscription, cause, at_ns)
            book.invalidate(cause)
        elif state.publisher in (connection, None):
            state.publisher = None
            self._elect(state, book, cause, at_ns)

    def missed(self, state: StreamState, connection: int) -> None:
        """*connection* lost messages of the stream: its book is not the venue's."""
        book = state.book
        if book is None:
            return
        if state.publisher not in (connection, None):
            standby = state.standbys.get(connection)
            if standby is not None and standby.valid:
                standby.invalidate(SEQUENCE)
                self._out.broken_standbys.append((state.subscription, connection))
        elif book.valid:
            book.invalidate(SEQUENCE)
            self._broke(state, book)

    def _broke(self, state: StreamState, book: LocalBook) -> None:
        publisher = state.publisher
        if self._switch(state, book):
            if publisher is not None:
                stream = state.subscription
                self._out.broken_standbys.append((stream, publisher))
            return
        self._ledger.lost(state.subscription, SEQUENCE, self._now_ns)
        self._out.broken_books.append(state.subscription)
        if self._settings.fold_unproven and state.last is not None:
            self._out.live.append(state.last)

    def _elect(
        self, state: StreamState, book: LocalBook, cause: str, at_ns: int
    ) -> None:
        """Find out who publishes a stream that several connections still carry."""
        if self._switch(state, book) or self._graft(state, book):
            return
        if any(standby.valid for standby in state.standbys.values()):
            # It has everything, and will have come as far in a moment.
            return
        self._ledger.lost(state.subscription, cause, at_ns)
        book.invalidate(cause)
        state.publisher = min(state.sources)
        standby = state.standbys.pop(state.publisher, None)
        if standby is not None:
            book.trade_places(standby)

    def _switch(self, state: StreamState, book: LocalBook) -> bool:
        """Publish another connection's book, if one is right and not older."""
        ready = (
            connection
            for connection, standby in state.standbys.items()
            if standby.valid and not standby.is_older_than(book)
        )
        connection = next(ready, None)
        if connection is None:
            return False
        standby = state.standbys.pop(connection)
        before, state.publisher = state.publisher, connection
        book.trade_places(standby)
        if before is not None and before in state.sources:
            state.standbys[before] = standby
        if self._keep(state, book.to_snapshot(max(book.depth()))):
            self._sample(state, book)
        return True

    def _graft(self, state: StreamState, book: LocalBook) -> bool:
        """Go on with another connection's changes, where they follow the book.

        To them it is what a snapshot from elsewhere would be: what is older than it
        has no effect, and a hole breaks it. So one that is behind just catches up.
        """
        standbys = state.standbys
        for connection in sorted(
            state.sources,
            key=lambda one: (one not in standbys or not standbys[one].valid, one),
        ):
            deltas = book.take_followers(standbys.get(connection))
            if deltas is None:
                continue
            state.standbys.pop(connection, None)
            state.publisher = connection
            for delta in deltas:
                self._publish(state, book, delta)
            return True
        return False
