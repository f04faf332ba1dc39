"""How long to wait before the next try: full jitter, growing, capped."""

from __future__ import annotations

import random

import attrs

RESET_AFTER_S = 60.0
"""Data must have flowed this long before the delays start small again."""


@attrs.define
class Backoff:
    """Delays of one thing that is tried again and again.

    Args:
        rng: source of chance.
        base_s: bound of the first delay; it doubles with each try.
        cap_s: bound of all delays.
        first_cap_s: bound of the first delay alone.
    """

    rng: random.Random = attrs.field(repr=False)
    base_s: float = 0.5
    cap_s: float = 60.0
    first_cap_s: float = 5.0
    attempts: int = 0

    def next_delay_s(self, floor_s: float = 0.0) -> float:
        """Seconds to wait now: *floor_s* plus anything up to the current bound."""
        bound = min(self.cap_s, self.base_s * 2.0 ** min(self.attempts, 30))
        if self.attempts == 0:
            bound = min(bound, self.first_cap_s)
        self.attempts += 1
        return floor_s + self.rng.uniform(0.0, bound)

    def reset(self) -> None:
        """It worked: the delays start small again."""
        self.attempts = 0

    def note_data(self, first_ns: int, last_ns: int) -> None:
        """Data flowed from *first_ns* to *last_ns* (monotonic) on one socket.

        An open socket or an ack resets nothing: a venue that accepts and closes at
        once would otherwise be dialed in a tight loop.
        """
        if last_ns - first_ns >= RESET_AFTER_S * 1e9:
            self.attempts = 0
