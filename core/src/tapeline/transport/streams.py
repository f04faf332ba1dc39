"""What one connection knows of its subscriptions, and what it should ask for next.

Pure: nothing here sends or waits. What is wanted is reconciled with what was asked
and confirmed, never replayed from what was once sent.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator, Sequence

import attrs

from tapeline.model import Rejected, Subscription, SubscriptionState

_REASK_BASE_S = 1.0
_REASK_CAP_S = 600.0


@attrs.define(eq=False)
class Stream:
    """One subscription on one connection.

    Args:
        wanted: part of the desired state.
        asked: a frame that asks for it is queued or written, or none is needed.
        tried: the venue may have it active, whatever it answered or did not.
        unsure: a frame that asked for it was never answered.
        leaving: a frame that ends it is queued or written, not confirmed.
        opened: confirmed by an ack or by data, and not ended since.
        silent: no data of it has come since it was asked for.
        flowing: opened, wanted and not silent: its data is passed on at once.
        shared: other connections have carried it too; its events name their own.
        awaited: a frame for it is queued or written that the venue has to confirm.
        deadline_ns: when the venue must have confirmed the frame; None if not due.
        ask_at_ns: not to be asked for before.
        misses: frames in a row that the venue left unanswered.
        patience: misses after which it counts as unanswered; None for the usual.
        refusals: times in a row that the venue refused it.
        rejected: the last refusal, while it stands.
    """

    subscription: Subscription
    wanted: bool = True
    asked: bool = False
    tried: bool = False
    unsure: bool = False
    leaving: bool = False
    opened: bool = False
    silent: bool = True
    flowing: bool = False
    shared: bool = False
    awaited: bool = False
    deadline_ns: int | None = None
    ask_at_ns: int | None = None
    misses: int = 0
    patience: int | None = None
    refusals: int = 0
    rejected: Rejected | None = None
    last_message_ns: int | None = None
    events: int = 0

    @property
    def state(self) -> SubscriptionState:
        """As shown in status."""
        if self.rejected is not None:
            return SubscriptionState.REJECTED
        if not self.opened:
            return SubscriptionState.REQUESTED
        return SubscriptionState.ACKED if self.silent else SubscriptionState.LIVE

    def reset(self) -> None:
        """As before it was ever asked for; counts stay."""
        self.asked = self.tried = self.leaving = False
        self.opened = self.flowing = False
        self.silent = True
        self.answered()

    def answered(self) -> None:
        """The venue owes no answer any more."""
        self.awaited = False
        self.deadline_ns = None


@attrs.frozen
class Plan:
    """What to ask the session for now.

    Args:
        ask: groups of subscriptions, one call of ``subscribe`` each.
        leave: subscriptions to end.
    """

    ask: Sequence[Sequence[Subscription]] = ()
    leave: Sequence[Subscription] = ()


class StreamTable:
    """All streams that one connection has ever carried.

    Args:
        ack_timeout_s: how long a venue may take to confirm a written frame.
        max_misses: unanswered frames after which a stream counts as unanswered.
    """

    def __init__(
        self, rng: random.Random, ack_timeout_s: float = 10.0, max_misses: int = 3
    ) -> None:
        self._streams: dict[Subscription, Stream] = {}
        self._rng = rng
        self._ack_timeout_ns = int(ack_timeout_s * 1e9)
        self._max_misses = max_misses

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._streams.values())

    def get(self, subscription: Subscription) -> Stream | None:
        """The stream of *subscription*, wanted or not."""
        return self._streams.get(subscription)

    def wanted(self) -> list[Stream]:
        """The streams that are wanted."""
        return [stream for stream in self if stream.wanted]

    def want(self, subscriptions: Collection[Subscription]) -> None:
        """Want exactly *subscriptions* from now on."""
        desired = set(subscriptions)
        for subscription, stream in self._streams.items():
            wanted = subscription in desired
            if wanted and not stream.wanted:
                stream.rejected = stream.patience = None
                stream.refusals = stream.misses = 0
                stream.ask_at_ns = None
            if stream.wanted and not wanted:
                stream.opened = stream.flowing = False
            stream.wanted = wanted
        for subscription in subscriptions:
            if subscription not in self._streams:
                self._streams[subscription] = Stream(subscription)

    def postpone(
        self, subscription: Subscription, until_ns: int, refusal: Rejected
    ) -> None:
        """Do not ask for *subscription* before *until_ns*: it was never answered.

        Until it is, it has no part in whether this connection is settled, and one
        more miss is enough.
        """
        stream = self._streams.get(subscription)
        if stream is not None:
            stream.ask_at_ns = until_ns
            stream.misses = 1
            stream.patience = 2
            stream.rejected = refusal

    def set_aside(self, refusal: Rejected, now_ns: int) -> None:
        """Ask for a stream that is never answered rarely, and one frame at a time."""
        stream = self.refused(refusal, now_ns)
        if stream is not None:
            stream.patience = 1

    def plan(self, now_ns: int) -> Plan:
        """What to ask for now, and what to end.

        Streams that were left unanswered are asked for in small groups, later
        alone, so that one bad symbol cannot hold the others back.
        """
        first: list[Subscription] = []
        again: list[Stream] = []
        leave: list[Subscription] = []
        for subscription, stream in self._streams.items():
            if stream.leaving:
                continue
            if not stream.wanted:
                if stream.tried and _due(stream, now_ns):
                    leave.append(subscription)
            elif not stream.asked and _due(stream, now_ns):
                if stream.rejected is not None and stream.rejected.permanent:
                    continue
                if stream.misses or stream.refusals:
                    again.append(stream)
                else:
                    first.append(subscription)
        groups = [first] if first else []
        groups += _groups(again)
        return Plan(groups, leave)

    def mark_asked(self, subscriptions: Collection[Subscription]) -> None:
        """The session was told to ask for these; it may need no frame for it."""
        for subscription in subscriptions:
            stream = self._streams[subscription]
            stream.reset()
            stream.asked = stream.tried = stream.awaited = True
            stream.ask_at_ns = None

    def mark_leaving(
        self, subscriptions: Collection[Subscription], framed: Collection[Subscription]
    ) -> None:
        """The session was told to end these; those not *framed* need no answer."""
        for subscription in subscriptions:
            stream = self._streams[subscription]
            stream.deadline_ns = None
            stream.ask_at_ns = None
            if subscription in framed:
                stream.leaving = stream.awaited = True
                stream.asked = stream.opened = stream.flowing = False
            else:
                stream.reset()

    def queued(self, subscriptions: Collection[Subscription], leaving: bool) -> None:
        """A frame for these is about to be written: an answer to it is due then.

        A session may end and ask for a stream that is there already, to begin it
        afresh; once it asks, data has to prove again that the stream is there.
        """
        for subscription in subscriptions:
            stream = self._streams.get(subscription)
            if stream is None or not stream.opened:
                continue
            stream.awaited = True
            stream.deadline_ns = None
            if not leaving:
                stream.silent = True
                stream.flowing = False

    def written(
        self, subscriptions: Collection[Subscription], leaving: bool, now_ns: int
    ) -> None:
        """A frame for these was really written: the venue's time runs from here."""
        for subscription in subscriptions:
            stream = self._streams.get(subscription)
            if stream is None or not stream.awaited:
                continue
            if leaving or not stream.leaving:
                stream.deadline_ns = now_ns + self._ack_timeout_ns

    def acked(self, subscription: Subscription, active: bool) -> Stream | None:
        """The venue confirmed; None when there is nothing that it could confirm."""
        stream = self._streams.get(subscription)
        if stream is None:
            return None
        if not active:
            if stream.leaving:
                stream.reset()
                stream.misses = 0
                stream.unsure = False
                return stream
            if stream.asked:
                # The venue ended it by itself: ask again, if it is still wanted.
                stream.reset()
                return stream
            return None
        if stream.leaving:
            return None
        stream.asked = stream.tried = True
        stream.answered()
        stream.ask_at_ns = None
        stream.rejected = stream.patience = None
        stream.misses = 0
        return stream

    def refused(self, reply: Rejected, now_ns: int) -> Stream | None:
        """The venue refused one stream; None when it is none of ours."""
        if reply.subscription is None:
            return None
        stream = self._streams.get(reply.subscription)
        if stream is None:
            return None
        leaving = stream.leaving
        stream.reset()
        if leaving:
            # It refuses to end what it does not have.
            stream.unsure = False
            return stream
        # An earlier frame that was never answered may have had its effect.
        stream.tried = stream.unsure
        stream.misses = 0
        stream.refusals += 1
        stream.rejected = reply
        stream.ask_at_ns = None
        if not reply.permanent:
            stream.ask_at_ns = now_ns + self._reask_ns(stream.refusals)
        return stream

    def data(self, stream: Stream) -> bool:
        """Data of a stream that was not flowing came; True when it flows from now on.

        Data proves that the stream is there, whatever became of the ack.
        """
        if stream.leaving or not stream.wanted:
            return False
        stream.silent = False
        stream.flowing = stream.asked = stream.tried = True
        stream.answered()
        stream.ask_at_ns = None
        stream.rejected = stream.patience = None
        stream.misses = stream.refusals = 0
        return True

    def late(self, now_ns: int) -> list[Stream]:
        """The streams whose answer should have come by *now_ns*."""
        return [
            stream
            for stream in self._streams.values()
            if stream.deadline_ns is not None and stream.deadline_ns <= now_ns
        ]

    def overdue(self, now_ns: int) -> list[Stream]:
        """Note every missed answer; the streams that have missed too many.

        What was missed is asked again after a growing delay.
        """
        lost: list[Stream] = []
        for stream in self.late(now_ns):
            stream.answered()
            stream.misses += 1
            stream.ask_at_ns = now_ns + self._reask_ns(stream.misses)
            stream.unsure = stream.unsure or stream.asked
            stream.asked = stream.leaving = False
            if stream.misses >= (stream.patience or self._max_misses):
                lost.append(stream)
        return lost

    def next_ns(self, now_ns: int) -> int | None:
        """When, after *now_ns*, ``overdue`` or ``plan`` has something new to say."""
        soonest: int | None = None
        for stream in self._streams.values():
            for at_ns in (stream.deadline_ns, stream.ask_at_ns):
                if at_ns is None or at_ns <= now_ns:
                    continue
                if soonest is None or at_ns < soonest:
                    soonest = at_ns
        return soonest

    def settled(self) -> bool:
        """True when every wanted stream has data or was refused."""
        return all(
            not stream.silent or stream.rejected is not None
            for stream in self._streams.values()
            if stream.wanted
        )

    def _reask_ns(self, times: int) -> int:
        bound_s = min(_REASK_CAP_S, _REASK_BASE_S * 2.0 ** min(times, 20))
        return int(self._rng.uniform(bound_s / 2, bound_s) * 1e9)


def _due(stream: Stream, now_ns: int) -> bool:
    return stream.ask_at_ns is None or stream.ask_at_ns <= now_ns


def _groups(streams: Sequence[Stream]) -> list[list[Subscription]]:
    once = [s.subscription for s in streams if s.misses == 1 and not s.refusals]
    groups = [[s.subscription] for s in streams if s.misses != 1 or s.refusals]
    if once:
        size = math.isqrt(len(once))
        groups += [once[at : at + size] for at in range(0, len(once), size)]
    return groups
