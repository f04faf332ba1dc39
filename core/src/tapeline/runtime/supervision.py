"""Supervision: a failure in one part never cancels another."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import attrs

from tapeline.clock import Clock
from tapeline.errors import RecoveryAction, TapelineError
from tapeline.model import StatusChange

logger = logging.getLogger("tapeline.supervisor")

RESTARTS_AN_HOUR = 5


@attrs.define
class Supervised:
    """One supervised part and its history.

    Args:
        state: ``starting``, ``running``, ``backoff``, ``failed`` or ``stopped``.
        restarts: since it was made; survives until it is removed.
        restart_times_ns: monotonic, of the last hour.
    """

    name: str
    state: str = "starting"
    restarts: int = 0
    last_error: str | None = None
    last_restart_wall_ns: int | None = None
    restart_times_ns: list[int] = attrs.field(factory=list)


class Supervisor:
    """Runs parts, each in its own task, and starts them again within a budget.

    Args:
        delay: seconds to wait before the n-th restart in a row.
        on_change: told of every transition.
    """

    def __init__(
        self,
        clock: Clock,
        delay: Callable[[int], float],
        on_change: Callable[[StatusChange], None],
    ) -> None:
        self._clock = clock
        self._delay = delay
        self._on_change = on_change

    async def run(self, part: Supervised, body: Callable[[], Awaitable[None]]) -> None:
        """Run *body* until it returns or is cancelled; restart it when it raises.

        Deterministic errors (``recovery`` of ``stop``) and a spent budget end in
        state ``failed``; neither reaches the caller.
        """
        while True:
            self._change(part, "running", "started")
            try:
                await body()
            except (
                Exception
            ) as error:  # a supervisor: any failure of the part ends here
                reason = str(error) or type(error).__name__
                part.last_error = reason
                final = (
                    isinstance(error, TapelineError)
                    and error.recovery is RecoveryAction.STOP
                )
                logger.error("%s: %s", part.name, reason, exc_info=not final)
                if final or not self._within_budget(part):
                    self._change(part, "failed", reason)
                    return
                self._change(part, "backoff", reason)
                await self._clock.sleep(self._delay(len(part.restart_times_ns)))
                part.restarts += 1
                part.last_restart_wall_ns = self._clock.wall_ns()
            else:
                self._change(part, "stopped", "ended")
                return

    def _within_budget(self, part: Supervised) -> bool:
        now = self._clock.monotonic_ns()
        hour_ago = now - 3_600 * 10**9
        part.restart_times_ns = [t for t in part.restart_times_ns if t > hour_ago]
        part.restart_times_ns.append(now)
        return len(part.restart_times_ns) <= RESTARTS_AN_HOUR

    def _change(self, part: Supervised, state: str, reason: str) -> None:
        before, part.state = part.state, state
        if before != state:
            self._on_change(
                StatusChange(part.name, before, state, reason, self._clock.wall_ns())
            )
