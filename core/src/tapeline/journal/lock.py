"""One process per data folder, and the journal's name beside the journal."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from tapeline.errors import JournalError, JournalLocked


class FolderLock:
    """An exclusive lock that the operating system lets go when we die.

    Its file names the owner, for people, and the journal, so that a journal too
    damaged to tell its own name still keeps it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self.journal_id = ""

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            JournalLocked: another process, or another journal of ours, has it.
            JournalError: the folder cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(
                f"expected a data folder that can be written, found {error.strerror} "
                f"for {self._path}; change its permissions or choose another data_dir"
            ) from error
        lines = _read(fd)
        try:
            _lock(fd)
        except OSError:
            os.close(fd)
            owner = lines[0] if lines and lines[0] else "another process"
            raise JournalLocked(str(self._path.parent), owner) from None
        self._fd = fd
        self.journal_id = lines[1] if len(lines) > 1 else ""
        self.name(self.journal_id)

    def name(self, journal_id: str) -> None:
        """Write down owner and journal; a full disk leaves the old text."""
        self.journal_id = journal_id
        if self._fd is None:
            return
        text = f"pid {os.getpid()} on {socket.gethostname()}\n{journal_id}\n"
        data = text.encode("utf-8", "replace")
        try:
            os.pwrite(self._fd, data, 0)
            os.ftruncate(self._fd, len(data))
        except OSError:
            return

    def release(self) -> None:
        """Let it go; the file stays, as removing it would race with others."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _read(fd: int) -> list[str]:
    try:
        text = os.pread(fd, 1_024, 0)
    except OSError:
        return []
    return text.decode("utf-8", "replace").splitlines()


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        # Far behind the text, so that others can still read who we are.
        os.lseek(fd, 1 << 20, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
