"""Reasons to restart a collector: no heartbeat, no data, a bad connection."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

import anyio

from tapeline.collectors.vitals import Vitals

_CHECK_TIMEOUT_S = 10.0
_LEAST_PAUSE_S = 0.01


class Checkup:
    """Looks at one collector now and then.

    Args:
        max_silence_s: how long a connection may give no data.
        check: whether the connection is good, as the collector's class knows it.
        raised: told what *check* raised.

    Attributes:
        connection_is_healthy: what the last look at it found.
    """

    def __init__(
        self,
        vitals: Vitals,
        max_silence_s: float,
        check: Callable[[], Awaitable[bool] | bool],
        raised: Callable[[Exception], None],
    ) -> None:
        self.connection_is_healthy = True
        self._vitals = vitals
        self._max_silence_s = max_silence_s
        self._check = check
        self._raised = raised

    def until_next_s(self, interval_s: float, silence_s: float | None) -> float:
        """Seconds to the next look: when something is due, *interval_s* at most."""
        left_s = interval_s - (self._vitals.age_s(self._vitals.heartbeat_ns) or 0.0)
        if silence_s is not None:
            left_s = min(left_s, self._max_silence_s - silence_s)
        if left_s <= 0:
            return interval_s
        return max(_LEAST_PAUSE_S, min(interval_s, left_s))

    async def trouble(self, interval_s: float, silence_s: float | None) -> str | None:
        """A sentence on why to restart; None while all is well.

        Args:
            interval_s: how long there may be no heartbeat.
            silence_s: how long there was no data; None where that says nothing.
        """
        age_s = self._vitals.age_s(self._vitals.heartbeat_ns)
        if age_s is not None and age_s >= interval_s:
            return f"no heartbeat for {age_s:.0f} s"
        if silence_s is not None and silence_s >= self._max_silence_s:
            return f"no data for {silence_s:.0f} s"
        self.connection_is_healthy = await self._look_at_connection()
        if not self.connection_is_healthy:
            return "the connection is not healthy"
        return None

    async def _look_at_connection(self) -> bool:
        try:
            with anyio.move_on_after(_CHECK_TIMEOUT_S):
                verdict = self._check()
                if inspect.isawaitable(verdict):
                    verdict = await verdict
                return bool(verdict)
        except Exception as error:  # a supervisor: a subclass may raise anything
            self._raised(error)
        return False
