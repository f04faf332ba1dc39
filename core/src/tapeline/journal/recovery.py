"""Opening a journal so that starting never fails on damage.

What cannot be trusted is set aside under another name, what its checksums vouch
for is carried over, and the rest is reported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec

from tapeline.errors import JournalError, JournalFull
from tapeline.journal.rows import Commit, RowTuple, State, head_is_good, text_crc
from tapeline.journal.sqlite import (
    ROW_COLUMNS,
    VERSION,
    DamagedFile,
    connect,
    is_refusal,
)
from tapeline.journal.store import Store

_COPY_ROWS = 500
# All that reading foreign bytes can raise; what the disk refuses is told apart.
_DAMAGE = (
    sqlite3.Error,
    DamagedFile,
    JournalError,
    msgspec.MsgspecError,
    ValueError,
    OverflowError,
    MemoryError,
)
_MAX_STEPS = 80
_SIDE_FILES = ("", "-wal", "-shm")


@attrs.frozen
class DamageReport:
    """What was wrong with a journal, and what became of it.

    Args:
        reason: a sentence for the log.
        set_aside: name of the file that was set aside; empty when none was.
        salvaged_rows: rows carried over.
        lost: True when rows, or cursors, may be missing; which ones and of what
            time is not known.
        new_journal: True when the journal had to start under another name.
        detected_ns: nanoseconds UTC.
    """

    reason: str
    set_aside: str
    salvaged_rows: int
    lost: bool
    new_journal: bool
    detected_ns: int


@attrs.frozen
class Opened:
    """An open store, its state, and what had happened to it."""

    store: Store
    state: State
    damage: DamageReport | None


def open_store(
    path: Path,
    *,
    wall_ns: int,
    started: int,
    known_id: str,
    draw_id: Callable[[], str],
    keep_id: bool = False,
    max_file_bytes: int | None = None,
) -> Opened:
    """Open, create or salvage the journal at *path*.

    Args:
        started: the first position of a new journal.
        known_id: the journal's name as remembered elsewhere, or empty.
        draw_id: the name of a new journal; no other has it.
        keep_id: keep *known_id* even when nothing could be salvaged.

    Raises:
        JournalError: the disk itself refuses.
    """
    had_file = path.exists()
    had_log = _side(path, "-wal").exists()
    reason = ""
    if had_file:
        opened, reason = _open_existing(path, wall_ns, had_log, max_file_bytes)
        if opened is not None:
            return opened
    elif known_id:
        reason = f"expected the journal {path.name}, found it missing"
    aside = path.with_name(f"{path.name}.damaged-{wall_ns}")
    _move(path, aside)
    old = aside if had_file else None
    try:
        new_id = known_id if keep_id and known_id else draw_id()
        return _start_again(
            path, old, reason, wall_ns, started, known_id, new_id, max_file_bytes
        )
    except (sqlite3.Error, OSError) as error:
        # Nothing was carried over for good: the next start shall find it all.
        for suffix in _SIDE_FILES:
            _side(path, suffix).unlink(missing_ok=True)
        _move(aside, path)
        raise _refusal(path, error) from error


def _open_existing(
    path: Path, wall_ns: int, had_log: bool, max_file_bytes: int | None
) -> tuple[Opened | None, str]:
    """The journal as it is, or why it cannot be used."""
    store: Store | None = None
    try:
        if not path.is_file():
            raise DamagedFile("it is not a file")
        if path.stat().st_size == 0:
            raise DamagedFile("it is empty")
        store = Store(path, max_file_bytes)
        state = store.load()
        try:
            store.mark_open()
        except sqlite3.Error as error:
            # A full disk is no damage: the journal opens, and waits for room.
            if not is_refusal(error):
                raise
    except _DAMAGE as error:
        if store is not None:
            store.close()
        if is_refusal(error):
            raise _refusal(path, error) from error
        return None, f"journal {path.name} is damaged: {error}"
    if state.clean or had_log:
        return Opened(store, state, None), ""
    report = DamageReport(
        reason=f"journal {path.name} was not closed and its log is missing",
        set_aside="",
        salvaged_rows=len(state.sizes),
        lost=True,
        new_journal=False,
        detected_ns=wall_ns,
    )
    return Opened(store, state, report), ""


def _start_again(
    path: Path,
    old: Path | None,
    reason: str,
    wall_ns: int,
    started: int,
    known_id: str,
    new_id: str,
    max_file_bytes: int | None,
) -> Opened:
    """A new file, with all that can be trusted in *old*."""
    source = _Salvage(old) if old is not None and old.is_file() else None
    salvaged = None
    store = Store(path, max_file_bytes)
    try:
        try:
            if source is not None and source.version in (None, str(VERSION)):
                journal_id = source.journal_id or known_id
                if journal_id:
                    store.create(journal_id, source.started or 0)
                    salvaged = _carry_over(source, store)
        finally:
            if source is not None:
                source.close()
        if salvaged is None:
            store.clear()
            store.create(new_id, started)
        state = store.load()
        store.mark_open()
    except BaseException:
        store.close()
        raise
    if not reason:
        return Opened(store, state, None)
    report = DamageReport(
        reason=reason,
        set_aside=old.name if old is not None else "",
        salvaged_rows=salvaged or 0,
        lost=True,
        new_journal=state.journal_id != known_id,
        detected_ns=wall_ns,
    )
    return Opened(store, state, report)


def _carry_over(source: _Salvage, store: Store) -> int | None:
    """Copy what is good; returns the number of rows, None when there was nothing."""
    salvaged = 0
    rows: list[RowTuple] = []
    for row in source.rows():
        rows.append(row)
        if len(rows) >= _COPY_ROWS:
            store.commit(Commit(), rows)
            salvaged += len(rows)
            rows = []
    salvaged += len(rows)
    cursors = {
        sink: position
        for sink, position, crc in source.table("cursors", 3)
        if text_crc(sink, position) == crc
    }
    if not salvaged and not cursors:
        return None
    checkpoints = {
        name: (position, payload)
        for name, position, payload, crc in source.table("checkpoints", 4)
        if text_crc(name, position, payload) == crc
    }
    bans = {
        scope: until_ns
        for scope, until_ns, crc in source.table("bans", 3)
        if text_crc(scope, until_ns) == crc
    }
    store.commit(Commit(cursors=cursors, checkpoints=checkpoints, bans=bans), rows)
    store.adopt(
        source.table("trimmed", 5),
        source.table("given_up", 9),
        source.table("dead_letters", 9),
    )
    return salvaged


class _Salvage:
    """Reads what can be read of a damaged file; no method raises."""

    def __init__(self, path: Path) -> None:
        self._connection: sqlite3.Connection | None = None
        self._size = path.stat().st_size
        self.journal_id = ""
        self.version: str | None = None
        self.started: int | None = None
        try:
            self._connection = connect(path)
            self._connection.execute("PRAGMA cell_size_check=ON")
        except _DAMAGE:
            self.close()
            return
        for key, value, crc in self.table("meta", 3):
            if text_crc(key, value) != crc:
                continue
            if key == "journal_id":
                self.journal_id = value
            elif key == "version":
                self.version = value
            elif key == "started" and value.isdecimal():
                self.started = int(value)

    def close(self) -> None:
        """Release the file."""
        if self._connection is not None:
            self._connection.close()

    def table(self, name: str, width: int) -> list[tuple[Any, ...]]:
        """Rows of a small table, as many as come before an error."""
        rows = self._select(f"SELECT * FROM {name}", ())
        return [row for row in rows if len(row) == width]

    def rows(self) -> Iterator[RowTuple]:
        """Rows of the outbox whose heads are good, around what is unreadable."""
        query = f"SELECT {ROW_COLUMNS} FROM outbox WHERE position > ? ORDER BY position"
        newest = None
        for row in self._select("SELECT max(position) FROM outbox", ()):
            newest = row[0]
        after = 0
        step = 1
        fruitless = 0
        budget = self._size // 16
        while fruitless < _MAX_STEPS and budget > 0:
            before = after
            for row in self._select(query, (after,)):
                budget -= 1
                if budget <= 0:
                    return
                if head_is_good(row):
                    yield row
                    after = max(after, row[0])
            if isinstance(newest, int) and after >= newest:
                return
            # A page in between cannot be read: look behind it, further each time.
            found = after > before
            step = 1 if found else step * 2
            fruitless = 0 if found else fruitless + 1
            after += step

    def _select(self, query: str, args: tuple[object, ...]) -> Iterator[Any]:
        if self._connection is None:
            return
        try:
            yield from self._connection.execute(query, args)
        except _DAMAGE:
            return


def _side(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _move(path: Path, target: Path) -> None:
    """Rename the file and what belongs to it."""
    for suffix in _SIDE_FILES:
        side = _side(path, suffix)
        if side.exists():
            side.rename(_side(target, suffix))


def _refusal(path: Path, error: Exception) -> JournalError:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:
        return JournalFull(
            f"expected room for the journal {path}, found the disk full; free some "
            "space or choose another data_dir"
        )
    return JournalError(
        f"expected to open the journal {path}, found: {error}; check the disk, or "
        "choose another data_dir"
    )
