"""Driving a sink as core's own runner does, one call at a time."""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import attrs

from tapeline.clock import SystemClock, now
from tapeline.errors import SinkUnavailable
from tapeline.hookspecs import Sink, SinkContext
from tapeline.model import Batch, SinkHealth
from tapeline.runtime import ThreadExecutor
from tapeline.testing.conformance.sink_records import JOURNAL
from tapeline.testing.conformance.subjects import Destination, SinkUnderTest
from tapeline.testing.conformance.verdicts import RuleBroken

_MOST_TRIES = 200
_BETWEEN_TRIES_S = 0.05

Result = TypeVar("Result")


@attrs.define
class Driver:
    """One destination, and sinks that are made for it one after the other.

    Args:
        place: where they store.
        random: of the case; seeded.
    """

    subject: SinkUnderTest
    place: Destination
    folder: Path
    random: random.Random = attrs.field(factory=lambda: random.Random(1))
    clock: SystemClock = attrs.field(factory=SystemClock)

    def make(self) -> Sink:
        """A new sink, not opened."""
        context = SinkContext(
            "conformance",
            self.clock,
            ThreadExecutor(),
            logging.getLogger("tapeline.conformance"),
            self.folder,
        )
        return self.subject.adapter.sink(self.place.config, context)

    async def opened(self, journal: str = JOURNAL) -> tuple[Sink, int | None]:
        """A new sink and its cursor."""
        sink = self.make()
        return sink, await self.within(sink.open(journal), "open")

    async def within(self, call: Awaitable[Result], what: str) -> Result:
        """Wait for a call of the sink.

        Raises:
            RuleBroken: it takes longer than the deadline.
        """
        with anyio.move_on_after(self.subject.deadline_s):
            return await call
        raise RuleBroken(f"{what} has not returned in {self.subject.deadline_s} s")

    async def write(self, sink: Sink, batch: Batch) -> None:
        """Write *batch*, again and again while the destination is away.

        Raises:
            RuleBroken: it is away for ever.
        """
        for _ in range(_MOST_TRIES):
            try:
                await self.within(sink.write(batch), "write")
            except SinkUnavailable:
                await anyio.sleep(_BETWEEN_TRIES_S)
            else:
                return
        raise RuleBroken(f"{_MOST_TRIES} times unavailable, with the destination there")

    async def stored(self) -> Sequence[int]:
        """What the destination has, seen from outside."""
        found = await anyio.to_thread.run_sync(self.place.stored)
        return list(found)

    async def expect(self, first: int, last: int, *, most: int | None = None) -> None:
        """Trades *first* to *last* are stored, each once.

        Args:
            most: ids up to this one may be stored as well; None for none.

        Raises:
            RuleBroken: one is lost, doubled, or was never written.
        """
        found = sorted(await self.stored())
        doubled = sorted({number for number in found if found.count(number) > 1})
        if doubled:
            raise RuleBroken(f"{len(doubled)} events are doubled, first {doubled[0]}")
        lost = sorted({*range(first, last + 1)} - {*found})
        if lost:
            raise RuleBroken(f"{len(lost)} accepted events are lost, first {lost[0]}")
        beyond = [n for n in found if n < first or n > (last if most is None else most)]
        if beyond:
            raise RuleBroken(f"{beyond[0]} is stored and was never accepted")

    def health(self, sink: Sink) -> SinkHealth:
        """What the sink says of itself."""
        return sink.health(now(self.clock))


Story = Callable[[Driver], Awaitable[None]]


def drive(subject: SinkUnderTest, story: Story) -> None:
    """Run *story* on an empty destination."""
    with (
        subject.destination() as place,
        tempfile.TemporaryDirectory(prefix="tapeline-") as folder,
    ):
        anyio.run(story, Driver(subject, place, Path(folder)))


@asynccontextmanager
async def closing(sink: Sink) -> AsyncIterator[Sink]:
    """Close *sink* at the end, whatever happens."""
    try:
        yield sink
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(10):
            await sink.close()
