"""The few things that are done to a disk, each of which may be the last."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tapeline_parquet.names import TEMPORARY


class Disk:
    """Writes files that are whole or not there.

    A test replaces single methods to stop in the middle.
    """

    def make_folder(self, folder: Path) -> None:
        """Make *folder* and what is above it, durably."""
        if not folder.is_dir():
            self.make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            self.flush_folder(folder.parent)

    def names(self, folder: Path) -> list[Path]:
        """The files of *folder*, by name; none when it is not there."""
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def read(self, path: Path) -> bytes:
        """The content of a file."""
        return path.read_bytes()

    def store(self, path: Path, content: bytes | memoryview) -> None:
        """Put *content* at *path*: when it returns, for good; else not at all."""
        temporary = path.with_name(TEMPORARY + path.name)
        self.write(temporary, content)
        self.rename(temporary, path)
        self.flush_folder(path.parent)

    def write(self, path: Path, content: bytes | memoryview) -> None:
        """Write a file and wait until it is on the disk."""
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Give a file its name, at one moment."""
        old.replace(new)

    def flush_folder(self, folder: Path) -> None:
        """Wait until the names in *folder* are on the disk."""
        if os.name == "nt":  # folders cannot be opened there
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove files; what is not there any more is no error."""
        for path in paths:
            path.unlink(missing_ok=True)
