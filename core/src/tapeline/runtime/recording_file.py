"""One recording that is being written: what the disk refuses is kept for later."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

PART = ".part"
_GZIP = 31


class RecordingFile:
    """A gzip file that ends in ``.part`` until it is whole; every method blocks.

    Compressed bytes that could not be written stay in memory, and the next ``push``
    begins where the file was last whole, so a full disk costs no line.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path, opened_ns: int) -> None:
        self.path = path
        self.opened_ns = opened_ns
        self.lines = 0
        self.waiting_lines = 0
        self._part = path.with_name(path.name + PART)
        self._raw: IO[bytes] = self._part.open("wb", buffering=0)
        # No name and no time inside: equal lines make equal files.
        self._packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        self._waiting = b""
        self._size = 0
        self._ended = False

    @property
    def size(self) -> int:
        """Bytes of it that are on the disk."""
        return self._size

    @property
    def ended(self) -> bool:
        """Whether it takes no more lines and only waits to be made whole."""
        return self._ended

    def add(self, lines: Sequence[bytes]) -> None:
        """Take *lines* in and write them.

        Raises:
            OSError: the disk refused; they are kept, and ``push`` tries again.
        """
        packed = self._packer.compress(b"\n".join(lines) + b"\n")
        self._waiting += packed + self._packer.flush(zlib.Z_SYNC_FLUSH)
        self.waiting_lines += len(lines)
        self.push()

    def push(self) -> None:
        """Write what waits.

        Raises:
            OSError: the disk refused.
        """
        if not self._waiting:
            return
        # A failed write may have left some of it behind.
        self._raw.seek(self._size)
        self._raw.truncate()
        left = memoryview(self._waiting)
        while left:
            left = left[self._raw.write(left) :]
        self._size += len(self._waiting)
        self._waiting = b""
        self.lines += self.waiting_lines
        self.waiting_lines = 0

    def finish(self) -> None:
        """Make it whole and give it its name; safe to call again after a failure.

        Raises:
            OSError: the disk refused.
        """
        if not self._ended:
            self._waiting += self._packer.flush(zlib.Z_FINISH)
            self._ended = True
        self.push()
        self._raw.close()
        self._part.rename(self.path)

    def abandon(self) -> None:
        """Close it as it is."""
        self._raw.close()
