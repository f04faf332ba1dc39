"""Why a REST request got no usable answer, in fields that callers can decide by."""

from __future__ import annotations

from tapeline.errors import RecoveryAction, RequestFailed
from tapeline.model import OutcomeKind


class RequestRefused(RequestFailed):
    """The venue answered, and asking again does not help now.

    Args:
        kind: ``auth`` and ``fatal`` are final; ``banned`` ends by itself.
        status: HTTP status of the last answer; None when nothing was sent.
        reason: the venue's code or words.
    """

    def __init__(
        self, shown: str, kind: OutcomeKind, status: int | None, reason: str
    ) -> None:
        self.kind = kind
        self.status = status
        self.reason = reason
        if kind in (OutcomeKind.AUTH, OutcomeKind.FATAL):
            self.recovery = RecoveryAction.STOP
        answer = "no request is sent" if status is None else f"HTTP {status}"
        super().__init__(
            f"expected an answer of {shown}, found {answer} ({kind.value}"
            f"{': ' if reason else ''}{reason})"
        )


class RequestExpired(RequestFailed):
    """No usable answer within the deadline; asking again later may help."""

    def __init__(self, shown: str, deadline_s: float, last: str) -> None:
        self.last = last
        super().__init__(
            f"expected an answer of {shown} within {deadline_s:g} s, "
            f"found {last or 'no room in its budgets'}"
        )


class TooManyWaiting(RequestFailed):
    """So many requests wait already that one more would not be sent in time."""

    def __init__(self, shown: str, waiting: int) -> None:
        super().__init__(
            f"expected at most {waiting} waiting requests, found one more for "
            f"{shown}; ask for fewer symbols or later"
        )
