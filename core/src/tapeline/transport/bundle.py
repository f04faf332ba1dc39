"""The lines of one packed socket: one, or two that carry the same streams.

Two lines live on their own: each dials, backs off and is replaced by itself, and
never both are replaced at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import anyio
import attrs

from tapeline.model import Route, Subscription
from tapeline.model import SubscriptionState as State
from tapeline.transport.endings import STALL
from tapeline.transport.line import Line
from tapeline.transport.status import SocketStatus, SubscriptionStatus
from tapeline.transport.wiring import Wiring

_COMPARE_S = 5.0
_BEHIND_EVENTS = 20
_BEHIND_NS = 10 * 10**9
_AGAIN_NS = 600 * 10**9

_BEST_LAST = (
    State.DISCONNECTED,
    State.REJECTED,
    State.REQUESTED,
    State.ACKED,
    State.LIVE,
)
_STATES = ("failed", "closed", "idle", "backing-off", "dialing", "closing", "open")


@attrs.define(eq=False)
class _Behind:
    """Since when one line brings nothing of a stream that the other one brings.

    Args:
        events, others: counted then, of this line and of the other.
        acted_ns: when something was done about it last.
    """

    connection: int | None
    events: int
    others: int
    since_ns: int
    acted_ns: int | None = None


class Bundle:
    """What a link sees as one socket.

    Args:
        number: of the packed socket.
        copies: lines that carry all of its streams.
        next_connection: gives the number of a new connection.
        tell: told ``(kind, number, copy, detail)`` of what observers should know.
    """

    def __init__(
        self,
        wiring: Wiring,
        number: int,
        route: Route,
        copies: int,
        next_connection: Callable[[], int],
        tell: Callable[[str, int, int, str], None],
    ) -> None:
        self.number = number
        self.route = route
        self.behind = 0
        self._clock = wiring.seams.clock
        self._tell = tell
        self._wanted: Sequence[Subscription] = ()
        self._behind: dict[tuple[int, Subscription], _Behind] = {}
        self.lines = [
            Line(wiring, number, route, next_connection, self._teller(copy), copy)
            for copy in range(1, copies + 1)
        ]
        for line in self.lines:
            line.others = [other for other in self.lines if other is not line]

    def _teller(self, copy: int) -> Callable[[str, int, str], None]:
        return lambda kind, number, detail: self._tell(kind, number, copy, detail)

    # -- what the link calls ----------------------------------------------------

    def want(self, subscriptions: Collection[Subscription]) -> None:
        """Want exactly *subscriptions* from now on, on each line."""
        self._wanted = tuple(subscriptions)
        for line in self.lines:
            line.want(subscriptions)

    def connections(self) -> set[int]:
        """Numbers of the connections that may still carry something."""
        return set().union(*(line.connections() for line in self.lines))

    def drop(self, reason: str, cause: str) -> None:
        """End the connection that has been silent for longest; it is dialed again.

        One at a time, so that neighbors go on over the other.
        """
        min(self.lines, key=lambda line: line.data_ns).drop(reason, cause)

    def replace(self, reason: str) -> None:
        """Have each connection replaced by another, with overlap."""
        for line in self.lines:
            line.replace(reason)

    def resync(self, subscription: Subscription, connection: int | None) -> None:
        """Let sessions start *subscription* afresh: all, or that of *connection*."""
        for line in self.lines:
            line.resync(subscription, connection)

    def resubscribe(self, subscriptions: Collection[Subscription], cause: str) -> None:
        """End *subscriptions* and ask for them anew, on the same sockets."""
        for line in self.lines:
            line.resubscribe(subscriptions, cause)

    def pending(self, subscription: Subscription) -> str:
        """What is under way for *subscription*, as its connections say."""
        found = (line.pending(subscription) for line in self.lines)
        return next((what for what in found if what), "")

    def close(self) -> None:
        """Close for good; ``run`` returns soon."""
        for line in self.lines:
            line.close()

    async def run(self) -> None:
        """Keep a connection of each line alive until ``close`` or cancellation."""
        if len(self.lines) == 1:
            await self.lines[0].run()
            return
        async with anyio.create_task_group() as helpers:
            helpers.start_soon(self._compare)
            async with anyio.create_task_group() as tasks:
                for line in self.lines:
                    tasks.start_soon(line.run)
            helpers.cancel_scope.cancel()

    async def _compare(self) -> None:
        while True:
            for line in self.lines:
                for other in line.others:
                    self._check(line, other)
            await self._clock.sleep(_COMPARE_S)

    def _check(self, line: Line, other: Line) -> None:
        """Begin streams afresh that only *other* brings; twice: the whole socket."""
        now_ns = self._clock.monotonic_ns()
        late: list[Subscription] = []
        for subscription in self._wanted:
            mine, theirs = line.stream(subscription), other.stream(subscription)
            if mine is None or theirs is None or not mine.asked:
                continue
            key = (line.copy, subscription)
            known = self._behind.get(key)
            if known is None or known.connection != line.connection:
                self._behind[key] = _Behind(
                    line.connection, mine.events, theirs.events, now_ns
                )
            elif known.events != mine.events or known.others > theirs.events:
                known.events, known.others = mine.events, theirs.events
                known.since_ns = now_ns
            elif (
                theirs.events - known.others >= _BEHIND_EVENTS
                and now_ns - known.since_ns >= _BEHIND_NS
            ):
                self.behind += 1
                if known.acted_ns is not None and now_ns - known.acted_ns < _AGAIN_NS:
                    line.drop(f"it brings nothing of {subscription}", STALL)
                    return
                known.acted_ns = known.since_ns = now_ns
                known.others = theirs.events
                late.append(subscription)
        if late:
            line.resubscribe(late, STALL)

    # -- status -----------------------------------------------------------------

    @property
    def failed(self) -> str:
        """Why none of the lines goes on; empty while one does."""
        reasons = [line.failed for line in self.lines]
        return reasons[0] if all(reasons) else ""

    @property
    def attempts(self) -> int:
        """Failures in a row of the line that is better off."""
        return min(line.attempts for line in self.lines)

    @property
    def last_error(self) -> str:
        """Of the line that is worse off."""
        return max(self.lines, key=lambda line: line.attempts).last_error

    @property
    def reconnects(self) -> int:
        """Sockets that were opened again."""
        return sum(line.counters.reconnects for line in self.lines)

    @property
    def frames(self) -> int:
        """Frames received on all lines."""
        return sum(line.counters.frames for line in self.lines)

    @property
    def state(self) -> str:
        """Of the line that is better off."""
        return max((line.state for line in self.lines), key=_STATES.index)

    def status(self) -> list[SocketStatus]:
        """How each line is."""
        return [line.status() for line in self.lines]

    def subscriptions(self) -> list[SubscriptionStatus]:
        """How each wanted stream is, over all lines."""
        return [self.subscription(one) for one in self._wanted]

    def subscription(self, subscription: Subscription) -> SubscriptionStatus:
        """How one wanted stream is: as on the best line, with the events of all."""
        first, *others = [line.subscription(subscription) for line in self.lines]
        for one in others:
            best = max(first, one, key=lambda each: _BEST_LAST.index(each.state))
            ages = [each.age_s for each in (first, one) if each.age_s is not None]
            times = [
                each.last_message_ns
                for each in (first, one)
                if each.last_message_ns is not None
            ]
            first = attrs.evolve(
                best,
                events=first.events + one.events,
                age_s=min(ages, default=None),
                last_message_ns=max(times, default=None),
            )
        return first
