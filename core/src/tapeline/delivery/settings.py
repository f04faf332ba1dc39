"""What can be set about delivery."""

from __future__ import annotations

import attrs


@attrs.frozen
class RunnerSettings:
    """How a durable sink is fed.

    Args:
        max_records, max_bytes: of one batch; a part is never split.
        first_delay_s, max_delay_s: full-jitter back-off while it is unavailable. With
            the time that one attempt takes, the longest delay bounds how long after
            its server a sink is back.
        cursor_s: how long positions without anything for the sink may wait before
            it is told of them.
        blocked_s: time without a stored batch after which it counts as blocked.
        grace_s: how long a write may go on after the deadline of a stop.
        close_s: how long closing may take.
        own_cursor: False for a sink that keeps no cursor of its own.
        dead_letters: how many refused records are kept for people to look at.
    """

    max_records: int = 5_000
    max_bytes: int = 4 * 2**20
    first_delay_s: float = 0.5
    max_delay_s: float = 15.0
    cursor_s: float = 1.0
    blocked_s: float = 30.0
    grace_s: float = 2.0
    close_s: float = 5.0
    own_cursor: bool = True
    dead_letters: int = 100


@attrs.frozen
class LiveSettings:
    """How much a slow live consumer may be behind, each on its own.

    Args:
        max_items, max_bytes: beyond either its oldest are dropped and counted.
        turn: records handled before other tasks have a turn.
        first_delay_s, max_delay_s: full-jitter back-off of a live sink.
        open_s: how long a start waits for a live sink; it goes on opening after.
        close_s: how long closing a live sink may take.
    """

    max_items: int = 100_000
    max_bytes: int = 64 * 2**20
    turn: int = 500
    first_delay_s: float = 0.5
    max_delay_s: float = 15.0
    open_s: float = 10.0
    close_s: float = 5.0
