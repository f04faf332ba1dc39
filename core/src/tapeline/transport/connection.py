"""One socket's life: dial, speak, keep alive, end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVarTuple

import anyio
import anyio.abc
import attrs

from tapeline.errors import (
    HandshakeRefused,
    RequestFailed,
    SocketClosed,
    TransportError,
)
from tapeline.model import Dial, Recovery, Route, SessionHealth, Subscription
from tapeline.seams import Socket
from tapeline.transport.addresses import shown_url
from tapeline.transport.counters import Counters
from tapeline.transport.dialog import Dialog
from tapeline.transport.endings import DOWNTIME, Ending, recovery_of
from tapeline.transport.keepalive import Heart, Pulse
from tapeline.transport.rotation import rotation_ns
from tapeline.transport.wiring import Wiring

_LATE_NS = 10**9
_SHORTEST_WAIT_NS = 10**6
_MAX_PRIOR_FETCHES = 5
_DIAL_GRACE_S = 5.0
_CLOSE_TIMEOUT_S = 3.0

Arguments = TypeVarTuple("Arguments")


class Connection:
    """One socket and the session that speaks on it; used once.

    Args:
        number: of this socket among all of its link.
        wanted: the desired state; changed later by ``want``.
        unanswered: subscription → sockets on which the venue never answered for it;
            shared by all connections of one line.
        changed: called when the owner may have something to do.
        tell: told ``(kind, detail)`` of what observers should know.
        other_rotates_ns: when another connection with the same streams is replaced.
    """

    def __init__(
        self,
        wiring: Wiring,
        route: Route,
        number: int,
        wanted: Collection[Subscription],
        counters: Counters,
        unanswered: dict[Subscription, int],
        changed: Callable[[], None],
        tell: Callable[[str, str], None],
        other_rotates_ns: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.number = number
        self.state = "dialing"
        self.ending: Ending | None = None
        self.replacement_reason: str | None = None
        self.opened_ns: int | None = None
        self._wiring = wiring
        self._clock = wiring.seams.clock
        self._counters = counters
        self._changed = changed
        self.tell = tell
        self._session = wiring.bind(
            wiring.adapter.session(wiring.config, wiring.instruments, route)
        )
        self.dialog = Dialog(
            wiring, self._session, number, not route.private, counters, unanswered, self
        )
        self.dialog.table.want(wanted)
        self._scope = anyio.CancelScope()
        self._poked = anyio.Event()
        self.rotates_at_ns: int | None = None
        self._other_rotates_ns = other_rotates_ns

    # -- what the owner calls --------------------------------------------------

    def want(self, subscriptions: Collection[Subscription]) -> None:
        """Want exactly *subscriptions* from now on."""
        self.dialog.table.want(subscriptions)
        self.poke()

    def resync(self, subscription: Subscription) -> None:
        """Let the session start *subscription* afresh: its book chain broke."""
        self.dialog.resync(subscription)
        self.poke()

    def resubscribe(self, subscriptions: Collection[Subscription], cause: str) -> None:
        """End *subscriptions* and ask for them anew, on this socket."""
        self.dialog.resubscribe(subscriptions, cause)
        self.poke()

    def end(self, ending: Ending) -> None:
        """End this connection; the first call says why."""
        if self.ending is None:
            self.ending = ending
        self._scope.cancel()

    def replace(self, reason: str) -> None:
        """Have this connection replaced by another, with overlap."""
        if self.replacement_reason is None:
            self.replacement_reason = reason
            self._changed()

    def poke(self) -> None:
        """Let the steering look again."""
        self._poked.set()

    def notify(self) -> None:
        """Let the owner look again."""
        self._changed()

    def health(self) -> SessionHealth:
        """What the session says of itself."""
        health = self.dialog.ask(self._session.health, self._wiring.rest.now())
        return health or SessionHealth(False, ("health() of the session failed",))

    @property
    def open(self) -> bool:
        """True from the handshake to the end."""
        return self.state == "open"

    @property
    def settled(self) -> bool:
        """True when every wanted stream has data or was refused."""
        return self.open and self.dialog.ready and self.dialog.table.settled()

    async def run(self) -> None:
        """Live until the socket ends, ``end`` is called or the task is cancelled.

        Nothing comes from this connection after it returns; ``ending`` says why.
        """
        try:
            with self._scope:
                await self._guard(self._live)
        finally:
            self.state = "closed"
            if self.ending is None:
                self.ending = Ending(Recovery.RETRY, "stopped", DOWNTIME)
            self._changed()

    # -- from dialing to the end -----------------------------------------------

    async def _live(self) -> None:
        dial = await self._where()
        self._counters.dials += 1
        # As long as the venue's own window: not a wait for the venue.
        await self._wiring.rest.budgets.take(dial.costs)
        socket = await self._dial(dial)
        try:
            self._opened(dial)
            async with anyio.create_task_group() as tasks:
                self.dialog.begin(tasks, self._wiring.rest.now())
                self._changed()
                tasks.start_soon(self._guard, self.dialog.receiver.run, socket)
                tasks.start_soon(self._guard, self.dialog.outgoing.run, socket)
                tasks.start_soon(self._guard, self._steer, socket, dial, tasks)
        except Exception:
            # A bug of ours: what was lost is marked as such, the supervisor hears it.
            self.ending = Ending(Recovery.BACK_OFF, "an internal error")
            raise
        finally:
            self._lost()
            # Shielded but bounded: no socket is left behind, whoever cancels.
            with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
                await socket.aclose()

    async def _dial(self, dial: Dial) -> Socket:
        try:
            with anyio.fail_after(dial.open_timeout_s + _DIAL_GRACE_S):
                return await self._wiring.seams.dialer.dial(dial)
        except TimeoutError as error:
            raise TransportError(
                f"expected a socket within {dial.open_timeout_s:g} s, found none"
            ) from error

    async def _where(self) -> Dial:
        """Where to dial; the session may ask REST first."""
        rest = self._wiring.rest
        answer = None
        for _ in range(_MAX_PRIOR_FETCHES):
            target = self.dialog.ask(self._session.connect, rest.now(), answer)
            if target is None:
                raise TransportError("expected connect() to say where, found an error")
            if isinstance(target, Dial):
                return target
            answer = await rest.fetch(target)
        raise TransportError(
            f"expected a Dial after {_MAX_PRIOR_FETCHES} requests, found another Fetch"
        )

    def _opened(self, dial: Dial) -> None:
        now_ns = self._clock.monotonic_ns()
        self.state = "open"
        self.opened_ns = now_ns
        counters = self._counters
        counters.opens += 1
        counters.reconnects += counters.opens > 1
        self.tell("connected", shown_url(dial.url))
        if dial.max_age_s is not None:
            self.rotates_at_ns = rotation_ns(
                now_ns,
                dial.max_age_s,
                self._wiring.seams.random,
                self._other_rotates_ns(),
            )

    def _lost(self) -> None:
        """Mark what ended, before anything of a next socket can be put."""
        self.state = "closing"
        ending = self.ending or Ending(Recovery.RETRY, "stopped", DOWNTIME)
        said = self.dialog.finish(ending)
        if said is not None and ending.recovery is Recovery.RETRY:
            ending = attrs.evolve(ending, recovery=said)
        self.ending = ending

    async def _guard(
        self, run: Callable[[*Arguments], Awaitable[None]], *arguments: *Arguments
    ) -> None:
        """Run one part; its failure is the connection's end, nobody else's."""
        try:
            await run(*arguments)
        except SocketClosed as error:
            self.end(Ending(Recovery.RETRY, str(error), code=error.code))
        except HandshakeRefused as error:
            recovery = self._wiring.adapter.refused(error.status, error.body)
            after_s = error.retry_after_s
            self.end(Ending(recovery, str(error), retry_after_s=after_s))
        except RequestFailed as error:
            self.end(Ending(recovery_of(error), str(error)))
        except TransportError as error:
            self.end(Ending(Recovery.RETRY, str(error)))

    # -- what time alone brings about ------------------------------------------

    async def _steer(
        self, socket: Socket, dial: Dial, tasks: anyio.abc.TaskGroup
    ) -> None:
        settings = self._wiring.settings
        keepalive = dial.keepalive
        if settings.ping_interval_s is not None:
            keepalive = attrs.evolve(keepalive, interval_s=settings.ping_interval_s)
        heart = Heart(keepalive)
        receiver = self.dialog.receiver
        planned_ns = started_ns = self._clock.monotonic_ns()
        login_by_ns = started_ns + int(settings.login_timeout_s * 1e9)
        while True:
            now = self._wiring.rest.now()
            now_ns = now.monotonic_ns
            if receiver.blocked:
                receiver.heard_ns = now_ns
            if now_ns - planned_ns > _LATE_NS:
                heart.forgive(now_ns)
            pulse = heart.check(receiver.heard_ns, now_ns)
            if pulse is Pulse.PING:
                tasks.start_soon(self._guard, self._ping, socket, keepalive.text)
            elif pulse is Pulse.DEAD:
                reason = f"no sign of life {keepalive.timeout_s:g} s after a ping"
                self.end(Ending(Recovery.RETRY, reason))
            if not self.dialog.ready and now_ns >= login_by_ns:
                self.end(Ending(Recovery.BACK_OFF, "the login was not confirmed"))
            if self.rotates_at_ns is not None and now_ns >= self.rotates_at_ns:
                self.replace("the socket gets too old")
            self.dialog.turn(now)
            now_ns = self._clock.monotonic_ns()
            planned_ns = min(
                self.dialog.next_ns(now_ns), heart.next_ns(receiver.heard_ns)
            )
            delay_ns = max(_SHORTEST_WAIT_NS, planned_ns - now_ns)
            with anyio.move_on_after(delay_ns / 1e9):
                await self._poked.wait()
            self._poked = anyio.Event()

    async def _ping(self, socket: Socket, text: str | None) -> None:
        if text is not None:
            await self.dialog.outgoing.write(socket, text)
            return
        # Ends with the connection, which the steering ends when no pong comes.
        await socket.ping()
        self.dialog.receiver.heard_ns = self._clock.monotonic_ns()
