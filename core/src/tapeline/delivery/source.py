"""What delivery needs of a journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tapeline.model import Batch, KeptLetter, LetterKey, Record


class BatchSource(Protocol):
    """The reading side of a journal; every journal of ours is one."""

    @property
    def journal_id(self) -> str:
        """Name of the journal; positions of different journals do not compare."""

    @property
    def committed(self) -> int:
        """Position up to which everything is durable."""

    def expect_sink(self, name: str) -> None:
        """Keep rows from now on for a sink that will register later."""

    def register_sink(
        self, name: str, position: int | None, *, own_cursor: bool = True
    ) -> int:
        """A sink reads from now on; returns its cursor."""

    def cursor(self, name: str) -> int | None:
        """How far the sink is; None when it is not known."""

    def advance_cursor(self, name: str, position: int) -> None:
        """The sink has stored everything up to *position*."""

    def lag(self, name: str) -> tuple[int, int, float]:
        """Rows, bytes and seconds by which the sink is behind."""

    async def keep_letters(self, letters: Sequence[KeptLetter]) -> None:
        """Keep what a sink refused, durably."""

    async def letters(self, sink: str) -> Sequence[KeptLetter]:
        """What *sink* refused, the oldest first."""

    async def drop_letters(self, keys: Sequence[LetterKey]) -> None:
        """Forget these dead letters."""

    def append_retry(self, records: Sequence[Record], keys: Sequence[LetterKey]) -> int:
        """Take *records*, which announce that *keys* come again at their position."""

    async def next_batch(
        self,
        after: int,
        max_records: int = 5_000,
        max_bytes: int = 4 * 2**20,
        *,
        sink: str = "",
    ) -> Batch | None:
        """Committed rows behind *after*; None when there are none."""

    async def wait_beyond(self, position: int) -> None:
        """Wait until there are committed rows behind *position*."""
