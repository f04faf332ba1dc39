"""One place for a socket: keeps one open, replaces it with overlap, dials again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence

import anyio
import anyio.abc

from tapeline.backoff import Backoff
from tapeline.errors import TapelineError
from tapeline.model import (
    Recovery,
    Route,
    Subscription,
)
from tapeline.transport.connection import Connection
from tapeline.transport.counters import Counters
from tapeline.transport.endings import DOWNTIME, ROTATION, Ending, delay_s
from tapeline.transport.histories import Histories
from tapeline.transport.rotation import is_behind
from tapeline.transport.status import SocketStatus, SubscriptionStatus
from tapeline.transport.streams import Stream
from tapeline.transport.wiring import Wiring

_LOOK_EVERY_S = 10.0
_LOOK_SOON_S = 0.5
_CRASHES_AN_HOUR = 5
_HOUR_NS = 3600 * 10**9


class Line:
    """Supervises the connections of one packed socket.

    Args:
        number: of the line; stays the same over reconnects.
        next_connection: gives the number of a new connection.
        tell: told ``(kind, number, detail)`` of what observers should know.
        copy: 1, or 2 for the second of two lines that carry the same streams.
    """

    def __init__(
        self,
        wiring: Wiring,
        number: int,
        route: Route,
        next_connection: Callable[[], int],
        tell: Callable[[str, int, str], None],
        copy: int = 1,
    ) -> None:
        self.number = number
        self.copy = copy
        self.others: Sequence[Line] = ()
        self.route = route
        self.counters = Counters()
        self.attempts = 0
        self.last_error = ""
        self.failed = ""
        self.running = False
        self._wiring = wiring
        self._clock = wiring.seams.clock
        self._next_connection = next_connection
        self._tell = tell
        self._wanted: tuple[Subscription, ...] = ()
        self._current: Connection | None = None
        self._replacement: Connection | None = None
        self._retired: list[Connection] = []
        self._unanswered: dict[Subscription, int] = {}
        self._histories = Histories(number)
        self._crashes_ns: deque[int] = deque(maxlen=_CRASHES_AN_HOUR)
        self._backoff = self._new_backoff()
        self._closing = self._closed = False
        self._changed = anyio.Event()
        self._dial_at_ns: int | None = None
        self._replace_at_ns: int | None = None
        self._waits_since_ns: int | None = None

    # -- what the link calls ---------------------------------------------------

    def want(self, subscriptions: Collection[Subscription]) -> None:
        """Want exactly *subscriptions* from now on."""
        self._wanted = tuple(subscriptions)
        for subscription in set(self._unanswered).difference(self._wanted):
            del self._unanswered[subscription]
        for connection in self._connections():
            connection.want(self._wanted)

    def connections(self) -> set[int]:
        """Numbers of the connections that may still carry something."""
        return {one.number for one in (*self._connections(), *self._retired)}

    def drop(self, reason: str, cause: str) -> None:
        """End the present connection; another one is dialed."""
        if self._current is not None:
            ending = Ending(Recovery.RETRY, reason, cause, on_purpose=True)
            self._current.end(ending)

    def replace(self, reason: str) -> None:
        """Have the present connection replaced by another, with overlap."""
        if self._current is not None:
            self._current.replace(reason)

    def resync(self, subscription: Subscription, connection: int | None = None) -> None:
        """Let sessions start *subscription* afresh: all, or that of *connection*."""
        for one in self._connections():
            if connection is None or one.number == connection:
                one.resync(subscription)

    def stream(self, subscription: Subscription) -> Stream | None:
        """*subscription* on the present connection; None while that is not open."""
        current = self._current
        if current is None or not current.open:
            return None
        return current.dialog.table.get(subscription)

    @property
    def connection(self) -> int | None:
        """Number of the present connection; None between two."""
        return None if self._current is None else self._current.number

    @property
    def data_ns(self) -> int:
        """When data came last on the present connection, monotonic; else 0."""
        current = self._current
        return 0 if current is None else current.dialog.receiver.data_ns or 0

    @property
    def rotates_at_ns(self) -> int | None:
        """When the present connection is replaced, monotonic; None if never."""
        return None if self._current is None else self._current.rotates_at_ns

    @property
    def replacing(self) -> bool:
        """Whether a connection is about to take over from another."""
        return self._replacement is not None

    def resubscribe(self, subscriptions: Collection[Subscription], cause: str) -> None:
        """End *subscriptions* and ask for them anew, on the same socket."""
        if self._current is not None:
            self._current.resubscribe(subscriptions, cause)

    def pending(self, subscription: Subscription) -> str:
        """What is under way for *subscription*, as its connections say."""
        found = (one.dialog.pending(subscription) for one in self._connections())
        return next((what for what in found if what), "")

    def close(self) -> None:
        """Close; ``run`` returns soon, also one that has not begun."""
        self._closing = True
        self._changed.set()

    async def run(self) -> None:
        """Keep one connection alive until ``close`` or cancellation."""
        self.failed = ""
        self._backoff = self._new_backoff()
        self._dial_at_ns = self._replace_at_ns = None
        self.running = True
        try:
            async with anyio.create_task_group() as tasks:
                while not self._closing:
                    self._look(tasks)
                    # Without a delay the line has failed and waits to be closed.
                    with anyio.move_on_after(self._delay_s()):
                        await self._changed.wait()
                    self._changed = anyio.Event()
                for connection in self._connections():
                    connection.end(Ending(Recovery.RETRY, "stopped", DOWNTIME))
        finally:
            for connection in (*self._connections(), *self._retired):
                self._bury(connection)
            self._current = self._replacement = None
            self._retired.clear()
            self.running = False
            self._closed, self._closing = self._closing, False

    # -- supervision -----------------------------------------------------------

    def _look(self, tasks: anyio.abc.TaskGroup) -> None:
        now_ns = self._clock.monotonic_ns()
        self._note_data()
        for old in [one for one in self._retired if one.state == "closed"]:
            self._retired.remove(old)
            self._bury(old)
        current = self._current
        if current is not None and current.state == "closed":
            self._current, self._replacement = self._replacement, None
            self._ended(current, now_ns)
        replacement = self._replacement
        if replacement is not None and replacement.state == "closed":
            self._replacement = None
            self._replacement_ended(replacement, now_ns)
        if self.failed:
            return
        current = self._current
        if current is None:
            if self._dial_at_ns is None or self._dial_at_ns <= now_ns:
                self._dial_at_ns = None
                self._current = self._launch(tasks)
        elif self._replacement is not None:
            self._take_over(self._replacement, current, now_ns)
        elif current.replacement_reason is not None and (
            self._replace_at_ns is None or self._replace_at_ns <= now_ns
        ):
            if self._must_wait(now_ns):
                return
            self._waits_since_ns = None
            self.counters.rotations += 1
            self._tell("replacing", self.number, current.replacement_reason)
            self._replacement = self._launch(tasks)

    def _must_wait(self, now_ns: int) -> bool:
        """Whether another line with the same streams is being replaced, and may be."""
        if not any(line.replacing for line in self.others):
            return False
        if self._waits_since_ns is None:
            self._waits_since_ns = now_ns
        longest_ns = int(2 * self._wiring.settings.overlap_s * 1e9)
        return now_ns - self._waits_since_ns < longest_ns

    def _other_rotates_ns(self) -> int | None:
        times = [line.rotates_at_ns for line in self.others]
        return next((at_ns for at_ns in times if at_ns is not None), None)

    def _take_over(self, new: Connection, old: Connection, now_ns: int) -> None:
        """Let *new* go on alone once it has what *old* has, or had time for it."""
        if not new.open or new.opened_ns is None:
            return
        settings = self._wiring.settings
        passed_s = (now_ns - new.opened_ns) / 1e9
        if not new.settled:
            if passed_s < settings.overlap_s:
                return
            if is_behind(new.dialog.table, old.dialog.table, new.opened_ns):
                if passed_s >= settings.longest_overlap_s:
                    reason = "it brings less than the socket that it is to replace"
                    new.end(Ending(Recovery.BACK_OFF, reason))
                return
        self._current, self._replacement = new, None
        self._replace_at_ns = None
        self._retired.append(old)
        old.end(Ending(Recovery.RETRY, "replaced", ROTATION, on_purpose=True))

    def _launch(self, tasks: anyio.abc.TaskGroup) -> Connection | None:
        try:
            connection = Connection(
                self._wiring,
                self.route,
                self._next_connection(),
                self._wanted,
                self.counters,
                self._unanswered,
                self._changed_now,
                self._tell_of,
                self._other_rotates_ns,
            )
        except Exception as error:  # an adapter's bug; other lines must not see it
            self.last_error = f"no session could be made: {_words(error)}"
            self._fail(self.last_error)
            return None
        tasks.start_soon(self._attend, connection)
        return connection

    async def _attend(self, connection: Connection) -> None:
        try:
            await connection.run()
        except Exception as error:  # supervisor: a crash is this connection's alone
            now_ns = self._clock.monotonic_ns()
            crashes = self._crashes_ns
            crashes.append(now_ns)
            self.last_error = _words(error)
            self._tell("crashed", self.number, self.last_error)
            if len(crashes) == crashes.maxlen and now_ns - crashes[0] < _HOUR_NS:
                self._fail(f"{len(crashes)} crashes in an hour: {self.last_error}")
            self._changed_now()

    def _ended(self, connection: Connection, now_ns: int) -> None:
        ending = self._bury(connection)
        if not ending.on_purpose:
            self.attempts += 1
        self.last_error = ending.reason
        self._tell_end(connection, ending)
        if self._current is not None:
            return
        if ending.recovery is Recovery.FATAL:
            self._fail(ending.reason)
            return
        wait_s = delay_s(ending, self._backoff, self._wiring.seams.random)
        self._dial_at_ns = now_ns + int(wait_s * 1e9)

    def _replacement_ended(self, connection: Connection, now_ns: int) -> None:
        """The replacement failed; the present connection goes on meanwhile."""
        ending = self._bury(connection)
        self.last_error = ending.reason
        self._tell_end(connection, ending)
        wait_s = delay_s(ending, self._backoff, self._wiring.seams.random)
        if ending.recovery is Recovery.FATAL:
            wait_s = max(wait_s, self._wiring.settings.slowest_delay_s)
        self._replace_at_ns = now_ns + int(wait_s * 1e9)

    def _bury(self, connection: Connection) -> Ending:
        """Keep the counts of a closed connection."""
        self._histories.keep(connection)
        return connection.ending or Ending(Recovery.RETRY, "stopped", DOWNTIME)

    def _tell_end(self, connection: Connection, ending: Ending) -> None:
        opened = connection.opened_ns is not None
        kind = "disconnected" if opened else "unreachable"
        self._tell(kind, self.number, ending.reason)

    def _fail(self, reason: str) -> None:
        self.failed = reason
        self._tell("failed", self.number, reason)

    def _note_data(self) -> None:
        for connection in self._connections():
            first_ns = connection.dialog.first_data_ns
            last_ns = connection.dialog.receiver.data_ns
            if first_ns is not None and last_ns is not None:
                self._backoff.note_data(first_ns, last_ns)
                self.attempts = 0

    def _delay_s(self) -> float | None:
        """Until the next look, if nothing happens; None when only that matters."""
        now_ns = self._clock.monotonic_ns()
        current = self._current
        if current is not None:
            # Deadlines of a replacement are coarse; everything else reports itself.
            waits = current.replacement_reason is not None
            return _LOOK_SOON_S if waits else _LOOK_EVERY_S
        if self._dial_at_ns is not None and not self.failed:
            return max(0.0, (self._dial_at_ns - now_ns) / 1e9)
        return None

    def _connections(self) -> Iterator[Connection]:
        for connection in (self._current, self._replacement):
            if connection is not None:
                yield connection

    def _changed_now(self) -> None:
        self._changed.set()

    def _tell_of(self, kind: str, detail: str) -> None:
        self._tell(kind, self.number, detail)

    def _new_backoff(self) -> Backoff:
        settings = self._wiring.settings
        return Backoff(
            self._wiring.seams.random,
            cap_s=settings.slowest_delay_s,
            first_cap_s=settings.first_delay_s,
        )

    # -- status ----------------------------------------------------------------

    def status(self) -> SocketStatus:
        """How this line is."""
        now_ns = self._clock.monotonic_ns()
        current = self._current
        opened_ns = current.opened_ns if current is not None else None
        dial_in_s = None
        if current is None and self._dial_at_ns is not None and not self.failed:
            dial_in_s = max(0.0, (self._dial_at_ns - now_ns) / 1e9)
        return SocketStatus(
            self.number,
            self.route.name,
            current.number if current is not None else None,
            self.state,
            (now_ns - opened_ns) / 1e9 if opened_ns is not None else None,
            len(self._wanted),
            dial_in_s,
            self.attempts,
            self.last_error,
            self.failed,
            len(current.dialog.outgoing) if current is not None else 0,
            current.health() if current is not None and current.open else None,
            current.dialog.budgets.statistics(own=True) if current is not None else (),
            self.counters.as_dict(),
            self.copy,
        )

    def subscriptions(self) -> list[SubscriptionStatus]:
        """How each wanted stream of this line is."""
        return [self.subscription(one) for one in self._wanted]

    def subscription(self, subscription: Subscription) -> SubscriptionStatus:
        """How one wanted stream of this line is."""
        now_ns = self._clock.monotonic_ns()
        return self._histories.status(subscription, self._connections(), now_ns)

    @property
    def state(self) -> str:
        """As shown in status."""
        if self.failed:
            return "failed"
        if self._current is not None:
            return self._current.state
        if not self.running:
            return "closed" if self._closed else "idle"
        return "backing-off"


def _words(error: Exception) -> str:
    """What to say of *error*: our own sentences, else no more than its type."""
    return str(error) if isinstance(error, TapelineError) else type(error).__name__
