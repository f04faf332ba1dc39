"""Whether a database file can be at a path, found out without writing anything."""

from __future__ import annotations

import os
from pathlib import Path

# https://www.sqlite.org/fileformat.html#magic_header_string
_MAGIC = b"SQLite format 3\x00"


def path_problem(path: Path) -> str | None:
    """A sentence on what stands against a database at *path*; None if nothing seen."""
    if path.is_dir():
        return f"expected a path for a database file, found the folder {path}"
    if path.exists():
        return _file_problem(path)
    # The nearest folder that is there; the ones below it are made by the sink.
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return (
            f"expected a folder for {path} that can be made, found the file {folder} "
            "in the way; choose another path"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return (
            f"expected a folder for {path} that can be written, found {folder} that "
            "cannot; choose another path or change its permissions"
        )
    return None


def _file_problem(path: Path) -> str | None:
    if not os.access(path, os.R_OK | os.W_OK):
        return (
            f"expected a database that can be written, found {path} that cannot; "
            "check its permissions"
        )
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        return f"expected a database that can be read, found {path}: {error.strerror}"
    # SQLite takes an empty file for an empty database.
    if head and head != _MAGIC:
        return (
            f"expected a SQLite database, found {path} with other content; choose "
            "another path"
        )
    return None
