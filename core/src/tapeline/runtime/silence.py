"""How long a stream may be silent before one asks: learned from the stream itself."""

from __future__ import annotations

import math

import attrs

FLOOR_S = 2.0
CEILING_S = 300.0
MEMORY_S = 60.0
LONGEST_MEMORY_S = 600.0
_GAPS = 7.0
"""Mean distances between events that pass by chance less than once in a thousand."""
_MARGIN = 1.5
_ENOUGH = 8
"""Events that tell a rate; the first two may stand together by chance."""


@attrs.define(eq=False)
class Silence:
    """The silence threshold of one stream, from counts taken now and then.

    Args:
        ceiling_s: what the threshold never exceeds, and what it is at first.
        floor_s: what it never falls below.
    """

    ceiling_s: float = CEILING_S
    floor_s: float = FLOOR_S
    _events: float = 0.0
    _seconds: float = 0.0
    _longest_s: float = 0.0
    _silent_s: float = 0.0
    _seen: int = 0

    @property
    def rate_hz(self) -> float:
        """Events per second, of about the last minute; 0 before the first."""
        return self._events / self._seconds if self._seconds else 0.0

    @property
    def threshold_s(self) -> float:
        """Silence in seconds after which the stream is suspect."""
        rate = self.rate_hz
        if rate <= 0:
            return self.ceiling_s
        usual_s = max(_GAPS / rate, _MARGIN * self._longest_s)
        return min(self.ceiling_s, max(self.floor_s, usual_s))

    def note(self, events: int, seconds: float) -> None:
        """*events* came in the last *seconds* of a working stream.

        The present silence counts when it has ended: until then it may be a stall, and
        a stream that stalls must not teach us to wait for it longer. Only of a stream
        that is hardly known it counts at once.
        """
        self._silent_s += max(0.0, seconds)
        if not self._silent_s or (not events and self._seen >= _ENOUGH):
            return
        seconds, self._silent_s = self._silent_s, 0.0
        self._seen += events
        kept = math.exp(-seconds / MEMORY_S)
        self._events = self._events * kept + events
        self._seconds = self._seconds * kept + seconds
        self._longest_s *= math.exp(-seconds / LONGEST_MEMORY_S)

    def broke(self, silent_s: float) -> None:
        """A silence of so long ended by itself: the stream is like that."""
        self._longest_s = max(self._longest_s, silent_s)
