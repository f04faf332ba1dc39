"""Raw messages of one collector to recording files, as long as it is collected."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio

from tapeline.clock import Clock
from tapeline.errors import RecordingError
from tapeline.runtime.recorder import Recorder, RecorderSettings, recorded
from tapeline.seams import Executor, Seams

logger = logging.getLogger("tapeline.raw")


class RawFiles:
    """Records what comes over the seams of one collector, in each of its runs.

    Args:
        folder: where the files go; made when the first run begins.
        private: also what sockets of an account receive.

    Attributes:
        private: as given.
    """

    def __init__(
        self, folder: Path, clock: Clock, executor: Executor, *, private: bool
    ) -> None:
        self.folder = folder
        self.private = private
        self._clock = clock
        self._executor = executor
        self._settings = RecorderSettings(private=private)
        self._recorder: Recorder | None = None
        self._stopped = anyio.Event()

    def seams(self, seams: Seams) -> Seams:
        """*seams* whose sockets and REST answers are recorded while ``run`` runs."""
        return recorded(seams, self)

    def next_connection(self) -> str:
        """A name for a new connection."""
        return "" if self._recorder is None else self._recorder.next_connection()

    def write(
        self, connection: str, direction: str, url: str, raw: str | bytes
    ) -> None:
        """Record one line; returns at once."""
        if self._recorder is not None:
            self._recorder.write(connection, direction, url, raw)

    async def run(self) -> None:
        """Bring lines to disk until ``stop``, then finish the file."""
        self._stopped = anyio.Event()
        try:
            recorder = Recorder(
                self.folder, self._clock, self._executor, self._settings
            )
        except RecordingError as error:
            # Only the raw copy is missing: the collector itself goes on.
            logger.error("%s", error)
            return
        self._recorder = recorder
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(recorder.run)
                try:
                    # For as long as the collector is wanted.
                    await self._stopped.wait()
                finally:
                    with anyio.CancelScope(shield=True):  # one local write
                        await recorder.aclose()
        finally:
            self._recorder = None
        logger.info(
            "%s: %d lines in %d files, %d lost",
            self.folder,
            recorder.lines,
            recorder.files,
            recorder.dropped,
        )

    def stop(self) -> None:
        """End ``run`` once what waits is written."""
        self._stopped.set()
