"""A live sink: at most once, from memory, in its own task."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.lowlevel

from tapeline.backoff import Backoff
from tapeline.clock import Clock, Now
from tapeline.delivery.accepting import Filter
from tapeline.delivery.asking import asked_health
from tapeline.delivery.consumers import Reporter
from tapeline.delivery.queues import DropOldest
from tapeline.delivery.reports import SinkReports
from tapeline.delivery.settings import LiveSettings
from tapeline.errors import SinkUnavailable
from tapeline.hookspecs import Sink
from tapeline.model import Batch, Part, Record

LIVE_JOURNAL_ID = "live"
"""What a live sink is given as journal: its positions count from 0."""

_POLL_S = 0.01
_CONSEQUENCE = "it misses what comes meanwhile"


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
        self._failed = False
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._tried = anyio.Event()
        self._refusal: Exception | None = None
        # While ``opened`` waits it is the one that tells of a refusal.
        self._is_watched = True
        self._reports = SinkReports(name)
        self._position = 0
        self._batches = self._records = self._errors = self._failed_records = 0
        self._last_error = ""

    async def opened(self, deadline_s: float) -> None:
        """Wait for the first try to open, which ``run`` makes, at most this long.

        Raises:
            Exception: what the sink says when it can never be opened.
        """
        with anyio.move_on_after(deadline_s):
            await self._tried.wait()
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            raise refusal
        self._is_watched = False
        if not self._tried.is_set():
            self._reports.away(
                f"opening takes more than {deadline_s:g} s", _CONSEQUENCE
            )

    async def stop(self, deadline_s: float) -> None:
        """Write what is queued, at most so long, and close; the others go on."""
        end_ns = self._clock.monotonic_ns() + int(deadline_s * 1e9)
        while (self.queue.items or self.busy) and self._clock.monotonic_ns() < end_ns:
            await self._clock.sleep(_POLL_S)
        self._scope.cancel()
        # Bounded by the time that closing may take.
        await self._ended.wait()

    async def run(self, turn: int) -> None:
        """Open, and write what is queued until cancelled, then close."""
        with self._scope:
            await self._run()
        self._ended.set()

    async def _run(self) -> None:
        try:
            while not await self._open():
                await self._clock.sleep(self._backoff.next_delay_s())
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
            if self._is_watched and not self._opened:
                self._refusal = error
            else:
                self._note(error)
            self._failed = True
            self.queue.close()
        finally:
            self._tried.set()
            with anyio.move_on_after(self._settings.close_s, shield=True):
                await self._close()

    def statistics(self, moment: Now) -> dict[str, Any]:
        """JSON-ready figures."""
        health = asked_health(self._sink, moment)
        return {
            "opened": self._opened,
            "failed": self._failed,
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

    async def _open(self) -> bool:
        """One try to open it; False while it is unavailable."""
        try:
            # No deadline: opening may take as long as the sink likes, here.
            await self._sink.open(LIVE_JOURNAL_ID)
        except SinkUnavailable as error:
            self._note(error)
            self._tried.set()
            return False
        self._opened = True
        self._tried.set()
        self._reports.back()
        return True

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
            self._reports.back()
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
        if isinstance(error, SinkUnavailable):
            self._reports.away(str(error), _CONSEQUENCE)
        else:
            self._reporter(self.name, error)
