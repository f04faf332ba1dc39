"""The journal's file with its worker and its lock; damage is salvaged on the way."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio

from tapeline.clock import Clock
from tapeline.errors import JournalError
from tapeline.journal.lock import FolderLock
from tapeline.journal.recovery import DamageReport, Opened, open_store
from tapeline.journal.rows import State
from tapeline.journal.settings import JournalSettings
from tapeline.journal.sqlite import is_corrupt
from tapeline.journal.store import Store
from tapeline.seams import Executor, Worker

logger = logging.getLogger("tapeline.journal")

Result = TypeVar("Result")

FILE_NAME = "journal.db"
LOCK_NAME = "journal.lock"


class JournalFile:
    """Runs operations on the store in its worker thread, one after the other.

    ``salvaged`` is called when a damaged file was replaced while running: what is
    in memory is the truth and has to be written down again.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        worker: Worker,
        lock: FolderLock,
        settings: JournalSettings,
        opened: Opened,
    ) -> None:
        self.state = opened.state
        self.damages = [opened.damage] if opened.damage is not None else []
        self.salvaged: Callable[[State], None] | None = None
        self.store = opened.store
        self._path = path
        self._clock = clock
        self._worker = worker
        self._lock = lock
        self._settings = settings
        self._closed = False

    @classmethod
    async def open(
        cls,
        data_dir: Path,
        clock: Clock,
        executor: Executor,
        settings: JournalSettings,
        floor: int,
    ) -> JournalFile:
        """Lock the folder, open or make the file.

        Raises:
            JournalLocked: another process has this folder.
            JournalError: the folder cannot be written.
        """
        path = data_dir / FILE_NAME
        lock = FolderLock(data_dir / LOCK_NAME)
        worker = executor.worker("journal")

        def take() -> Opened:
            lock.acquire()
            try:
                wall_ns = clock.wall_ns()
                opened = open_store(
                    path,
                    wall_ns=wall_ns,
                    started=first_position(wall_ns, floor),
                    known_id=lock.journal_id,
                    draw_id=settings.draw_id,
                    max_file_bytes=settings.max_file_bytes,
                )
                lock.name(opened.state.journal_id)
            except BaseException:
                lock.release()
                raise
            return opened

        try:
            opened = await worker.run(take)
        except BaseException:
            with anyio.CancelScope(shield=True):  # ends as soon as the thread does
                await worker.aclose()
            raise
        return cls(path, clock, worker, lock, settings, opened)

    async def call(self, operation: Callable[[Store], Result]) -> Result:
        """Run *operation*; a file that proves damaged is salvaged, and it runs again.

        Raises:
            JournalError: the file is closed.
            sqlite3.Error: the disk refuses.
        """
        if self._closed:
            raise JournalError("expected an open journal, found it closed")
        try:
            return await self._worker.run(operation, self.store)
        except (sqlite3.Error, UnicodeError) as error:
            if not is_corrupt(error):
                raise
            await self._salvage(error)
            return await self._worker.run(operation, self.store)

    async def renew(self, error: Exception) -> str:
        """A new connection when the disk failed under the old one.

        Returns:
            why even that failed; empty when it did not.
        """
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_IOERR:
            return ""
        try:
            await self._worker.run(self.store.reopen)
        except (sqlite3.Error, OSError) as failure:
            return str(failure)
        return ""

    async def close(self, clean: bool) -> None:
        """Close file, lock and worker; *clean* says that nothing is missing."""
        self._closed = True
        try:
            await self._worker.run(self._close, clean)
        finally:
            await self._worker.aclose()

    def note(self, reason: str) -> None:
        """Report damage that shows in what is missing, not in the file."""
        logger.warning("%s", reason)
        self.damages.append(
            DamageReport(
                reason=reason,
                set_aside="",
                salvaged_rows=0,
                lost=True,
                new_journal=False,
                detected_ns=self._clock.wall_ns(),
            )
        )

    async def _salvage(self, cause: Exception) -> None:
        known = self.state

        def replace() -> Opened:
            self.store.close()
            return open_store(
                self._path,
                wall_ns=self._clock.wall_ns(),
                started=known.started,
                draw_id=self._settings.draw_id,
                known_id=known.journal_id,
                keep_id=True,
                max_file_bytes=self._settings.max_file_bytes,
            )

        opened = await self._worker.run(replace)
        self.store = opened.store
        if opened.damage is not None:
            self.damages.append(opened.damage)
            logger.warning("%s", opened.damage.reason)
        else:
            self.note(f"journal {self._path.name} was opened again after: {cause}")
        if self.salvaged is not None:
            self.salvaged(opened.state)

    def _close(self, clean: bool) -> None:
        try:
            self.store.close(clean)
        except sqlite3.Error:
            # The rows are committed; only the mark of a clean end is missing.
            self.store.close()
        finally:
            self._lock.release()


def first_position(wall_ns: int, floor: int) -> int:
    """Where a fresh journal starts: 256 positions for every microsecond."""
    return max((wall_ns // 1_000) << 8, floor + 1)
