"""What every connection has: pings with a deadline, a frame limit, an end.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#general-wss-information
"""

from __future__ import annotations

from tapeline.testing.simulator import SimConnection, SimulatorBase


class Line:
    """The life of one connection, whatever is said on it.

    Args:
        limit: name of the limit on frames that come in; empty for none.
        ping_s: between two pings.
        pong_s: how long a pong may take.
    """

    def __init__(
        self,
        venue: SimulatorBase,
        connection: SimConnection,
        limit: str,
        ping_s: float,
        pong_s: float,
    ) -> None:
        self._venue = venue
        self._connection = connection
        self._limit = limit
        self._ping_ns = int(ping_s * 1e9)
        self._pong_ns = int(pong_s * 1e9)
        self._asked: dict[str, None] = {}

    def begin(self, now_ns: int, lifetime_s: float, cut_code: int | None) -> None:
        """Start the pings, and cut the connection after *lifetime_s*."""
        timers = self._venue.timers
        timers.at(now_ns + self._ping_ns, self._ping)
        timers.at(now_ns + int(lifetime_s * 1e9), lambda _: self.end(cut_code, ""))

    @property
    def _open(self) -> bool:
        return self._venue.connections.get(self._connection.id) is self._connection

    def end(self, code: int | None, reason: str) -> None:
        """Close the connection; safe when it is gone."""
        if self._open:
            self._venue.close(self._connection, code, reason)

    def _ping(self, now_ns: int) -> None:
        # A half-open connection is dead on the client's side of the wire only.
        if not self._open or self._connection.silent:
            return
        payload = str(now_ns // 1_000_000)
        self._asked[payload] = None
        self._venue.ping(self._connection, payload)
        timers = self._venue.timers
        timers.at(now_ns + self._pong_ns, lambda _: self._check(payload))
        timers.at(now_ns + self._ping_ns, self._ping)

    def _check(self, payload: str) -> None:
        if payload in self._asked and not self._connection.silent:
            self.end(1008, "Pong timeout")

    def pong(self, payload: str) -> None:
        """A pong; it answers the ping of its payload and those before it."""
        if payload in self._asked:
            for older in list(self._asked):
                del self._asked[older]
                if older == payload:
                    break

    def admit(self, now_ns: int) -> bool:
        """Count a frame that came in; False when it was one too many."""
        connection = self._connection
        if not self._limit or self._venue.police.hit(
            self._limit, connection.id, now_ns
        ):
            return True
        self.end(1008, "Too many requests")
        return False
