"""When a socket is replaced before the venue cuts it, and when it may go."""

from __future__ import annotations

import random

from tapeline.transport.streams import StreamTable

_EARLIEST, _LATEST = 0.90, 0.98
_APART = 0.25
_ON_ITS_WAY_NS = 2 * 10**9


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


def is_behind(new: StreamTable, old: StreamTable, opened_ns: int) -> bool:
    """Whether *new* is silent about a stream of which *old* still brings data.

    Args:
        opened_ns: when the new socket was opened, monotonic.
    """
    for stream in old:
        spoke_ns = stream.last_message_ns
        if not stream.flowing or spoke_ns is None:
            continue
        if spoke_ns < opened_ns + _ON_ITS_WAY_NS:
            continue
        other = new.get(stream.subscription)
        if other is None or (other.silent and other.rejected is None):
            return True
    return False
