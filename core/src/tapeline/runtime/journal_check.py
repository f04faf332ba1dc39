"""What a database has of a journal: read from both, changing neither."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import attrs

from tapeline.errors import UsageError
from tapeline.hookspecs import DatabaseReader
from tapeline.journal.files import FILE_NAME


@attrs.frozen
class SinkPosition:
    """How far one sink has brought one journal into a database.

    Args:
        position: the last one that is stored.
        ours: whether it is of the journal that was looked at.
        waiting: rows of that journal behind *position*, not stored yet; None where
            it is another journal's.
    """

    journal_id: str
    sink: str
    position: int
    ours: bool
    waiting: int | None

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return attrs.asdict(self)


@attrs.frozen
class JournalAccount:
    """A journal, and the positions that a database says to have reached.

    Args:
        journal_id: of the journal in the data folder; None when none was named.
    """

    journal_id: str | None
    cursors: tuple[SinkPosition, ...]

    @property
    def waiting(self) -> int:
        """Rows of the journal that are not in the database yet."""
        return sum(cursor.waiting or 0 for cursor in self.cursors)

    @property
    def foreign(self) -> bool:
        """True when a journal was named and the database knows nothing of it."""
        return self.journal_id is not None and not any(
            cursor.ours for cursor in self.cursors
        )

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "journal_id": self.journal_id,
            "cursors": [cursor.as_dict() for cursor in self.cursors],
        }


def compare_with_journal(
    reader: DatabaseReader, data_dir: Path | None
) -> JournalAccount:
    """The cursors in the database, beside the journal in *data_dir*.

    Raises:
        UsageError: the folder is not there or holds no journal that can be read.
    """
    journal_id: str | None = None
    positions: list[int] = []
    if data_dir is not None:
        journal_id, positions = _read(data_dir)
    cursors = tuple(_position(row, journal_id, positions) for row in reader.cursors())
    return JournalAccount(journal_id, cursors)


def _position(
    row: Mapping[str, object], journal_id: str | None, positions: list[int]
) -> SinkPosition:
    position = int(str(row["position"]))
    ours = row["journal_id"] == journal_id
    waiting = sum(one > position for one in positions) if ours else None
    return SinkPosition(
        str(row["journal_id"]), str(row["sink"]), position, ours, waiting
    )


def _read(data_dir: Path) -> tuple[str, list[int]]:
    """Name of the journal in *data_dir*, and the positions of its rows."""
    path = data_dir / FILE_NAME
    if not data_dir.is_dir():
        raise UsageError(f"expected a data folder, found none at {data_dir}")
    if not path.is_file():
        raise UsageError(
            f"expected a data folder with the journal's file {FILE_NAME}, found "
            f"{data_dir} without it; name the data_dir of the configuration"
        )
    try:
        connection = sqlite3.connect(journal_address(path), uri=True)
        try:
            found = connection.execute(
                "SELECT value FROM meta WHERE key = 'journal_id'"
            ).fetchone()
            rows = connection.execute("SELECT position FROM outbox").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UsageError(
            f"expected a journal that can be read, found {path} that cannot "
            f"({error}); 'tapeline run' sets what is damaged aside"
        ) from error
    if found is None:
        raise UsageError(f"expected a journal with a name, found {path} without one")
    return str(found[0]), [int(position) for (position,) in rows]


def journal_address(path: Path) -> str:
    """The address that reads *path* and leaves no file beside it."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    # Without a log beside it nobody writes to it.
    in_use = path.with_name(f"{path.name}-wal").exists()
    return address if in_use else f"{address}&immutable=1"
