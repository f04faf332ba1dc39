"""The numbering of messages, which shows what was lost on the way.

Documented: each message has a ``sequence_num`` that steps by one. Unconfirmed: whether
it counts the messages of the connection or those of each channel. Both are taken: a
channel whose first message has the number zero after others came shows that each
channel counts for itself. Numbering by product is not supported.
"""

from __future__ import annotations


class MessageSequence:
    """Numbers of one connection."""

    def __init__(self) -> None:
        self.holes = 0
        self._last: int | None = None
        self._last_of: dict[str, int] = {}
        self._by_channel = False

    def take(self, channel: str, number: int) -> bool:
        """Whether *number* shows that messages before it are missing.

        With numbers by channel only messages of that channel can be missing.
        """
        before = self._last_of.get(channel)
        if before is None and number == 0 and self._last is not None:
            self._by_channel = True
        last = before if self._by_channel else self._last
        if last is not None and number <= last and number != 0:
            # Sent twice, or overtaken: the hole was noted when it was overtaken.
            return False
        self._last = number
        self._last_of[channel] = number
        hole = last is not None and number != last + 1
        self.holes += hole
        return hole

    @property
    def by_channel(self) -> bool:
        """Whether each channel counts for itself."""
        return self._by_channel
