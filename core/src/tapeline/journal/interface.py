"""What the runtime needs of a journal, on disk or in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from tapeline.journal.recovery import DamageReport
from tapeline.journal.spans import Spans
from tapeline.model import Batch, KeptLetter, LetterKey, Record


class JournalLike(Protocol):
    """One order of everything; ``Journal`` and ``MemoryJournal`` both are one."""

    @property
    def journal_id(self) -> str:
        """Name of this journal; positions of different journals do not compare."""

    @property
    def last(self) -> int:
        """Position of the newest append."""

    @property
    def committed(self) -> int:
        """Position up to which everything is durable."""

    @property
    def floor(self) -> int:
        """Position up to which rows were trimmed."""

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for a commit."""

    @property
    def pressure(self) -> float:
        """Pending bytes as a part of what memory allows; 1.0 is the end."""

    @property
    def full(self) -> bool:
        """True while the disk refuses, or memory is spent: intake is to be shed."""

    @property
    def damage(self) -> DamageReport | None:
        """What was wrong when it was opened."""

    @property
    def damages(self) -> Sequence[DamageReport]:
        """All damage found so far, the oldest first."""

    def append(self, records: Sequence[Record], *, urgent: bool = False) -> int:
        """Take *records* as the next position; returns it. Hot path.

        Args:
            urgent: never refuse them. For facts, which somebody believes to be
                written once they are made, and for events that were taken before
                it was ``full``; the caller keeps them few.

        Raises:
            JournalFull: memory for what the disk refuses is spent.
        """

    async def wait_committed(self, position: int) -> None:
        """Wait until *position* is durable; the caller sets a deadline."""

    async def run(self) -> None:
        """Commit and trim until closed; one task of the owner."""

    async def next_batch(
        self,
        after: int,
        max_records: int = 5_000,
        max_bytes: int = 4 * 2**20,
        *,
        sink: str = "",
    ) -> Batch | None:
        """Committed rows behind *after*, in order; None when there are none.

        What *sink* cannot get any more comes first, as gaps at one position.
        """

    async def wait_beyond(self, position: int) -> None:
        """Wait until there are committed rows behind *position*."""

    def expect_sink(self, name: str) -> None:
        """Keep rows from now on for a sink that will register later."""

    def register_sink(
        self, name: str, position: int | None, *, own_cursor: bool = True
    ) -> int:
        """A durable sink reads from now on; returns its cursor.

        Args:
            position: the sink's own cursor in this journal, which wins; None when
                this journal is new to it: it starts at the oldest row, and is told
                of what was trimmed before.
            own_cursor: False for a sink that keeps no cursor: with None it goes on
                where this journal remembers it to be.
        """

    def retain_sinks(self, names: Collection[str]) -> None:
        """Forget all sinks but *names*: they hold back the trim no longer."""

    def retain_checkpoints(self, names: Collection[str]) -> None:
        """Forget all checkpoints but *names*, for the same reason."""

    def cursor(self, name: str) -> int | None:
        """How far the sink is; None when it is not known."""

    def advance_cursor(self, name: str, position: int) -> None:
        """The sink has stored everything up to *position*."""

    def lag(self, name: str) -> tuple[int, int, float]:
        """Rows, bytes and seconds by which the sink is behind."""

    async def keep_letters(self, letters: Sequence[KeptLetter]) -> None:
        """Keep what a sink refused, durably; waits while the disk refuses."""

    async def letters(self, sink: str) -> Sequence[KeptLetter]:
        """The dead letters of *sink*, the oldest first."""

    async def drop_letters(self, keys: Sequence[LetterKey]) -> None:
        """Forget these dead letters."""

    def append_retry(self, records: Sequence[Record], keys: Sequence[LetterKey]) -> int:
        """Take *records*, which announce that *keys* come again at their position.

        Both become durable in one commit.
        """

    def checkpoint(self, name: str, position: int, payload: bytes) -> None:
        """Keep *payload*, which holds what rows up to *position* made."""

    def checkpoints(self) -> Mapping[str, tuple[int, bytes]]:
        """Name → position and payload of the newest checkpoints."""

    def read_from(self, position: int) -> AsyncIterator[tuple[int, Sequence[Record]]]:
        """Committed rows behind *position*, for a refold at start."""

    async def spans(self, after: int = 0) -> Spans:
        """Id and time ranges of all streams written behind *after*, from headers."""

    def remember_ban(self, scope: str, until_ns: int) -> None:
        """Keep away from *scope* until then, nanoseconds UTC, over restarts too."""

    def bans(self) -> Mapping[str, int]:
        """Scope → nanoseconds UTC, of bans that are not over."""

    def statistics(self) -> Mapping[str, int | float | str | bool]:
        """JSON-ready figures."""

    async def aclose(self) -> None:
        """Commit everything, then close; safe twice."""
