"""A live sink: at most once, from memory, in its own task."""

from __future__ import annotations

import random
from collections.abc import Sequence

import anyio
import anyio.lowlevel

from tapeline.clock import Clock, Now
from tapeline.delivery.accepting import Filter
from tapeline.delivery.consumers import Reporter
from tapeline.delivery.queues import DropOldest
from tapeline.delivery.settings import Backoff, LiveSettings
from tapeline.errors import SinkUnavailable
from tapeline.hookspecs import Sink
from tapeline.model import Batch, Part, Record

LIVE_JOURNAL_ID = "live"
"""What a live sink is given as journal: its positions count from 0."""


class LiveSink:
    """Feeds one live sink from a bounded queue.

    A batch that the sink cannot take is counted and gone; the sink is asked again
    with the next one, after a pause when it is unavailable.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        accepts: Filter,
        queue: DropOldest[Sequence[Record]],
        clock: Clock,
        rng: random.Random,
        reporter: Reporter,
        settings: LiveSettings,
    ) -> None:
        self.name = name
        self.queue = queue
        self.busy = False
        self._sink = sink
        self._accepts = accepts
        self._clock = clock
        self._reporter = reporter
        self._settings = settings
        self._backoff = Backoff(rng, settings.first_delay_s, settings.max_delay_s)
        self._opened = False
        self._position = 0
        self._batches = self._records = self._errors = self._failed_records = 0
        self._last_error = ""

    async def open_once(self) -> None:
        """Try to open it; one that is unavailable is tried again by ``run``."""
        try:
            await self._sink.open(LIVE_JOURNAL_ID)
            self._opened = True
        except SinkUnavailable as error:
            self._note(error)

    async def run(self, turn: int) -> None:
        """Write what is queued until cancelled, then close."""
        try:
            while not self._opened:
                await self._clock.sleep(self._backoff.next_delay_s())
                await self.open_once()
            self._backoff.reset()
            while True:
                # Silence of a market is no fault: no deadline.
                await self.queue.wait()
                records = self.queue.take()
                if records is not None:
                    await self._write(self._accepts.records(records))
                await anyio.lowlevel.checkpoint()
        # The supervisor of one live sink: nobody else may notice its end.
        except Exception as error:
            self._note(error)
            self.queue.close()
        finally:
            with anyio.move_on_after(self._settings.close_s, shield=True):
                await self._close()

    def statistics(self, moment: Now) -> dict[str, object]:
        """JSON-ready figures."""
        health = self._sink.health(moment)
        return {
            "opened": self._opened,
            "batches": self._batches,
            "records": self._records,
            "errors": self._errors,
            "failed_records": self._failed_records,
            "last_error": self._last_error,
            "queued": self.queue.items,
            "queued_bytes": self.queue.nbytes,
            "dropped": self.queue.dropped,
            "healthy": health.ok,
            "issues": list(health.issues),
            "counters": dict(health.counters),
        }

    async def _write(self, records: Sequence[Record]) -> None:
        if not records:
            return
        batch = Batch(LIVE_JOURNAL_ID, (Part(self._position, records),))
        self._position += 1
        self.busy = True
        # The supervisor of one live sink: a batch that fails is counted, because
        # sending it again could send it twice.
        try:
            await self._sink.write(batch)
        except Exception as error:
            self._failed_records += len(records)
            self._note(error)
            if isinstance(error, SinkUnavailable):
                await self._clock.sleep(self._backoff.next_delay_s())
        else:
            self._batches += 1
            self._records += len(records)
            self._backoff.reset()
        finally:
            self.busy = False

    async def _close(self) -> None:
        try:
            await self._sink.close()
        except Exception as error:  # closing is the last thing; it is only told
            self._note(error)

    def _note(self, error: Exception) -> None:
        self._errors += 1
        self._last_error = f"{type(error).__name__}: {error}"
        self._reporter(self.name, error)
