"""Gets invalid books a new snapshot: soon, within budgets, and not only once.

A break is answered at once by a resync of the session. When its snapshot does not
come it is asked again, each time after a longer pause; later the stream is
subscribed anew, and last its socket is dropped.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs

from tapeline.clock import Clock
from tapeline.logs import RateLimitedLog
from tapeline.model import Subscription
from tapeline.runtime.pipeline import SEQUENCE, StreamState

_FRAME = "frame"
_LOOK_NS = 250 * 10**6
_TOLD = 10
_TOLD_NS = 60 * 10**9


@attrs.frozen
class BookKeeperSettings:
    """How fast invalid books are asked for.

    Args:
        pause_s, longest_pause_s: least time between two asks for one book; the
            first, doubled with each ask up to the second.
        healthy_s: a book that stays valid for so long is asked for fast again.
        tries: asks of one kind before the next stronger one is used.
        resyncs, resyncs_per_s: at most so many in so many seconds, on one link.
        resyncs_an_hour: of one link; venues count frames over an hour. What is
            beyond one of these bounds is subscribed anew, many in one frame.
        gather_s: how long the first of a batch waits for others.
        batch_pause_s, longest_batch_pause_s: between two such batches of one link;
            the first, doubled with each batch up to the second.
        stuck_s: a socket whose frames wait so long for their budget is dropped.
    """

    pause_s: float = 2.0
    longest_pause_s: float = 60.0
    healthy_s: float = 60.0
    tries: int = 3
    resyncs: int = 20
    resyncs_per_s: float = 10.0
    resyncs_an_hour: int = 100
    gather_s: float = 1.0
    batch_pause_s: float = 10.0
    longest_batch_pause_s: float = 60.0
    stuck_s: float = 120.0


class BookLink(Protocol):
    """A link, as far as a keeper needs it."""

    name: str

    def resync(self, subscription: Subscription) -> None:
        """Let the session start a stream afresh."""

    def resubscribe_all(
        self, subscriptions: Sequence[Subscription], cause: str
    ) -> None:
        """End streams and ask for them anew."""

    def socket_of(self, subscription: Subscription) -> int | None:
        """Number of the line that carries a stream."""

    def drop_socket(self, number: int) -> None:
        """End the connection of one line and dial another."""

    def pending(self, subscription: Subscription) -> str:
        """What is under way for a stream: a request, a frame, an answer."""


@attrs.define(eq=False)
class _Book:
    """What is remembered of one book; all times monotonic.

    Args:
        tries: asks since it was valid last; they decide what is done next.
        pace: asks since it was healthy last; they decide how long to wait.
        due_ns: when it is asked for next; None while it is not subscribed.
        valid_ns: since when it is valid; None while it is not.
        stuck_ns: since when its frame waits; None while it does not.
        drops: times that its socket was dropped for it, since it was valid.
    """

    tries: int = 0
    pace: int = 0
    asked_ns: int | None = None
    due_ns: int | None = None
    valid_ns: int | None = None
    stuck_ns: int | None = None
    drops: int = 0


@attrs.define(eq=False)
class _Pace:
    """What one link was asked for lately; all times monotonic."""

    resyncs_ns: deque[int] = attrs.field(factory=deque)
    gather_ns: int | None = None
    batches: int = 0
    batch_ns: int | None = None


class BookKeeper:
    """Looks after the books of all streams of an engine; synchronous.

    Args:
        streams: of the pipeline, read at each look.
        links: those that carry a stream.
    """

    def __init__(
        self,
        streams: Mapping[Subscription, StreamState],
        links: Callable[[Subscription], Sequence[BookLink]],
        clock: Clock,
        settings: BookKeeperSettings | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.resyncs = 0
        self.resubscribed = 0
        self.dropped = 0
        self._streams = streams
        self._links = links
        self._clock = clock
        self._settings = settings or BookKeeperSettings()
        self._log = RateLimitedLog(logger or logging.getLogger("tapeline.books"), clock)
        self._books: dict[Subscription, _Book] = {}
        self._paces: dict[str, _Pace] = {}
        self._looked_ns: int | None = None
        self._told_ns: deque[int] = deque(maxlen=_TOLD)

    def broke(self, subscription: Subscription) -> None:
        """The book of *subscription* has just become invalid: ask for another."""
        state = self._streams.get(subscription)
        if state is None or state.book is None:
            return
        now_ns = self._clock.monotonic_ns()
        book = self._books.setdefault(subscription, _Book())
        self._rest(book, now_ns)
        book.valid_ns = None
        book.due_ns = max(now_ns, self._next_ns(book, now_ns))
        self._log.warning(
            self._log_key(subscription, now_ns),
            "the book of %s is invalid and is asked for anew: %s",
            subscription,
            state.book.reason,
        )
        self._act([subscription], now_ns, batch=False)

    def look(self) -> None:
        """Ask for every book that is invalid too long; call it often."""
        now_ns = self._clock.monotonic_ns()
        if self._looked_ns is not None and now_ns - self._looked_ns < _LOOK_NS:
            return
        self._looked_ns = now_ns
        due: list[Subscription] = []
        for subscription, state in self._streams.items():
            if state.book is None:
                continue
            book = self._books.get(subscription)
            if state.book.valid:
                if book is not None:
                    self._recovered(book, now_ns)
                continue
            if book is None:
                book = self._books[subscription] = _Book()
            book.valid_ns = None
            if not state.sources:
                book.due_ns = book.stuck_ns = None
            elif book.due_ns is None:
                # Subscribed just now: its snapshot is on its way.
                book.due_ns = now_ns + self._pause_ns(book)
            elif book.due_ns <= now_ns:
                due.append(subscription)
        if due:
            self._act(due, now_ns, batch=True)

    def status(self) -> dict[str, dict[str, object]]:
        """How each book is, by stream; JSON-ready.

        ``age_s`` is the time since its last change, ``asked`` counts how often it
        was asked for since it was valid last, ``carried`` tells whether a connection
        brings it, ``standbys`` whether the books of further connections are valid.
        """
        wall_ns = self._clock.wall_ns()
        shown: dict[str, dict[str, object]] = {}
        for subscription, state in self._streams.items():
            if state.book is None:
                continue
            local, counts = state.book, state.book.statistics()
            known = self._books.get(subscription)
            age_s = (wall_ns - local.received_ns) / 1e9 if local.received_ns else None
            shown[str(subscription)] = {
                "valid": local.valid,
                "epoch": local.epoch,
                "reason": local.reason,
                "crossed": local.crossed,
                "resyncs": counts.resyncs,
                "sequence_breaks": counts.sequence_breaks,
                "checksum_fail": counts.checksum_fail,
                "age_s": age_s,
                "asked": 0 if known is None or local.valid else known.tries,
                "carried": bool(state.sources),
                "standbys": {
                    str(connection): standby.valid
                    for connection, standby in state.standbys.items()
                },
            }
        return shown

    def _log_key(self, subscription: Subscription, now_ns: int) -> str:
        """One for each book, and one for all others when many break at a time."""
        told_ns = self._told_ns
        if len(told_ns) == _TOLD and now_ns - told_ns[0] < _TOLD_NS:
            return "other books"
        told_ns.append(now_ns)
        return str(subscription)

    # -- what is due ------------------------------------------------------------

    def _act(self, due: Sequence[Subscription], now_ns: int, *, batch: bool) -> None:
        """Do for each book of *due* what its turn is; what finds no room stays due."""
        batches: dict[str, tuple[BookLink, list[Subscription]]] = {}
        for subscription in due:
            book = self._books[subscription]
            links = self._links(subscription)
            if book.due_ns is None or book.due_ns > now_ns or not links:
                continue
            if self._waits(subscription, book, links, now_ns):
                continue
            tries = self._settings.tries
            if book.tries >= 2 * tries * 2**book.drops:
                self._drop(subscription, links)
                book.drops = min(book.drops + 1, 8)
                self._asked(book, now_ns)
                continue
            single = book.tries < tries and all(
                self._has_room(self._pace_of(link), now_ns) for link in links
            )
            for link in links:
                if single:
                    self._pace_of(link).resyncs_ns.append(now_ns)
                    self.resyncs += 1
                    link.resync(subscription)
                elif batch:
                    batches.setdefault(link.name, (link, []))[1].append(subscription)
            if single:
                self._asked(book, now_ns)
        for link, subscriptions in batches.values():
            self._resubscribe(link, subscriptions, now_ns)

    def _waits(
        self,
        subscription: Subscription,
        book: _Book,
        links: Sequence[BookLink],
        now_ns: int,
    ) -> bool:
        """Whether what was asked before is still under way, which is no failure."""
        waiting = {link.pending(subscription) for link in links} - {""}
        if not waiting:
            book.stuck_ns = None
            return False
        if waiting == {_FRAME}:
            if book.stuck_ns is None:
                book.stuck_ns = now_ns
            elif now_ns - book.stuck_ns >= self._settings.stuck_s * 1e9:
                # A new socket begins with budgets of its own.
                book.stuck_ns = None
                self._drop(subscription, links)
        book.due_ns = now_ns + int(self._settings.pause_s * 1e9)
        return True

    def _resubscribe(
        self, link: BookLink, subscriptions: Sequence[Subscription], now_ns: int
    ) -> None:
        settings = self._settings
        pace = self._pace_of(link)
        if pace.gather_ns is None:
            pace.gather_ns = now_ns
        if now_ns - pace.gather_ns < settings.gather_s * 1e9:
            return
        if pace.batch_ns is not None:
            since_s = (now_ns - pace.batch_ns) / 1e9
            bound_s = settings.batch_pause_s * 2.0 ** min(pace.batches - 1, 10)
            if since_s < min(bound_s, settings.longest_batch_pause_s):
                return
            if since_s >= 10 * settings.longest_batch_pause_s:
                pace.batches = 0
        pace.batches += 1
        pace.batch_ns, pace.gather_ns = now_ns, None
        self.resubscribed += len(subscriptions)
        link.resubscribe_all(subscriptions, SEQUENCE)
        for subscription in subscriptions:
            book = self._books[subscription]
            if book.asked_ns != now_ns:  # another link carries it, too
                self._asked(book, now_ns)

    def _drop(self, subscription: Subscription, links: Sequence[BookLink]) -> None:
        for link in links:
            number = link.socket_of(subscription)
            if number is not None:
                self.dropped += 1
                self._log.warning(
                    f"{link.name} {number}",
                    "%s: socket %d is dropped, as it gives no snapshot of %s",
                    link.name,
                    number,
                    subscription,
                )
                link.drop_socket(number)

    # -- pace -------------------------------------------------------------------

    def _pace_of(self, link: BookLink) -> _Pace:
        return self._paces.setdefault(link.name, _Pace())

    def _has_room(self, pace: _Pace, now_ns: int) -> bool:
        settings = self._settings
        asked = pace.resyncs_ns
        while asked and asked[0] <= now_ns - 3600 * 10**9:
            asked.popleft()
        edge_ns = now_ns - int(settings.resyncs_per_s * 1e9)
        recent = len(asked) >= settings.resyncs and asked[-settings.resyncs] > edge_ns
        return not recent and len(asked) < settings.resyncs_an_hour

    def _asked(self, book: _Book, now_ns: int) -> None:
        book.tries += 1
        book.pace += 1
        book.asked_ns = now_ns
        book.due_ns = now_ns + self._pause_ns(book)

    def _next_ns(self, book: _Book, now_ns: int) -> int:
        return now_ns if book.asked_ns is None else book.asked_ns + self._pause_ns(book)

    def _pause_ns(self, book: _Book) -> int:
        settings = self._settings
        bound_s = settings.pause_s * 2.0 ** min(max(0, book.pace - 1), 10)
        return int(min(bound_s, settings.longest_pause_s) * 1e9)

    def _recovered(self, book: _Book, now_ns: int) -> None:
        if book.valid_ns is None:
            book.valid_ns = now_ns
            book.tries = book.drops = 0
            book.due_ns = book.stuck_ns = None
        self._rest(book, now_ns)

    def _rest(self, book: _Book, now_ns: int) -> None:
        """Forget the pace of a book that has been healthy for long."""
        healthy_ns = int(self._settings.healthy_s * 1e9)
        if book.valid_ns is not None and now_ns - book.valid_ns >= healthy_ns:
            book.pace = 0
