"""What Redis's errors mean for the batch: again later, or stop."""

from __future__ import annotations

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    ClusterCrossSlotError,
    NoPermissionError,
    ResponseError,
)

from tapeline.errors import SinkError, SinkUnavailable

_FINAL = (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
)
_PASSING = (
    "OOM",
    "READONLY",
    "LOADING",
    "BUSY",
    "MISCONF",
    "NOREPLICAS",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "EXECABORT",
)
"""Codes of replies that say: not now. https://redis.io/docs/latest/develop/reference/"""


def failure(error: Exception, address: str, *, was_open: bool) -> SinkError:
    """The error to raise instead of *error*, met at *address*.

    Args:
        was_open: the same address and password have worked before, so that a refusal
            is a server that is being set up, not a mistake in the configuration.
    """
    text = str(error) or type(error).__name__
    # While it connects, the driver wraps what the server said into something else.
    if isinstance(error, _FINAL) or isinstance(error.__cause__, _FINAL):
        if was_open:
            return SinkUnavailable(f"{address}: {text}")
        return SinkError(
            f"expected Redis at {address} to let us in, found: {text}; correct user, "
            "password and permissions"
        )
    if isinstance(error, (AskError, ClusterCrossSlotError)):
        return SinkError(
            f"expected one Redis server at {address}, found a cluster that keeps the "
            "keys elsewhere; name the node, and put a hash tag like {tapeline} into "
            "the prefix"
        )
    if not isinstance(error, ResponseError) or _is_passing(error, text):
        return SinkUnavailable(f"{address}: {text}")
    return SinkError(
        f"expected Redis 5 or later at {address} that takes our calls, found: {text}"
    )


def _is_passing(error: ResponseError, text: str) -> bool:
    # The driver cuts the code off where it has a class for it.
    if type(error) is not ResponseError:
        return True
    # In errors of scripts it stands somewhere behind the line's number.
    return any(word in _PASSING for word in text.replace("-", " ").split())
