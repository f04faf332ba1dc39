"""Finding the records that a sink can never store, so that all others are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from tapeline.clock import Clock
from tapeline.delivery.dead_letters import (
    QUARANTINE,
    DeadLetter,
    DeadLetters,
    halves,
    quarantine_id,
    suspects,
    without,
)
from tapeline.errors import SinkRejected
from tapeline.model import Batch, Gap, KeptLetter, Part, Record

Keep = Callable[[Sequence[KeptLetter]], Awaitable[None]]
"""Keeps refused records durably."""

Store = Callable[[Batch], Awaitable[bool]]
"""Stores a batch, for ever while the sink is away; False when it was given up."""


class Poison:
    """Takes a refused batch apart until what can be stored is.

    Args:
        sink: its name.
        store: one write.
        letters: where the refused records go, for people to look at.
        keep: where they are kept for another try; None when the sink keeps them.

    Raises:
        SinkRejected: from its methods, when the sink refuses even a bare cursor.
    """

    def __init__(
        self,
        sink: str,
        store: Store,
        letters: DeadLetters,
        clock: Clock,
        keep: Keep | None = None,
    ) -> None:
        self._sink = sink
        self._store = store
        self._letters = letters
        self._clock = clock
        self._keep = keep

    async def write(self, batch: Batch) -> bool:
        """Store *batch* without as few of its records as possible.

        Returns:
            False when that was given up for a stop.
        """
        try:
            return await self._store(batch)
        except SinkRejected as error:
            if not len(batch):
                raise
            refused, reason = list(error.records), str(error)
        if refused:
            left = await self._bury(batch, refused, reason)
            if left != batch:
                return await self.write(left)
        if len(batch.parts) > 1:
            for half in halves(batch):
                if not await self.write(half):
                    return False
            return True
        return await self._isolate(batch, reason)

    async def _isolate(self, batch: Batch, reason: str) -> bool:
        """Store a refused part without as few of its records as possible."""
        for group in suspects(batch.parts[0]):
            trial = without(batch, group, self._sink, self._clock.wall_ns())
            try:
                stored = await self._store(trial)
            except SinkRejected:
                continue
            if stored:
                # Who the culprits are shows only in that the others are stored. A
                # crash just here leaves their gap and not their letter.
                await self._bury(batch, group, reason)
            return stored
        # Not even gaps in the place of everything: only the cursor is left.
        everything = [(place, ordinal) for place, ordinal, _ in batch.records()]
        await self._bury(batch, everything, reason)
        bare = Part(batch.last_position, ())
        return await self.write(Batch(batch.journal_id, (bare,)))

    async def _bury(
        self, batch: Batch, refused: Collection[tuple[int, int]], reason: str
    ) -> Batch:
        """Count what is refused as dead letters; returns what is left of *batch*."""
        wanted = set(refused)
        now_ns = self._clock.wall_ns()
        dead = [
            DeadLetter(position, ordinal, record, reason)
            for position, ordinal, record in batch.records()
            if (position, ordinal) in wanted and not self._is_ours(record)
        ]
        for letter in dead:
            self._letters.add(letter)
        if self._keep is not None and dead:
            await self._keep([self._kept(batch, one, now_ns) for one in dead])
        return without(batch, wanted, self._sink, now_ns)

    def _kept(self, batch: Batch, letter: DeadLetter, at_ns: int) -> KeptLetter:
        place = (letter.position, letter.ordinal)
        return KeptLetter(
            self._sink,
            *place,
            quarantine_id(batch.journal_id, *place, self._sink),
            letter.reason,
            at_ns,
            letter.record,
        )

    def _is_ours(self, record: Record) -> bool:
        """True for the gap that already stands for a dead letter."""
        return (
            isinstance(record, Gap)
            and record.cause == QUARANTINE
            and record.for_sink == self._sink
        )
