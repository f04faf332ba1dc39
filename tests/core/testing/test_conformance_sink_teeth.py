"""Deliberately broken sinks: each is caught by the case that names its fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from tapeline.clock import Now
from tapeline.errors import SinkRejected, SinkUnavailable
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, RawMessage, Secret, SinkHealth, Trade
from tapeline.testing import SECRET_TEXT, Destination, SinkUnderTest
from tapeline.testing.conformance import SINK_CASES, Outcome, run_case
from tapeline.testing.conformance.sink_records import trade

POISON = 900_001


@attrs.define
class Shelf:
    """What sinks store in: rows in order, and a cursor for each journal."""

    rows: list[int] = attrs.field(factory=list)
    cursors: dict[str, int] = attrs.field(factory=dict)
    down: bool = False
    token: Secret | None = None


class ShelfSink:
    """A sink as it should be."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.writes = 0
        self.issues: Sequence[str] = ()

    async def open(self, journal_id: str) -> int | None:
        if self.shelf.down:
            raise SinkUnavailable("the shelf is away")
        return self.shelf.cursors.get(journal_id)

    async def write(self, batch: Batch) -> None:
        self.check()
        self.refuse(batch)
        await anyio.lowlevel.checkpoint()
        await self.store(batch)
        self.writes += 1

    def check(self) -> None:
        if self.shelf.down:
            self.issues = ("the shelf is away",)
            raise SinkUnavailable("the shelf is away")
        self.issues = ()

    def refuse(self, batch: Batch) -> None:
        bad = [(p, o) for p, o, record in batch.records() if _id(record) == POISON]
        if bad:
            raise SinkRejected("a record that does not fit", bad)

    async def store(self, batch: Batch) -> None:
        cursor = self.shelf.cursors.get(batch.journal_id, -1)
        self.shelf.rows += self.ids(batch, cursor)
        self.shelf.cursors[batch.journal_id] = max(cursor, batch.last_position)

    def ids(self, batch: Batch, cursor: int) -> list[int]:
        return [
            record.last_id
            for position, _, record in batch.records()
            if isinstance(record, Trade) and position > cursor
        ]

    async def close(self) -> None:
        return

    def health(self, now: Now) -> SinkHealth:
        return SinkHealth(not self.issues, self.issues, {"writes": self.writes})


def _id(record: object) -> int | None:
    return getattr(record, "last_id", None)


class NoCursor(ShelfSink):
    """It never knows how far it is."""

    async def open(self, journal_id: str) -> int | None:
        await super().open(journal_id)
        return None


class OneCursor(ShelfSink):
    """All journals have the same cursor."""

    async def open(self, journal_id: str) -> int | None:
        return await super().open("any")

    async def store(self, batch: Batch) -> None:
        await super().store(attrs.evolve(batch, journal_id="any"))


class Repeats(ShelfSink):
    """What comes again is stored again."""

    def ids(self, batch: Batch, cursor: int) -> list[int]:
        return super().ids(batch, -1)


class WholeBatches(ShelfSink):
    """Only a batch that is known as a whole is left out."""

    def ids(self, batch: Batch, cursor: int) -> list[int]:
        known = batch.last_position <= cursor
        return [] if known else super().ids(batch, -1)


class CursorGoesBack(ShelfSink):
    """The cursor is where the last batch was."""

    async def store(self, batch: Batch) -> None:
        await super().store(batch)
        self.shelf.cursors[batch.journal_id] = batch.last_position


class Later(ShelfSink):
    """Rows wait for the next write, and for close."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf)
        self.waiting: list[Batch] = []

    async def store(self, batch: Batch) -> None:
        await self.close()
        self.waiting = [batch]

    async def close(self) -> None:
        for batch in self.waiting:
            await super().store(batch)
        self.waiting = []


class FirstOnly(ShelfSink):
    """One row a position."""

    def ids(self, batch: Batch, cursor: int) -> list[int]:
        return [
            part.records[0].last_id
            for part in batch.parts
            if part.position > cursor and isinstance(part.records[0], Trade)
        ]


class ClosesOnce(ShelfSink):
    """A second close fails."""

    closed = False

    async def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


class NoRawMessages(ShelfSink):
    """It fails on a kind that it says it takes."""

    async def store(self, batch: Batch) -> None:
        if any(isinstance(record, RawMessage) for _, _, record in batch.records()):
            raise TypeError("RawMessage")
        await super().store(batch)


class Hides(ShelfSink):
    """While the shelf is away it says that all is stored."""

    def check(self) -> None:
        return

    async def store(self, batch: Batch) -> None:
        if not self.shelf.down:
            await super().store(batch)


class OtherError(ShelfSink):
    """An outage is told in the driver's words."""

    def check(self) -> None:
        if self.shelf.down:
            self.issues = ("away",)
            raise ConnectionError("away")


class AlwaysWell(ShelfSink):
    """Health knows nothing of an outage."""

    def health(self, now: Now) -> SinkHealth:
        return SinkHealth(True, (), {"writes": self.writes})


class TakesPoison(ShelfSink):
    """What does not fit is dropped, without a word."""

    def refuse(self, batch: Batch) -> None:
        return

    def ids(self, batch: Batch, cursor: int) -> list[int]:
        return [number for number in super().ids(batch, cursor) if number != POISON]


class BlamesAnother(ShelfSink):
    """The refusal names the wrong record."""

    def refuse(self, batch: Batch) -> None:
        try:
            super().refuse(batch)
        except SinkRejected as error:
            ((position, ordinal),) = error.records
            raise SinkRejected(str(error), [(position, ordinal + 1)]) from None


class CursorFirst(ShelfSink):
    """Cursor and rows are two steps, and in between it can be stopped."""

    async def store(self, batch: Batch) -> None:
        shelf = self.shelf
        cursor = shelf.cursors.get(batch.journal_id, -1)
        new = self.ids(batch, cursor)
        shelf.cursors[batch.journal_id] = max(cursor, batch.last_position)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        shelf.rows += new


class RowsFirst(ShelfSink):
    """The same the other way around."""

    async def store(self, batch: Batch) -> None:
        shelf = self.shelf
        cursor = shelf.cursors.get(batch.journal_id, -1)
        shelf.rows += self.ids(batch, cursor)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        shelf.cursors[batch.journal_id] = max(cursor, batch.last_position)


class Countdown(ShelfSink):
    """A counter that falls."""

    def health(self, now: Now) -> SinkHealth:
        return SinkHealth(not self.issues, self.issues, {"left": 100 - self.writes})


class TellsSecrets(ShelfSink):
    """Its repr shows the token."""

    def __repr__(self) -> str:
        token = self.shelf.token
        return f"TellsSecrets({token.reveal() if token else None})"


class Hangs(ShelfSink):
    """A write that never returns while the shelf is away."""

    def check(self) -> None:
        return

    async def store(self, batch: Batch) -> None:
        while self.shelf.down:  # noqa: ASYNC110 - it only shall not return
            await anyio.sleep(0.01)
        await super().store(batch)


@attrs.define
class ShelfAdapter:
    """Makes sinks of one class."""

    made: type[ShelfSink]
    promise: str = "durable"
    name: str = "shelf"
    config: type[Any] = Shelf
    accepts: Sequence[str] | None = None
    default: bool = False

    def sink(self, config: Shelf, context: SinkContext) -> ShelfSink:
        return self.made(config)

    def open_reader(self, url: str) -> None:
        return None


def subject_of(made: type[ShelfSink], promise: str = "durable") -> SinkUnderTest:
    """Sinks of the class *made*, each case with a shelf of its own."""

    @contextmanager
    def destination() -> Iterator[Destination]:
        shelf = Shelf()

        @contextmanager
        def outage() -> Iterator[None]:
            shelf.down = True
            yield
            shelf.down = False

        yield Destination(
            shelf, lambda: list(shelf.rows), outage=outage, poison=trade(POISON)
        )

    return SinkUnderTest(
        ShelfAdapter(made, promise),
        destination,
        deadline_s=0.5 if made is Hangs else 30.0,
        secrets=Shelf(token=Secret(SECRET_TEXT)),
    )


BROKEN: Sequence[tuple[str, type[ShelfSink], set[str]]] = [
    ("SK-OPEN-001", NoCursor, {"SK-ONCE-003", "SK-ONCE-004", "SK-CANCEL-001"}),
    ("SK-OPEN-001", OneCursor, set()),
    ("SK-ONCE-002", Repeats, {"SK-ONCE-003"}),
    ("SK-ONCE-003", WholeBatches, set()),
    ("SK-ONCE-003", CursorGoesBack, set()),
    ("SK-ONCE-001", Later, {"SK-EXACT-001", "SK-CANCEL-001", "SK-FAULT-002"}),
    ("SK-EXACT-001", FirstOnly, {"SK-FAULT-003"}),
    ("SK-CLOSE-001", ClosesOnce, set()),
    ("SK-KINDS-001", NoRawMessages, set()),
    ("SK-FAULT-001", Hides, {"SK-FAULT-002"}),
    ("SK-FAULT-001", OtherError, {"SK-FAULT-002"}),
    ("SK-FAULT-001", AlwaysWell, set()),
    ("SK-FAULT-001", Hangs, {"SK-FAULT-002"}),
    ("SK-FAULT-003", TakesPoison, set()),
    ("SK-FAULT-003", BlamesAnother, set()),
    ("SK-CANCEL-001", CursorFirst, set()),
    ("SK-CANCEL-001", RowsFirst, set()),
    ("SK-HEALTH-001", Countdown, set()),
    ("SK-SECRET-001", TellsSecrets, set()),
]
"""Case that names the fault, what has it, and what else may notice."""


def failures(subject: SinkUnderTest) -> dict[str, str]:
    """Case id → what was found, of all cases that fail."""
    results = [run_case(case, subject, (1, 0)) for case in SINK_CASES]
    return {
        each.case.id: each.message
        for each in results
        if each.outcome not in (Outcome.PASSED, Outcome.NOT_APPLICABLE)
        and each.case.id != "SK-COST-001"
    }


def test_a_sink_as_it_should_be_passes_every_case() -> None:
    assert failures(subject_of(ShelfSink)) == {}


@pytest.mark.parametrize(
    ("case", "broken", "others"), BROKEN, ids=[made.__name__ for _, made, _ in BROKEN]
)
def test_a_broken_sink_is_caught_by_the_case_that_names_its_fault(
    case: str, broken: type[ShelfSink], others: set[str]
) -> None:
    found = failures(subject_of(broken))

    assert case in found, found
    assert f"docs/conformance.md#{case.lower()}" in found[case]
    assert found.keys() - {case} <= others, found


def test_a_live_sink_with_a_cursor_promises_too_little() -> None:
    assert [*failures(subject_of(ShelfSink, "live"))] == ["SK-PROMISE-001"]


def test_a_sink_that_promises_anything_else_is_refused() -> None:
    assert "SK-PROMISE-001" in failures(subject_of(ShelfSink, "at-most-once"))
