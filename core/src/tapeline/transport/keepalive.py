"""When to ping a silent socket, and when to call it dead."""

from __future__ import annotations

import enum

from tapeline.model import Keepalive


class Pulse(enum.Enum):
    """What to do for a socket now."""

    NOTHING = "nothing"
    PING = "ping"
    DEAD = "dead"


class Heart:
    """Keepalive of one socket; pure, all times monotonic nanoseconds."""

    __slots__ = ("_interval_ns", "_pinged_ns", "_timeout_ns", "keepalive")

    def __init__(self, keepalive: Keepalive) -> None:
        self.keepalive = keepalive
        self._interval_ns = int(keepalive.interval_s * 1e9)
        self._timeout_ns = int(keepalive.timeout_s * 1e9)
        self._pinged_ns: int | None = None

    def check(self, heard_ns: int, now_ns: int) -> Pulse:
        """What to do when the peer was last heard at *heard_ns*.

        Anything that it sends is a sign of life, not only the answer to a ping.
        """
        if self._pinged_ns is not None and heard_ns >= self._pinged_ns:
            self._pinged_ns = None
        if self._pinged_ns is not None:
            dead = now_ns - self._pinged_ns >= self._timeout_ns
            return Pulse.DEAD if dead else Pulse.NOTHING
        if now_ns - heard_ns >= self._interval_ns:
            self._pinged_ns = now_ns
            return Pulse.PING
        return Pulse.NOTHING

    def forgive(self, now_ns: int) -> None:
        """We ourselves were late: the peer gets its whole time again."""
        if self._pinged_ns is not None:
            self._pinged_ns = now_ns

    def next_ns(self, heard_ns: int) -> int:
        """When ``check`` may have something to do, if nothing is heard."""
        if self._pinged_ns is not None and heard_ns < self._pinged_ns:
            return self._pinged_ns + self._timeout_ns
        return heard_ns + self._interval_ns
