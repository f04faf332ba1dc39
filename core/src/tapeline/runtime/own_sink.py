"""A sink that one collector brought: it gets that collector's streams alone."""

from __future__ import annotations

from collections.abc import Callable

from tapeline.clock import Now
from tapeline.hookspecs import Sink
from tapeline.model import Batch, Part, Record, SinkHealth


class OwnSink:
    """Passes on what *mine* says yes to; positions move on for the rest too.

    A position is never split: its part holds what is left of it, possibly nothing.
    """

    def __init__(self, sink: Sink, mine: Callable[[Record], bool]) -> None:
        self._sink = sink
        self._mine = mine
        self.keeps_dead_letters = bool(getattr(sink, "keeps_dead_letters", False))

    async def open(self, journal_id: str) -> int | None:
        """Open the sink."""
        return await self._sink.open(journal_id)

    async def write(self, batch: Batch) -> None:
        """Store what is the collector's own."""
        mine = self._mine
        parts = [
            Part(part.position, [record for record in part.records if mine(record)])
            for part in batch.parts
        ]
        await self._sink.write(Batch(batch.journal_id, parts))

    async def close(self) -> None:
        """Close the sink."""
        await self._sink.close()

    def health(self, now: Now) -> SinkHealth:
        """Health of the sink."""
        return self._sink.health(now)
