"""Dead letters of one sink: kept in the journal, and tried again when somebody asks.

A retry is announced by a row of the journal with the closed gap of each letter, for
this sink alone. Where the sink comes to that row it is given the record before its gap,
at a position of its own; so a retry is stored exactly once, as everything else.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tapeline.clock import Clock
from tapeline.delivery.dead_letters import marker
from tapeline.delivery.source import BatchSource
from tapeline.model import CLOSED, Batch, Gap, KeptLetter, Part, Record

_AT_ONCE = 500


class Retries:
    """What waits for a decision, and what comes again.

    Args:
        sink: its name.

    Attributes:
        waiting: letters that nobody has decided on.
    """

    def __init__(self, sink: str, journal: BatchSource, clock: Clock) -> None:
        self.waiting = 0
        self._sink = sink
        self._journal = journal
        self._clock = clock
        self._coming: dict[int, KeptLetter] = {}

    async def load(self, cursor: int) -> None:
        """Read what an earlier run kept; what was stored since is forgotten.

        Args:
            cursor: of the sink.
        """
        letters = await self._journal.letters(self._sink)
        if not letters:
            return
        stored = [
            letter.key
            for letter in letters
            if letter.retry_position is not None and letter.retry_position <= cursor
        ]
        if stored:
            await self._journal.drop_letters(stored)
        self._coming = {
            letter.gap_id: letter
            for letter in letters
            if letter.retry_position is not None and letter.retry_position > cursor
        }
        self.waiting = sum(letter.retry_position is None for letter in letters)

    async def keep(self, letters: Sequence[KeptLetter]) -> None:
        """Keep newly refused records, durably."""
        await self._journal.keep_letters(letters)
        self.waiting += len(letters)

    async def again(self) -> int:
        """Announce everything that waits; returns how many that was."""
        letters = [
            letter
            for letter in await self._journal.letters(self._sink)
            if letter.retry_position is None and letter.gap_id not in self._coming
        ]
        now_ns = self._clock.wall_ns()
        for start in range(0, len(letters), _AT_ONCE):
            group = letters[start : start + _AT_ONCE]
            gaps = [marker(letter, now_ns) for letter in group]
            position = self._journal.append_retry(gaps, [each.key for each in group])
            # Nothing is awaited between: the runner cannot pass the row unprepared.
            for letter in group:
                self._coming[letter.gap_id] = attrs.evolve(
                    letter, retry_position=position
                )
        self.waiting -= len(letters)
        return len(letters)

    async def drop(self) -> int:
        """Forget everything that waits; gaps stay. Returns how many that was."""
        keys = [
            letter.key
            for letter in await self._journal.letters(self._sink)
            if letter.retry_position is None and letter.gap_id not in self._coming
        ]
        await self._journal.drop_letters(keys)
        self.waiting -= len(keys)
        return len(keys)

    def completed(self, batch: Batch) -> Batch:
        """*batch* with the record of each announced letter before its gap."""
        if not self._coming:
            return batch
        return Batch(batch.journal_id, [self._part(part) for part in batch.parts])

    async def stored(self, position: int) -> None:
        """The sink has everything up to *position*: those letters are done."""
        if not self._coming:
            return
        done = [
            letter
            for letter in self._coming.values()
            if letter.retry_position is not None and letter.retry_position <= position
        ]
        if done:
            await self._journal.drop_letters([letter.key for letter in done])
            for letter in done:
                del self._coming[letter.gap_id]

    def _part(self, part: Part) -> Part:
        records: list[Record] = []
        for record in part.records:
            if (
                isinstance(record, Gap)
                and record.state == CLOSED
                and record.for_sink == self._sink
            ):
                letter = self._coming.get(record.gap_id)
                if letter is not None:
                    records.append(letter.record)
            records.append(record)
        return (
            part if len(records) == len(part.records) else Part(part.position, records)
        )
