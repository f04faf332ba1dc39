"""Bans of venues, kept in the journal so that a restart does not offend again."""

from __future__ import annotations

from tapeline.clock import Clock
from tapeline.journal import JournalLike
from tapeline.transport import MemoryBans

LONGEST_S = 4 * 86_400.0
"""No venue bans for longer; a journal that says so has seen another clock."""


class JournalBans:
    """A ``BanMemory`` over the journal; remembers in memory until there is one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._memory = MemoryBans(clock)
        self._journal: JournalLike | None = None

    def use(self, journal: JournalLike) -> None:
        """Read what *journal* knows, and tell it from now on."""
        self._journal = journal
        now_ns = self._clock.wall_ns()
        for scope, until_ns in journal.bans().items():
            wait_s = min((until_ns - now_ns) / 1e9, LONGEST_S)
            self._memory.remember(scope, wait_s)

    def left_s(self, scope: str) -> float:
        """Seconds for which *scope* is still to be left alone; 0 when it is not."""
        return self._memory.left_s(scope)

    def remember(self, scope: str, wait_s: float) -> None:
        """Leave *scope* alone for *wait_s* seconds, also after a restart."""
        self._memory.remember(scope, wait_s)
        if self._journal is not None:
            until_ns = self._clock.wall_ns() + int(self._memory.left_s(scope) * 1e9)
            self._journal.remember_ban(scope, until_ns)
