"""Time as the runtime sees it; the only place where clocks are read."""

from __future__ import annotations

import time
from typing import Protocol

import anyio
import attrs


@attrs.frozen
class Now:
    """One moment on the three clocks.

    Args:
        wall_ns: our wall clock, nanoseconds UTC.
        venue_ns: the venue's clock as far as we know it, nanoseconds UTC.
        monotonic_ns: never goes back; the only clock for durations.
    """

    wall_ns: int
    venue_ns: int
    monotonic_ns: int


class Clock(Protocol):
    """Source of time, injected into everything that needs one."""

    def wall_ns(self) -> int:
        """Nanoseconds UTC since the epoch; may jump."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since some start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*; returns at once when not positive."""


class SystemClock:
    """The machine's clocks."""

    wall_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds* on the running loop."""
        await anyio.sleep(max(0.0, seconds))


def now(clock: Clock, venue_offset_ns: int = 0) -> Now:
    """One ``Now`` of *clock*, with the venue's offset added."""
    wall = clock.wall_ns()
    return Now(wall, wall + venue_offset_ns, clock.monotonic_ns())


def processor_ns() -> int:
    """Processor time that this process has used, for saying what something costs."""
    return time.process_time_ns()
