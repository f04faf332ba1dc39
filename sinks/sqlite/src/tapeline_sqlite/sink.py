"""The SQLite sink: hands batches to the store in a worker thread."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tapeline.clock import Now
from tapeline.errors import SinkError
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, SinkHealth
from tapeline.seams import Worker
from tapeline_sqlite.config import SqliteConfig
from tapeline_sqlite.connection import open_connection
from tapeline_sqlite.store import Connect, Store

DEFAULT_FILE = "market.db"
"""Name of the database in the data folder when the configuration names none."""


class SqliteSink:
    """Stores rows and cursor in one transaction of one file; see ``hookspecs.Sink``.

    Args:
        connect: opens connections; for tests that need a special one.
    """

    keeps_dead_letters = True

    def __init__(
        self,
        config: SqliteConfig,
        context: SinkContext,
        connect: Connect = open_connection,
    ) -> None:
        path = config.path or context.data_dir / DEFAULT_FILE
        self._path = path.expanduser().absolute()
        self._context = context
        self._store = Store(
            self._path, context.name, config, connect, context.clock.wall_ns
        )
        self._worker: Worker | None = None
        self._counters: Counter[str] = Counter()
        self._issue = ""

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    async def open(self, journal_id: str) -> int | None:
        """Open the file, make its tables, tell how far it has this journal.

        Raises:
            SinkUnavailable: it is locked, or its disk fails; to be tried again.
            SinkError: it never can be used: a sentence says why.
        """
        try:
            return await self._own_worker().run(self._store.open, journal_id)
        except SinkError as error:
            self._issue = str(error)
            raise

    async def write(self, batch: Batch) -> None:
        """Store *batch* and the cursor in one transaction, durably.

        Parts at or below the stored cursor are skipped.

        Raises:
            SinkUnavailable: locked, disk full or failing; the connection is opened
                anew for the next batch.
            SinkRejected: records that no database can hold; nothing is stored.
        """
        try:
            written = await self._own_worker().run(self._store.write, batch)
        except SinkError as error:
            self._issue = str(error)
            self._counters["failures"] += 1
            raise
        self._issue = ""
        self._counters["batches"] += 1
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
        """Release the file and the thread; safe twice, safe unopened."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        try:
            await worker.run(self._store.close)
        finally:
            await worker.aclose()

    def health(self, now: Now) -> SinkHealth:
        """Rows handed to each table, and the last failure until a batch is stored."""
        issues = (self._issue,) if self._issue else ()
        return SinkHealth(not issues, issues, dict(self._counters))

    def _own_worker(self) -> Worker:
        if self._worker is None:
            self._worker = self._context.executor.worker(self._context.name)
        return self._worker
