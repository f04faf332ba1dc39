"""What we remember of bans and pauses, so that nothing repeats the offence."""

from __future__ import annotations

from typing import Protocol

from tapeline.clock import Clock


class BanMemory(Protocol):
    """Where bans are kept, shared by all that ask one venue; the journal keeps them.

    They end by the monotonic clock: a step of the wall clock neither shortens nor
    lengthens them.
    """

    def left_s(self, scope: str) -> float:
        """Seconds for which *scope* is still to be left alone; 0 when it is not."""

    def remember(self, scope: str, wait_s: float) -> None:
        """Leave *scope* alone for *wait_s* seconds; of two, the later end holds."""


class MemoryBans:
    """Bans of this process only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_ns: dict[str, int] = {}

    def left_s(self, scope: str) -> float:
        """Seconds for which *scope* is still to be left alone; 0 when it is not."""
        until_ns = self._until_ns.get(scope)
        if until_ns is None:
            return 0.0
        return max(0.0, (until_ns - self._clock.monotonic_ns()) / 1e9)

    def remember(self, scope: str, wait_s: float) -> None:
        """Leave *scope* alone for *wait_s* seconds; of two, the later end holds."""
        until_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)
        self._until_ns[scope] = max(until_ns, self._until_ns.get(scope, 0))
