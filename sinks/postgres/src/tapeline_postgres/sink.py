"""The sink that core calls: keeps the driver's calls whole, and counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

from tapeline.clock import Now
from tapeline.errors import SinkError
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, SinkHealth
from tapeline_postgres.config import PostgresConfig
from tapeline_postgres.store import Store

Result = TypeVar("Result")

_END_S = 5.0


class PostgresSink:
    """Stores rows and cursor in one transaction of a server; see ``hookspecs.Sink``."""

    keeps_dead_letters = True

    def __init__(self, config: PostgresConfig, context: SinkContext) -> None:
        self._context = context
        self._store = Store(context.name, config, context.clock)
        self._counters: Counter[str] = Counter()
        self._issue = ""

    async def open(self, journal_id: str) -> int | None:
        """Connect, make or upgrade the tables, tell how far it has this journal.

        Raises:
            SinkUnavailable: the server cannot be used for now; to be tried again.
            SinkError: it never can be used: a sentence says why.
        """
        try:
            return await self._whole(self._store.open(journal_id))
        except SinkError as error:
            self._issue = str(error)
            raise

    async def write(self, batch: Batch) -> None:
        """Store *batch* and the cursor in one transaction, durably.

        Parts at or below the stored cursor are skipped.

        Raises:
            SinkUnavailable: no answer in time, a broken connection, a server without
                room; a new connection is made for the next batch.
            SinkRejected: records that the server refuses; they are in the table of
                dead letters, and nothing else is stored.
            SinkReplaced: the database has less than was written to it.
        """
        try:
            written = await self._whole(self._store.write(batch))
        except SinkError as error:
            self._issue = str(error)
            self._counters["failures"] += 1
            raise
        self._issue = ""
        self._counters["batches"] += 1
        self._counters["connections"] = self._store.connections
        for table, rows in written.rows.items():
            self._counters[table] += rows
        for kind, count in written.unknown.items():
            key = f"without_table_{kind}"
            if key not in self._counters:
                self._context.logger.warning(
                    "sink %s has no table for %s; such records are counted and left "
                    "out",
                    self._context.name,
                    kind,
                )
            self._counters[key] += count

    async def close(self) -> None:
        """Release the connection; safe twice, safe unopened."""
        await self._whole(self._store.close())

    def health(self, now: Now) -> SinkHealth:
        """Rows handed to each table, and the last failure until a batch is stored."""
        issues = (self._issue,) if self._issue else ()
        return SinkHealth(not issues, issues, dict(self._counters))

    async def _whole(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run *work* in a task of its own, which no cancellation of ours reaches.

        A driver call that is cancelled half-way leaves a connection of which nobody
        knows what it does next. Instead the connection is dropped, so that the call
        fails, and its end is waited for.
        """
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._store.drop()
            with anyio.CancelScope(shield=True):
                _, pending = await asyncio.wait([task], timeout=_END_S)
                for one in pending:
                    # It was connecting: that leaves nothing to be confused about.
                    one.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                # Whatever it was, nobody waits for it any more.
                task.exception()
            self._store.drop()
            raise
