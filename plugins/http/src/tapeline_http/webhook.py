"""Alerts: changes of state as JSON to an address of the operator's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import attrs
import httpx
from attrs.validators import and_, gt, le

from tapeline import Control, Secret, ServiceContext, StatusChange

TROUBLE = (
    "error",
    "unhealthy",
    "failed",
    "failing",
    "degraded",
    "unavailable",
    "halted",
)
"""States that are alerts by themselves."""

_KEPT = 1_000
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


def _is_address(
    instance: object, attribute: attrs.Attribute[Secret], value: Secret
) -> None:
    """Refuse what is no address, without repeating it: it may hold a key."""
    try:
        parts = urlsplit(value.reveal())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            "expected an address such as https://host/path, found another text"
        )


@attrs.frozen
class WebhookConfig:
    """Where alerts go, and which."""

    url: Secret = attrs.field(
        validator=_is_address,
        metadata={
            "description": "Address that alerts are sent to, best 'env:NAME': it often "
            "holds a key."
        },
    )
    everything: bool = attrs.field(
        default=False,
        metadata={
            "description": "Send every change of state, not only trouble and its end."
        },
    )
    timeout_s: float = attrs.field(
        default=10.0,
        validator=and_(gt(0), le(300)),
        metadata={"description": "Seconds that the address may take to answer."},
    )


class WebhookService:
    """``tapeline.hookspecs.Service`` that posts changes of state.

    Each is posted until the address takes it, in order; while it is away the newest
    thousand are kept and the number of those that were dropped is told.
    """

    def __init__(
        self, config: WebhookConfig, control: Control, context: ServiceContext
    ) -> None:
        self.sent = 0
        self.dropped = 0
        self._config = config
        self._control = control
        self._context = context
        self._waiting: deque[StatusChange] = deque(maxlen=_KEPT)
        self._something = anyio.Event()
        self._troubled: set[str] = set()
        self._running = False

    async def run(self, ready: Callable[[], None]) -> None:
        """Post until cancelled."""
        self._running = True
        self._control.add_observer(self._hear)
        timeout_s = self._config.timeout_s
        try:
            async with httpx.AsyncClient(timeout=timeout_s) as client:
                ready()
                while True:
                    # For as long as nothing happens.
                    await self._something.wait()
                    self._something = anyio.Event()
                    while self._waiting:
                        await self._deliver(client)
        finally:
            # An observer cannot be taken off; a service that ended hears nothing.
            self._running = False

    def _hear(self, change: StatusChange) -> None:
        if not self._running or not self._is_wanted(change):
            return
        if len(self._waiting) == self._waiting.maxlen:
            self.dropped += 1
        self._waiting.append(change)
        self._something.set()

    def _is_wanted(self, change: StatusChange) -> bool:
        if change.after in TROUBLE:
            self._troubled.add(change.component)
            return True
        over = change.component in self._troubled and change.after in (
            "running",
            "healthy",
            "live",
        )
        if over:
            self._troubled.discard(change.component)
        return over or self._config.everything

    async def _deliver(self, client: httpx.AsyncClient) -> None:
        """Post the oldest waiting one; pauses grow while it is not taken."""
        pause_s = _FIRST_PAUSE_S
        while self._waiting:
            change = self._waiting[0]
            problem = await self._post(client, change)
            if problem is None:
                # More may have come and pushed it out meanwhile.
                if self._waiting and self._waiting[0] is change:
                    self._waiting.popleft()
                self.sent += 1
                return
            self._context.logger.warning(
                "an alert could not be sent (%s); trying again in %.0f s",
                problem,
                pause_s,
            )
            await self._context.clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _post(
        self, client: httpx.AsyncClient, change: StatusChange
    ) -> str | None:
        """None when it was taken; else why not, without the address."""
        try:
            answer = await client.post(
                self._config.url.reveal(), json=shown(change, self.dropped)
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        if answer.is_success:
            return None
        if (
            answer.is_client_error
            and answer.status_code != httpx.codes.TOO_MANY_REQUESTS
        ):
            # It will never be taken; later ones may be.
            self._context.logger.error(
                "an alert was refused with HTTP %d and is dropped", answer.status_code
            )
            self.dropped += 1
            return None
        return f"HTTP {answer.status_code}"


def shown(change: StatusChange, dropped: int = 0) -> Mapping[str, Any]:
    """What is posted of *change*; ``text`` is for people."""
    because = f": {change.reason}" if change.reason else ""
    return {
        "component": change.component,
        "before": change.before,
        "after": change.after,
        "reason": change.reason,
        "wall_ns": change.wall_ns,
        "trouble": change.after in TROUBLE,
        "dropped": dropped,
        "text": f"{change.component} is {change.after}{because}",
    }
