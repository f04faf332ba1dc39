"""A rate limit for collectors of one's own."""

from __future__ import annotations

from collections import deque

import anyio

from tapeline.clock import Clock, SystemClock


class RateLimiter:
    """At most *count* acquisitions in any window of *seconds*.

    Raises:
        ValueError: *count* or *seconds* is not positive.
    """

    def __init__(
        self, count: int, seconds: float, *, clock: Clock | None = None
    ) -> None:
        if count < 1 or seconds <= 0:
            raise ValueError(
                f"expected a positive count and time, found {count} in {seconds} s"
            )
        self._count = count
        self._window_ns = int(seconds * 10**9)
        self._clock = clock or SystemClock()
        self._taken: deque[int] = deque()
        self._turn: anyio.Lock | None = None

    async def acquire(self) -> None:
        """Wait for a free place; served in the order of asking."""
        if self._turn is None:
            self._turn = anyio.Lock()
        # The wait is bounded by the window: each pass frees the oldest place.
        async with self._turn:
            while True:
                now = self._clock.monotonic_ns()
                while self._taken and self._taken[0] <= now - self._window_ns:
                    self._taken.popleft()
                if len(self._taken) < self._count:
                    self._taken.append(now)
                    return
                wait_ns = self._taken[0] + self._window_ns - now
                await self._clock.sleep(wait_ns / 1e9)
