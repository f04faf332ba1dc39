"""A sink in memory that really stores, with knobs for everything that goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import attrs

from tapeline.clock import Clock, Now, SystemClock
from tapeline.errors import SinkRejected, SinkUnavailable
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, Coverage, Gap, Record, SinkHealth, Trade


class MemoryDatabase:
    """What a ``MemorySink`` stores: it outlives the sink, as a database does.

    Args:
        rows: ``(journal id, position, ordinal)`` → record.
        cursors: journal id → position.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int, int], Record] = {}
        self.cursors: dict[str, int] = {}

    def copy(self) -> MemoryDatabase:
        """Everything as it is stored at this moment."""
        copied = MemoryDatabase()
        copied.rows.update(self.rows)
        copied.cursors.update(self.cursors)
        return copied

    def records(self) -> list[Record]:
        """Everything stored, in journal order."""
        return [self.rows[key] for key in sorted(self.rows, key=lambda key: key[1:])]

    def trades(self) -> list[Trade]:
        """The trades, in journal order."""
        return [record for record in self.records() if isinstance(record, Trade)]

    def gaps(self) -> list[Gap]:
        """The newest revision of each gap, in the order they became known."""
        found: dict[int, Gap] = {}
        for record in self.records():
            if isinstance(record, Gap):
                known = found.get(record.gap_id)
                if known is None or record.revision >= known.revision:
                    found[record.gap_id] = record
        return list(found.values())

    def coverage(self) -> list[Coverage]:
        """The coverage rows, in journal order."""
        return [record for record in self.records() if isinstance(record, Coverage)]


@attrs.frozen
class MemoryConfig:
    """It has no options."""


class MemorySinkAdapter:
    """A ``SinkAdapter`` whose sinks all store in one ``MemoryDatabase``.

    Args:
        database: a new one when None.
        prepare: called with every sink that it makes, to set its knobs.

    Attributes:
        sinks: all that it has made, the newest last.
    """

    name: str = "memory"
    config: type[Any] = MemoryConfig
    promise: str = "durable"
    accepts: Sequence[str] | None = None
    default: bool = False

    def __init__(
        self,
        database: MemoryDatabase | None = None,
        prepare: Callable[[MemorySink], None] | None = None,
    ) -> None:
        self.database = database or MemoryDatabase()
        self.sinks: list[MemorySink] = []
        self._prepare = prepare

    def sink(self, config: Any, context: SinkContext) -> MemorySink:
        """A new sink over the database."""
        sink = MemorySink(self.database, clock=context.clock)
        if self._prepare is not None:
            self._prepare(sink)
        self.sinks.append(sink)
        return sink

    def open_reader(self, url: str) -> None:
        """Nothing has an address here."""


class MemorySink:
    """See ``hookspecs.Sink``: rows and cursor change together, or not at all.

    Parts at or below the stored cursor are skipped, as a database would.

    Args:
        database: what it stores in; a new one when None.
        clock: for delays.
        own_cursor: False for a sink that cannot tell how far it is.

    Knobs, to be set at any time:
        open_failures, write_failures: how often the next calls raise
            ``SinkUnavailable``.
        lost_replies: how often the next writes store and then raise it.
        open_error: raised by the next ``open``.
        write_error: raised by every ``write`` while it is set.
        refuse: records for which it is true can never be stored.
        names_refused: whether the refusal tells which records.
        delay_s: of each write. Between ``hang`` and ``release`` they do not end.
    """

    def __init__(
        self,
        database: MemoryDatabase | None = None,
        *,
        clock: Clock | None = None,
        own_cursor: bool = True,
    ) -> None:
        self.database = database or MemoryDatabase()
        self.open_failures = 0
        self.write_failures = 0
        self.lost_replies = 0
        self.open_error: Exception | None = None
        self.write_error: Exception | None = None
        self.refuse: Callable[[Record], bool] | None = None
        self.names_refused = True
        self.delay_s = 0.0
        self.opens = 0
        self.writes = 0
        self.closes = 0
        self.cancelled = 0
        self.is_open = False
        self.batches: list[Batch] = []
        self._clock = clock or SystemClock()
        self._own_cursor = own_cursor
        self._released: anyio.Event | None = None

    def hang(self) -> None:
        """Every write waits until ``release``."""
        self._released = anyio.Event()

    def release(self) -> None:
        """Let writes go on."""
        if self._released is not None:
            self._released.set()
            self._released = None

    async def open(self, journal_id: str) -> int | None:
        """How far the database has this journal."""
        self.opens += 1
        if self.open_failures > 0:
            self.open_failures -= 1
            raise SinkUnavailable("expected the database to answer, found it down")
        if self.open_error is not None:
            raise self.open_error
        self.is_open = True
        return self.database.cursors.get(journal_id) if self._own_cursor else None

    async def write(self, batch: Batch) -> None:
        """Store *batch* and its cursor."""
        self.writes += 1
        try:
            await self._wait()
        except BaseException:
            self.cancelled += 1
            raise
        if self.write_failures > 0:
            self.write_failures -= 1
            raise SinkUnavailable("expected the database to answer, found it down")
        if self.write_error is not None:
            raise self.write_error
        refused = self._refused(batch)
        if refused:
            raise SinkRejected(
                f"expected records that fit, found {len(refused)} that do not",
                refused if self.names_refused else (),
            )
        self._store(batch)
        if self.lost_replies > 0:
            self.lost_replies -= 1
            raise SinkUnavailable("expected an answer to the commit, found none")

    async def close(self) -> None:
        """Forget the connection; what is stored stays."""
        self.closes += 1
        self.is_open = False

    def health(self, now: Now) -> SinkHealth:
        """Healthy while open."""
        issues = () if self.is_open else ("not open",)
        return SinkHealth(self.is_open, issues, {"writes": self.writes})

    async def _wait(self) -> None:
        if self.delay_s:
            await self._clock.sleep(self.delay_s)
        if self._released is not None:
            # A hanging database hangs for as long as the test says.
            await self._released.wait()

    def _refused(self, batch: Batch) -> Sequence[tuple[int, int]]:
        refuse = self.refuse
        if refuse is None:
            return ()
        return [
            (position, ordinal)
            for position, ordinal, record in batch.records()
            if refuse(record)
        ]

    def _store(self, batch: Batch) -> None:
        cursor = self.database.cursors.get(batch.journal_id)
        for position, ordinal, record in batch.records():
            if cursor is None or position > cursor:
                self.database.rows[batch.journal_id, position, ordinal] = record
        last = batch.last_position
        self.database.cursors[batch.journal_id] = max(
            last, last if cursor is None else cursor
        )
        self.batches.append(batch)
