"""When a socket is replaced before the venue cuts it."""

from __future__ import annotations

import random

_EARLIEST, _LATEST = 0.90, 0.98
_APART = 0.25


def rotation_ns(
    opened_ns: int, max_age_s: float, rng: random.Random, other_ns: int | None
) -> int:
    """When a socket that was opened at *opened_ns* is replaced, monotonic.

    Args:
        max_age_s: age at which the venue cuts it.
        other_ns: when the socket is replaced that carries the same streams; the two
            keep at least a quarter of a life apart.
    """
    age_ns = int(max_age_s * 1e9)
    at_ns = opened_ns + int(rng.uniform(_EARLIEST, _LATEST) * age_ns)
    if other_ns is not None and abs(at_ns - other_ns) < _APART * age_ns:
        # Still ahead: no earlier than 0.9 - 0.25 - 0.5 of a life from now.
        return other_ns - age_ns // 2
    return at_ns
