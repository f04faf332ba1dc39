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
class RestartBudget:
    """Restarts of the last hour, by their monotonic times."""

    times_ns: list[int] = attrs.field(factory=list)

    def spend(self, now_ns: int, limit: int = RESTARTS_AN_HOUR) -> bool:
        """Count one more; False when the hour has had more than *limit*."""
        hour_ago_ns = now_ns - 3_600 * 10**9
        self.times_ns = [at_ns for at_ns in self.times_ns if at_ns > hour_ago_ns]
        self.times_ns.append(now_ns)
        return len(self.times_ns) <= limit


@attrs.define
class Supervised:
    """One supervised part and its history.

    Args:
        state: ``starting``, ``running``, ``backoff``, ``failed`` or ``stopped``.
        restarts: since it was made; survives until it is removed.
        limit: restarts an hour; 0 for none.
    """

    name: str
    state: str = "starting"
    restarts: int = 0
    last_error: str | None = None
    last_restart_wall_ns: int | None = None
    limit: int = RESTARTS_AN_HOUR
    budget: RestartBudget = attrs.field(factory=RestartBudget)


class Supervisor:
    """Runs parts, each in its own task, and starts them again within a budget.

    Args:
        delay: seconds to wait before the n-th restart in a row.
        on_change: told of every transition.
        log: where failures go.
    """

    def __init__(
        self,
        clock: Clock,
        delay: Callable[[int], float],
        on_change: Callable[[StatusChange], None],
        log: logging.Logger = logger,
    ) -> None:
        self._clock = clock
        self._log = log
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
                self._log.error("%s: %s", part.name, reason, exc_info=not final)
                now_ns = self._clock.monotonic_ns()
                if final or not part.budget.spend(now_ns, part.limit):
                    self._change(part, "failed", reason)
                    return
                self._change(part, "backoff", reason)
                await self._clock.sleep(self._delay(len(part.budget.times_ns)))
                part.restarts += 1
                part.last_restart_wall_ns = self._clock.wall_ns()
            else:
                self._change(part, "stopped", "ended")
                return

    def _change(self, part: Supervised, state: str, reason: str) -> None:
        before, part.state = part.state, state
        if before != state:
            self._on_change(
                StatusChange(part.name, before, state, reason, self._clock.wall_ns())
            )
