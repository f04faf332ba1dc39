"""What session, venue and core say to each other on one connection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import anyio.abc

from tapeline.clock import Now
from tapeline.errors import RequestFailed
from tapeline.model import (
    SUBSCRIBE,
    UNSUBSCRIBE,
    Acked,
    Action,
    Closing,
    Fetch,
    LoggedIn,
    Malformed,
    Missed,
    Recovery,
    Rejected,
    Response,
    Rotate,
    Send,
    Subscription,
)
from tapeline.transport.counters import Counters
from tapeline.transport.endings import DISCONNECT, STALL, Ending, recovery_of
from tapeline.transport.inbox import (
    FrameLost,
    StreamLost,
    StreamMissed,
    StreamOpened,
)
from tapeline.transport.outgoing import Outgoing
from tapeline.transport.owner import Owner
from tapeline.transport.receiver import Control, Receiver
from tapeline.transport.session_fetches import SessionFetches
from tapeline.transport.streams import Stream, StreamTable
from tapeline.transport.wiring import BoundLike, Wiring

_TICK_NS = 10**9
_IDLE_TICK_NS = 5 * 10**9
_GATHER_NS = 250 * 10**6
_RESYNC_RETRY_NS = 5 * 10**9
_NO_ANSWER = "no-answer"

REQUEST = "request"
FRAME = "frame"
ANSWER = "answer"

Value = TypeVar("Value")


class Dialog:
    """Replies, actions and the reconciliation of what is wanted.

    Args:
        number: of the connection.
        ready: False for private sessions, until they are logged in.
        unanswered: subscription → sockets on which the venue never answered for it.
    """

    def __init__(
        self,
        wiring: Wiring,
        session: BoundLike,
        number: int,
        ready: bool,
        counters: Counters,
        unanswered: dict[Subscription, int],
        owner: Owner,
    ) -> None:
        settings = wiring.settings
        self.ready = ready
        self.first_data_ns: int | None = None
        self.table = StreamTable(
            wiring.seams.random, settings.ack_timeout_s, settings.max_misses
        )
        self.budgets = wiring.rest.budgets.for_connection()
        self.outgoing = Outgoing(self.budgets, self._written)
        self._wiring = wiring
        self._session = session
        self._number = number
        self._counters = counters
        self._unanswered = unanswered
        self._owner = owner
        self._inbox = wiring.inbox
        self._rest = wiring.rest
        self._clock = wiring.seams.clock
        self._wake_at_ns: int | None = None
        self._ticked_ns: int | None = None
        self._calls = 0
        self._ticked_at = (-1, -1)
        self._resync_at_ns: dict[Subscription, int] = {}
        self._fetches = SessionFetches(
            self._rest, settings.max_fetches, self._answered, self._fetch_failed
        )
        control: Control = {
            Acked: self._acked,
            Rejected: self._rejected,
            LoggedIn: self._logged_in,
            Closing: self._closing,
            Malformed: self._malformed,
            Missed: self._missed,
            Send: self._send,
            Fetch: self._fetches.start,
            Rotate: self._rotate,
        }
        self.receiver = Receiver(
            self._clock,
            self._inbox,
            self.table,
            counters,
            session.parse,
            control,
            self._first_data,
            settings.max_errors_in_a_row,
            number,
        )

    # -- the connection's turns ------------------------------------------------

    def begin(self, tasks: anyio.abc.TaskGroup, now: Now) -> None:
        """The socket is open: say what the session wants to say first."""
        self._fetches.tasks = tasks
        self.receiver.heard_ns = now.monotonic_ns
        for subscription in self._unanswered:
            # What was never answered must not hold up the others again.
            delay_s = self._wiring.seams.random.uniform(1.0, 2.0)
            until_ns = now.monotonic_ns + int(delay_s * 1e9)
            self.table.postpone(subscription, until_ns, _no_answer(subscription))
        self.act(self.ask(self._session.opened, now) or ())

    def finish(self, ending: Ending) -> Recovery | None:
        """The socket ended: mark what was lost; the session's word on how to go on."""
        self._fetches.tasks = None
        for stream in self.table:
            self._lose(stream, ending.cause)
            self._inbox.carriers.closed(stream)
        return self.ask(self._session.closed, ending.code, ending.reason)

    def resync(self, subscription: Subscription) -> None:
        """Let the session start *subscription* afresh at the next turn."""
        self._resync_at_ns[subscription] = self._clock.monotonic_ns()

    def pending(self, subscription: Subscription) -> str:
        """What is under way for *subscription*: ``request``, ``frame``, ``answer``.

        A request or a frame may wait for a budget; empty when nothing is under way.
        """
        if subscription in self._fetches or subscription in self._resync_at_ns:
            return REQUEST
        if self.outgoing.holds(subscription):
            return FRAME
        stream = self.table.get(subscription)
        return ANSWER if stream is not None and stream.awaited else ""

    def resubscribe(self, subscriptions: Collection[Subscription], cause: str) -> None:
        """End *subscriptions* and ask for them anew, in as few frames as may be."""
        found = [self.table.get(subscription) for subscription in subscriptions]
        there = [
            stream
            for stream in found
            if stream and stream.wanted and stream.asked and not stream.leaving
        ]
        for stream in there:
            self._lose(stream, cause)
        if there:
            self._leave([stream.subscription for stream in there], self._rest.now())

    def turn(self, now: Now) -> None:
        """Whatever time or a change of what is wanted brings about."""
        self._check_answers(now.monotonic_ns)
        self._check_resyncs(now)
        if self.ready and not self.outgoing.steering:
            self._reconcile(now)
        due_ns = self._tick_ns()
        if due_ns is None or now.monotonic_ns >= due_ns:
            self._ticked_ns = now.monotonic_ns
            self._wake_at_ns = None
            tick = self.ask(self._session.tick, now)
            self._ticked_at = (self._calls, self._counters.frames)
            if tick is not None:
                self._wake_at_ns = tick.wake_at_ns
                self.act(tick.actions)

    def next_ns(self, now_ns: int) -> int:
        """When the next ``turn`` is due, if nothing happens before."""
        soonest = now_ns + (_IDLE_TICK_NS if self._idle else _TICK_NS)
        due = (self._tick_ns(), self.table.next_ns(now_ns))
        for at_ns in (*due, *self._resync_at_ns.values()):
            if at_ns is not None and at_ns < soonest:
                soonest = at_ns
        return soonest

    def ask(self, hook: Callable[..., Value], *arguments: object) -> Value | None:
        """Call a hook of the session; None when it failed."""
        self._calls += 1
        try:
            return hook(*arguments)
        except Exception as error:  # a bug of the adapter must not end the others
            self._counters.parse_errors += 1
            name = getattr(hook, "__name__", "a hook")
            reason = f"{name} raised {type(error).__name__}"
            self._counters.note_malformed(reason, str(error), self._clock.wall_ns())
            return None

    def act(self, actions: Sequence[Action]) -> None:
        """Do what the session asks for, in order."""
        for action in actions:
            if isinstance(action, Send):
                self._send(action)
            elif isinstance(action, Fetch):
                self._fetches.start(action)
            else:
                self._rotate(action)

    # -- what is wanted --------------------------------------------------------

    def _reconcile(self, now: Now) -> None:
        plan = self.table.plan(now.monotonic_ns)
        if plan.leave:
            self._leave(plan.leave, now)
        for group in plan.ask:
            actions = self.ask(self._session.subscribe, group, now)
            if actions is None:
                reason = "subscribe() of the session failed"
                self._owner.end(Ending(Recovery.BACK_OFF, reason))
                return
            self.table.mark_asked(group)
            self.act(actions)

    def _leave(self, subscriptions: Collection[Subscription], now: Now) -> None:
        unwanted = tuple(subscriptions)
        actions = self.ask(self._session.unsubscribe, unwanted, now) or ()
        framed: set[Subscription] = set()
        for action in actions:
            if isinstance(action, Send) and action.purpose == UNSUBSCRIBE:
                framed.update(action.subscriptions)
        self.table.mark_leaving(unwanted, framed)
        self.act(actions)

    def _check_answers(self, now_ns: int) -> None:
        for stream in self.table.late(now_ns):
            # It was there and was begun afresh: whether it still is, nobody knows.
            self._lose(stream, STALL)
        for stream in self.table.overdue(now_ns):
            subscription = stream.subscription
            if not stream.wanted:
                self._renew(f"no answer to what was sent to end {subscription}")
                continue
            times = self._unanswered.get(subscription, 0) + 1
            self._unanswered[subscription] = times
            if times == 1:
                self._renew(f"no answer to what was sent for {subscription}")
            else:
                # A new socket did not help: it is this stream, not the socket.
                refusal = _no_answer(subscription)
                self.table.set_aside(refusal, now_ns)
                self._inbox.put(refusal)
                self._owner.tell("rejected", _shown(refusal))

    def _renew(self, reason: str) -> None:
        """Another socket: with overlap where this one is of use to somebody."""
        if any(stream.flowing for stream in self.table):
            self._owner.replace(reason)
        else:
            self._owner.end(Ending(Recovery.RETRY, reason))

    def _check_resyncs(self, now: Now) -> None:
        waiting = self._resync_at_ns
        for subscription in [s for s, at in waiting.items() if at <= now.monotonic_ns]:
            del waiting[subscription]
            stream = self.table.get(subscription)
            if stream is not None and stream.wanted:
                self.act(self.ask(self._session.resync, subscription, now) or ())

    def _tick_ns(self) -> int | None:
        """When ``tick`` is due; None for at once."""
        if self._ticked_ns is None:
            return None
        due_ns = self._ticked_ns + (_IDLE_TICK_NS if self._idle else _TICK_NS)
        if self._wake_at_ns is None:
            return due_ns
        return min(due_ns, self._wake_at_ns)

    @property
    def _idle(self) -> bool:
        """Whether the session was told nothing since its last tick.

        Then nothing can have changed in it, and what it waits for it has named.
        """
        return self._ticked_at == (self._calls, self._counters.frames)

    # -- streams ---------------------------------------------------------------

    def _open(self, stream: Stream) -> None:
        stream.opened = True
        self._inbox.carriers.opened(stream)
        self._unanswered.pop(stream.subscription, None)
        mark = StreamOpened(stream.subscription, self._number, self._clock.wall_ns())
        self._inbox.put(mark)

    def _lose(self, stream: Stream, cause: str) -> None:
        if stream.wanted and stream.opened:
            stream.opened = stream.flowing = False
            self._inbox.put(
                StreamLost(
                    stream.subscription, self._number, cause, self._clock.wall_ns()
                )
            )

    def _first_data(self, stream: Stream) -> bool:
        if not self.table.data(stream):
            return False
        if not stream.opened:
            self._open(stream)
        if self.first_data_ns is None:
            self.first_data_ns = self.receiver.heard_ns
        self._owner.notify()
        return True

    # -- replies and actions, by type --------------------------------------------

    def _acked(self, reply: Acked) -> None:
        known = self.table.get(reply.subscription)
        was_open = known is not None and known.opened and not known.leaving
        if was_open and known is not None and not reply.active:
            self._lose(known, DISCONNECT)
        stream = self.table.acked(reply.subscription, reply.active)
        if stream is None:
            self._counters.unmatched += 1
        elif reply.active and stream.wanted and not stream.opened:
            self._open(stream)
        elif not reply.active:
            # Those that end together are asked for together.
            now_ns = self._clock.monotonic_ns()
            stream.ask_at_ns = now_ns - now_ns % _GATHER_NS + _GATHER_NS
        self._owner.poke()

    def _rejected(self, reply: Rejected) -> None:
        self._inbox.put(reply)
        self._owner.tell("rejected", _shown(reply))
        if reply.subscription is None:
            # Which one it was shows when its answer stays away.
            self._counters.unmatched += 1
            if not self.ready:
                recovery = Recovery.FATAL if reply.permanent else Recovery.BACK_OFF
                reason = f"login refused: {reply.code} {reply.reason}".rstrip()
                self._owner.end(Ending(recovery, reason))
            return
        known = self.table.get(reply.subscription)
        if known is not None:
            self._lose(known, DISCONNECT)
        if self.table.refused(reply, self._clock.monotonic_ns()) is None:
            self._counters.unmatched += 1
        self._owner.poke()
        self._owner.notify()

    def _logged_in(self, _: LoggedIn) -> None:
        self.ready = True
        self._owner.poke()

    def _closing(self, reply: Closing) -> None:
        self._owner.replace(reply.reason or "the venue will close the socket")

    def _rotate(self, action: Rotate) -> None:
        self._owner.replace(action.reason)

    def _malformed(self, reply: Malformed) -> None:
        wall_ns = self._clock.wall_ns()
        self._counters.note_malformed(reply.reason, reply.sample, wall_ns)
        self._inbox.put(reply)
        if reply.subscription is None:
            self._inbox.put(FrameLost(self._number, wall_ns))

    def _missed(self, reply: Missed) -> None:
        stream = self.table.get(reply.subscription)
        if stream is not None and stream.opened and stream.wanted:
            at_ns = self._clock.wall_ns()
            self._inbox.put(StreamMissed(reply.subscription, self._number, at_ns))

    def _send(self, send: Send) -> None:
        if send.purpose in (SUBSCRIBE, UNSUBSCRIBE):
            self.table.queued(send.subscriptions, send.purpose == UNSUBSCRIBE)
        self.outgoing.put((send,))

    def _written(self, send: Send) -> None:
        self.table.written(
            send.subscriptions,
            send.purpose == UNSUBSCRIBE,
            self._clock.monotonic_ns(),
        )
        self._owner.poke()

    # -- requests of the session -------------------------------------------------

    def _answered(self, response: Response) -> None:
        now = self._rest.now()
        items = self.ask(self._session.respond, response, now)
        if items:
            self.receiver.take(items, now.wall_ns, now.monotonic_ns)
        self._owner.poke()

    def _fetch_failed(self, fetch: Fetch, error: RequestFailed) -> None:
        """A session learns nothing of a failed request: its cause starts afresh."""
        self._counters.fetch_errors += 1
        if fetch.subscription is None:
            self._owner.end(Ending(recovery_of(error), str(error)))
            return
        at_ns = self._clock.monotonic_ns() + _RESYNC_RETRY_NS
        self._resync_at_ns.setdefault(fetch.subscription, at_ns)


def _no_answer(subscription: Subscription) -> Rejected:
    text = "the venue does not answer what is sent for it"
    return Rejected(subscription, _NO_ANSWER, text, permanent=False)


def _shown(reply: Rejected) -> str:
    about = "a request" if reply.subscription is None else str(reply.subscription)
    return f"{about}: {reply.code} {reply.reason}".rstrip()
