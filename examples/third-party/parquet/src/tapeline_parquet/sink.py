"""The Parquet sink: hands batches to the store in a worker thread."""

from __future__ import annotations

from tapeline.clock import Now
from tapeline.errors import SinkError
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, SinkHealth
from tapeline.seams import Worker
from tapeline_parquet.config import ParquetConfig
from tapeline_parquet.disk import Disk
from tapeline_parquet.store import Store


class ParquetSink:
    """See ``hookspecs.Sink``.

    Args:
        disk: for tests that stop in the middle of something.
    """

    def __init__(
        self, config: ParquetConfig, context: SinkContext, disk: Disk | None = None
    ) -> None:
        self._context = context
        self._store = Store(config, context.name, disk or Disk())
        self._worker: Worker | None = None
        self._issue = ""

    async def open(self, journal_id: str) -> int | None:
        """Finish what was cut short; tell how far this journal is here.

        Raises:
            SinkUnavailable: the disk fails; to be tried again.
            SinkError: the folder never can be used.
        """
        if self._worker is None:
            self._worker = self._context.executor.worker(self._context.name)
        try:
            return await self._worker.run(self._store.open, journal_id)
        except SinkError as error:
            self._issue = str(error)
            raise

    async def write(self, batch: Batch) -> None:
        """Have *batch* on the disk.

        Raises:
            SinkUnavailable: it is not; the names of the files tell how far it came.
            SinkRejected: numbers that the columns cannot hold; nothing is stored.
        """
        if self._worker is None:
            self._worker = self._context.executor.worker(self._context.name)
        now_ns = self._context.clock.monotonic_ns()
        try:
            await self._worker.run(self._store.write, batch, now_ns)
        except SinkError as error:
            self._issue = str(error)
            raise
        self._issue = ""

    async def close(self) -> None:
        """Turn the spool into Parquet files; safe twice, safe unopened."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        try:
            await worker.run(self._store.close)
        except SinkError as error:
            # Nothing is lost: the spool is there, and the next start turns it.
            self._context.logger.warning(
                "sink %s could not finish: %s", self._context.name, error
            )
        finally:
            await worker.aclose()

    def health(self, now: Now) -> SinkHealth:
        """Rows of each table, files, and the last failure until a batch is stored."""
        store = self._store
        counters = dict(store.rows) | {"files": store.files}
        for kind, count in store.without_table.items():
            counters[f"without_table_{kind}"] = count
        issues = (self._issue,) if self._issue else ()
        return SinkHealth(not issues, issues, counters)
