"""The numbering of messages, which shows what was lost on the way.

Documented: each message has a ``sequence_num`` that steps by one. Unconfirmed: whether
it counts the messages of the connection or those of each channel. Both are taken: a
channel whose first message has the number zero after others came shows that each
channel counts for itself. Numbering by product is not supported.
"""

from __future__ import annotations

import enum

from tapeline_coinbase.numbers import Unusable, ns_of


class Order(enum.Enum):
    """Where a message stands: next in order, after a hole, or late or repeated."""

    NEXT = "next"
    AFTER_HOLE = "after a hole"
    LATE = "late"


class MessageSequence:
    """Numbers of one connection."""

    def __init__(self) -> None:
        self.holes = 0
        self.by_channel = False
        self._last: int | None = None
        self._last_of: dict[str, int] = {}
        self._newest = ""

    def take(self, channel: str, number: int, timestamp: str) -> Order:
        """Where the message with *number* stands.

        With numbers by channel only messages of that channel can be missing.
        """
        # hot path
        before = self._last_of.get(channel)
        if before is None and number == 0 and self._last is not None:
            self.by_channel = True
        last = before if self.by_channel else self._last
        order = Order.NEXT
        if last is not None and number != last + 1:
            if number <= last and not self._is_newer(timestamp):
                # The hole was noted when it was overtaken.
                return Order.LATE
            order = Order.AFTER_HOLE
            self.holes += 1
        self._last = self._last_of[channel] = number
        self._newest = timestamp
        return order

    def _is_newer(self, timestamp: str) -> bool:
        """A low number with a new time: the venue counts afresh."""
        try:
            return ns_of(timestamp) > ns_of(self._newest)
        except Unusable:
            return False
