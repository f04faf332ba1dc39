"""One client's own line to a venue in memory, which can be cut."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from tapeline.clock import Clock
from tapeline.model import Dial, Request, Response
from tapeline.seams import Arguments, Result
from tapeline.testing.transports import MemoryNetwork, MemorySocket, MemoryVenue


class MemoryWire:
    """The ``Dialer`` and ``Http`` seams of one process.

    After ``cut`` nothing gets out and nothing comes in any more: that is all a venue
    sees of a process that was killed, whatever its remains still try.

    Args:
        target: the venue, or several by host name.

    Attributes:
        on_request: told of every REST request before it is sent.
        delay_s: by which REST answers are late, beside the venue's own time.
    """

    def __init__(self, target: MemoryVenue | MemoryNetwork, clock: Clock) -> None:
        self.on_request: Callable[[Request], None] | None = None
        self.delay_s = 0.0
        self.is_cut = False
        self._target = target
        self._clock = clock
        self._sockets: list[MemorySocket] = []
        self._scopes: set[anyio.CancelScope] = set()

    def cut(self) -> None:
        """Tear every socket, and let nothing through from now on; safe twice."""
        self.is_cut = True
        for scope in list(self._scopes):
            scope.cancel()
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            socket.abort()

    async def dial(self, dial: Dial) -> MemorySocket:
        """Open a socket to the venue; never returns once the wire is cut."""
        await self._pass()
        socket = await self._carry(self._target.dial, dial)
        self._sockets = [one for one in self._sockets if one.is_open]
        self._sockets.append(socket)
        return socket

    async def send(self, request: Request, timeout_s: float) -> Response:
        """Ask the venue; never returns once the wire is cut."""
        await self._pass()
        if self.on_request is not None:
            self.on_request(request)
        if self.delay_s:
            await self._clock.sleep(self.delay_s)
            await self._pass()
        return await self._carry(self._target.request, request, timeout_s)

    async def aclose(self) -> None:
        """Nothing to release: the venue belongs to others."""

    async def _carry(
        self, call: Callable[[*Arguments], Awaitable[Result]], *args: *Arguments
    ) -> Result:
        """Call the venue; what is on the way when the wire is cut never arrives."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                return await call(*args)
            finally:
                self._scopes.discard(scope)
        # Only whoever buries the process ends this.
        await anyio.sleep_forever()
        raise AssertionError("slept for ever")

    async def _pass(self) -> None:
        if self.is_cut:
            # Only whoever buries the process ends this.
            await anyio.sleep_forever()
