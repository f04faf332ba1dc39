"""Names of files, which say all that must be known after a crash."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

TEMPORARY = ".tmp-"
"""What the name of an unfinished file begins with."""
SPOOL = "_spool"
"""Folder of what is stored and not yet turned into Parquet files."""

_NAME = re.compile(r"(?P<journal>.+)\.(?P<first>\d{20})-(?P<last>\d{20})")


@attrs.frozen(order=True)
class Span:
    """The positions of one journal that a file covers, both inclusive."""

    journal_id: str
    first: int
    last: int

    def file_name(self, ending: str) -> str:
        """The name of a file that covers it."""
        return f"{self.journal_id}.{self.first:020d}-{self.last:020d}.{ending}"


def span_of(path: Path, ending: str) -> Span | None:
    """What the file at *path* covers; None when it is none of ours."""
    stem, dot, found = path.name.rpartition(".")
    match = _NAME.fullmatch(stem)
    if not dot or found != ending or match is None or stem.startswith("."):
        return None
    return Span(match["journal"], int(match["first"]), int(match["last"]))
