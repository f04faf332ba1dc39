"""How a connection ended, and what that means for the next one."""

from __future__ import annotations

import random

import attrs

from tapeline.backoff import Backoff
from tapeline.errors import RequestFailed
from tapeline.model import OutcomeKind, Recovery
from tapeline.transport.failures import RequestRefused

DISCONNECT = "disconnect"
STALL = "stall"
ROTATION = "rotation"
DOWNTIME = "downtime"

_BACK_OFF_FLOOR_S = 5.0
_BLOCKED_FLOOR_S = 60.0


@attrs.frozen
class Ending:
    """The end of one connection, or of the try to open it.

    Args:
        reason: a sentence for people.
        cause: for ``StreamLost``, as in table ``gaps``.
        code: of the close frame, if there was one.
        retry_after_s: how long the venue asked us to stay away.
        on_purpose: True when we closed it and dial again without blame.
    """

    recovery: Recovery
    reason: str
    cause: str = DISCONNECT
    code: int | None = None
    retry_after_s: float | None = None
    on_purpose: bool = False


def delay_s(ending: Ending, backoff: Backoff, rng: random.Random) -> float:
    """Seconds from *ending* to the next dial; not for fatal ones."""
    asked_s = ending.retry_after_s or 0.0
    if ending.recovery is Recovery.BLOCKED:
        floor_s = max(_BLOCKED_FLOOR_S, asked_s)
        return backoff.next_delay_s(floor_s) + rng.uniform(0.0, _BLOCKED_FLOOR_S)
    if ending.recovery is Recovery.BACK_OFF:
        return backoff.next_delay_s(max(_BACK_OFF_FLOOR_S, asked_s))
    return backoff.next_delay_s(asked_s)


def recovery_of(error: RequestFailed) -> Recovery:
    """What a failed request of a session means for its connection."""
    if isinstance(error, RequestRefused):
        if error.kind is OutcomeKind.AUTH:
            return Recovery.FATAL
        if error.kind is OutcomeKind.BANNED:
            return Recovery.BLOCKED
    return Recovery.BACK_OFF
