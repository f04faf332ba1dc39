"""What we remember of bans, so that a restart does not repeat the offence."""

from __future__ import annotations

from typing import Protocol


class BanMemory(Protocol):
    """Where bans are kept; the journal keeps them on disk."""

    def banned_until_ns(self, exchange: str) -> int:
        """Until when *exchange* banned us, wall nanoseconds UTC; 0 when it did not."""

    def remember_ban(self, exchange: str, until_ns: int) -> None:
        """*exchange* banned us until *until_ns*, wall nanoseconds UTC."""


class MemoryBans:
    """Bans of this process only."""

    def __init__(self) -> None:
        self._until_ns: dict[str, int] = {}

    def banned_until_ns(self, exchange: str) -> int:
        """Until when *exchange* banned us, wall nanoseconds UTC; 0 when it did not."""
        return self._until_ns.get(exchange, 0)

    def remember_ban(self, exchange: str, until_ns: int) -> None:
        """Keep the later end of two bans."""
        self._until_ns[exchange] = max(until_ns, self.banned_until_ns(exchange))
