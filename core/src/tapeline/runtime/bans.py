"""Bans of venues, kept in the journal so that a restart does not offend again."""

from __future__ import annotations

from tapeline.journal import JournalLike


class JournalBans:
    """A ``BanMemory`` over the journal; remembers in memory until there is one."""

    def __init__(self) -> None:
        self._journal: JournalLike | None = None
        self._until_ns: dict[str, int] = {}

    def use(self, journal: JournalLike) -> None:
        """Read what *journal* knows, and tell it from now on."""
        self._journal = journal
        self._until_ns.update(journal.bans())

    def banned_until_ns(self, exchange: str) -> int:
        """Nanoseconds UTC until which *exchange* is to be left alone; 0 if not."""
        return self._until_ns.get(exchange, 0)

    def remember_ban(self, exchange: str, until_ns: int) -> None:
        """Leave *exchange* alone until then, also after a restart."""
        self._until_ns[exchange] = until_ns
        if self._journal is not None:
            self._journal.remember_ban(exchange, until_ns)
