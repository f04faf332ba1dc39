"""The journal's SQLite file. Blocking; called on one worker, one call at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from tapeline.errors import JournalError
from tapeline.journal import letters
from tapeline.journal.codec import decode
from tapeline.journal.letters import LetterRow
from tapeline.journal.losses import DAMAGE, Loss
from tapeline.journal.rows import (
    Chunk,
    Commit,
    RowTuple,
    State,
    StoredPart,
    Trimmed,
    head_is_good,
    payload_is_good,
    text_crc,
)
from tapeline.journal.spans import Spans, has_facts
from tapeline.journal.sqlite import (
    LATER_TABLES,
    PAGE_BYTES,
    ROW_COLUMNS,
    SCHEMA,
    VERSION,
    DamagedFile,
    Transaction,
    connect,
)
from tapeline.journal.trimming import trim
from tapeline.model import KeptLetter, LetterKey, Part, Record

_QUICK_CHECK_BYTES = 128 * 2**20
_FREE_PAGES = 1_024


class Store:
    """An open journal file.

    Every method may raise ``sqlite3.Error``; a failed ``commit`` may be tried
    again as it is, because rows replace themselves.
    """

    def __init__(self, path: Path, max_file_bytes: int | None = None) -> None:
        self.path = path
        self.chunks: list[Chunk] = []
        self.damaged_rows = 0
        self._max_file_bytes = max_file_bytes
        self._connection = connect(path, max_file_bytes)

    def create(self, journal_id: str, started: int) -> None:
        """Make the tables of a new journal."""
        with self._transaction():
            for statement in SCHEMA.values():
                self._connection.execute(statement)
            self._put_meta("version", str(VERSION))
            self._put_meta("journal_id", journal_id)
            self._put_meta("started", str(started))
            self._put_meta("clean", "1")

    def clear(self) -> None:
        """Drop all tables that there are."""
        with self._transaction():
            for name in SCHEMA:
                self._connection.execute(f"DROP TABLE IF EXISTS {name}")

    def load(self) -> State:
        """Check the file and read all that is small.

        Raises:
            DamagedFile: it is not what we wrote.
        """
        run = self._connection.execute
        if self.path.stat().st_size <= _QUICK_CHECK_BYTES:
            verdict = run("PRAGMA quick_check(1)").fetchone()
            if verdict != ("ok",):
                raise DamagedFile(f"SQLite finds {verdict[0]}")
        found = dict(run("SELECT name, sql FROM sqlite_master WHERE type='table'"))
        missing = [name for name in LATER_TABLES if name not in found]
        if missing and {**found, **{name: SCHEMA[name] for name in missing}} == SCHEMA:
            for name in missing:
                run(SCHEMA[name])
            found = dict(SCHEMA)
        meta = self._meta() if found.get("meta") == SCHEMA["meta"] else {}
        if meta.get("version", str(VERSION)) != str(VERSION):
            raise DamagedFile(
                f"expected journal version {VERSION}, found {meta['version']}"
            )
        if found != SCHEMA:
            raise DamagedFile("its tables are not those of a journal")
        try:
            journal_id, started = meta["journal_id"], int(meta["started"])
        except (KeyError, ValueError):
            raise DamagedFile("its name is not readable") from None
        sizes: list[tuple[int, int, int]] = []
        for row in run(
            "SELECT position, nbytes, wall_ns FROM outbox ORDER BY position"
        ):
            if not all(type(value) is int for value in row):
                raise DamagedFile(f"row {row[0]} has no size")
            sizes.append(row)
        self.chunks = self._load_chunks()
        floor = self.chunks[-1].last_position if self.chunks else started - 1
        return State(
            journal_id=journal_id,
            started=started,
            floor=floor,
            last=max(floor, sizes[-1][0] if sizes else floor),
            clean=meta.get("clean") == "1",
            cursors=dict(self._small("cursors")),
            checkpoints={
                name: (position, payload)
                for name, position, payload in self._small("checkpoints")
            },
            bans=dict(self._small("bans")),
            losses=self._load_losses(),
            chunks=tuple(self.chunks),
            sizes=sizes,
        )

    def mark_open(self) -> None:
        """Note that a process works on it; also proves that it can be written."""
        with self._transaction():
            self._put_meta("clean", "0")
        # In the file itself: the log may be what goes missing.
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def commit(
        self,
        commit: Commit,
        rows: Sequence[RowTuple] = (),
        *,
        room_first: bool = False,
    ) -> Trimmed | None:
        """Make *commit* and *rows* durable in one transaction.

        Args:
            room_first: in two: what makes room, before the rows that need it.

        Returns:
            what was trimmed.
        """
        trimmed = None
        if room_first and commit.trim_to is not None:
            trimmed = self.commit(commit)
            commit = attrs.evolve(commit, trim_to=None)
        chunks = list(self.chunks)
        with self._transaction():
            if rows:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO outbox VALUES (?,?,?,?,?,?,?)", rows
                )
            self._put_notes(commit)
            if commit.trim_to is not None:
                trimmed = trim(
                    self._connection, commit.trim_to, commit.trim_rows, chunks
                )
        self.chunks = chunks
        if trimmed is not None:
            self._shrink()
        return trimmed

    def adopt(
        self,
        trimmed: Iterable[tuple[object, ...]],
        given_up: Iterable[tuple[object, ...]],
        dead_letters: Iterable[tuple[object, ...]] = (),
    ) -> None:
        """Take over rows of another journal file whose checksums are good."""
        tables = {
            "trimmed": trimmed,
            "given_up": given_up,
            "dead_letters": dead_letters,
        }
        with self._transaction():
            for table, rows in tables.items():
                for row in rows:
                    if text_crc(*row[:-1]) == row[-1]:
                        marks = ",".join("?" * len(row))
                        self._connection.execute(
                            f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row
                        )

    def read(
        self, after: int, upto: int, max_records: int, max_bytes: int
    ) -> list[StoredPart]:
        """Rows behind *after* up to *upto*; at least one when there is one."""
        parts: list[StoredPart] = []
        records = nbytes = 0
        query = (
            f"SELECT {ROW_COLUMNS} FROM outbox WHERE position > ? AND position <= ? "
            "ORDER BY position"
        )
        for row in self._connection.execute(query, (after, upto)):
            part = self._part(row)
            parts.append(part)
            records += len(part.records)
            nbytes += part.nbytes
            if records >= max_records or nbytes >= max_bytes:
                break
        return parts

    def reach(self, after: int, nbytes: int, limit: int, ceiling: int) -> int:
        """The position up to which rows behind *after* hold *nbytes*.

        Stops after *limit* rows and at *ceiling*.
        """
        reached = after
        query = (
            "SELECT position, nbytes FROM outbox WHERE position > ? AND position <= ? "
            "ORDER BY position LIMIT ?"
        )
        for position, size in self._connection.execute(query, (after, ceiling, limit)):
            reached = position
            nbytes -= size
            if nbytes <= 0:
                break
        return reached

    def keep_letters(self, rows: Sequence[LetterRow]) -> None:
        """Keep dead letters; of each sink the newest ``MAX_LETTERS``."""
        with self._transaction():
            letters.keep(self._connection, rows)

    def letters(self, sink: str) -> list[KeptLetter]:
        """The dead letters of *sink* that can be read, the oldest first."""
        return letters.read(self._connection, sink)

    def drop_letters(self, keys: Sequence[LetterKey]) -> None:
        """Forget these dead letters."""
        with self._transaction():
            letters.drop(self._connection, keys)

    def add_loss(self, loss: Loss) -> None:
        """Add what its rows hold to *loss*."""
        query = (
            f"SELECT {ROW_COLUMNS} FROM outbox WHERE position > ? AND position <= ? "
            "ORDER BY position"
        )
        for row in self._connection.execute(query, (loss.after, loss.position)):
            if not head_is_good(row):
                continue
            loss.rows += 1
            loss.spans.add(row[5])
            if has_facts(row[5]):
                loss.keep(self._part(row).records)

    def spans(self, after: int) -> Spans:
        """What streams were written behind *after*, trimmed rows included."""
        spans = Spans()
        for chunk in self.chunks:
            if chunk.last_position > after:
                spans.add(chunk.headers)
        query = f"SELECT {ROW_COLUMNS} FROM outbox WHERE position > ? ORDER BY position"
        for row in self._connection.execute(query, (after,)):
            if head_is_good(row):
                spans.add(row[5])
        return spans

    def reopen(self) -> None:
        """A new connection, after the disk failed under the old one."""
        self._connection.close()
        self._connection = connect(self.path, self._max_file_bytes)

    def limit(self, max_file_bytes: int | None) -> None:
        """Change the hard limit of the file."""
        self._max_file_bytes = max_file_bytes
        pages = 2**31 - 1 if max_file_bytes is None else max_file_bytes // PAGE_BYTES
        self._connection.execute(f"PRAGMA max_page_count={max(1, pages)}")

    def file_bytes(self) -> int:
        """Size of the file and its log on the disk."""
        total = 0
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            if path.exists():
                total += path.stat().st_size
        return total

    def close(self, clean: bool = False) -> None:
        """Close the file; *clean* says that nothing is missing in it."""
        try:
            if clean:
                with self._transaction():
                    self._put_meta("clean", "1")
        finally:
            self._connection.close()

    def _transaction(self) -> Transaction:
        return Transaction(self._connection)

    def _part(self, row: RowTuple) -> StoredPart:
        """The row's records; gaps from its headers when its payload is bad."""
        nbytes = row[1] if type(row[1]) is int else 0
        if not head_is_good(row):
            self.damaged_rows += 1
            return StoredPart(row[0], nbytes, (), damaged=True)
        if payload_is_good(row):
            try:
                return StoredPart(row[0], nbytes, decode(row[6]))
            except JournalError:
                pass
        self.damaged_rows += 1
        spans = Spans()
        spans.add(row[5])
        gaps: Sequence[Record] = spans.gaps(
            cause=DAMAGE, sink="", detected_ns=row[2], with_facts=True
        )
        return StoredPart(row[0], nbytes, gaps, damaged=True)

    def _meta(self) -> dict[str, str]:
        return dict(self._small("meta"))

    def _small(self, table: str) -> list[tuple[Any, ...]]:
        """Rows of a small table without their checksums, which must be good."""
        rows = []
        for *values, crc in self._connection.execute(f"SELECT * FROM {table}"):
            if text_crc(*values) != crc:
                raise DamagedFile(f"a row of its table {table} is damaged")
            rows.append(tuple(values))
        return rows

    def _put_meta(self, key: str, value: str) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO meta VALUES (?,?,?)",
            (key, value, text_crc(key, value)),
        )

    def _load_chunks(self) -> list[Chunk]:
        return [
            Chunk(first, last, rows, headers)
            for last, first, rows, headers in sorted(self._small("trimmed"))
        ]

    def _load_losses(self) -> dict[str, list[Loss]]:
        losses: dict[str, list[Loss]] = {}
        for values in sorted(self._small("given_up"), key=lambda row: row[:3]):
            losses.setdefault(values[0], []).append(Loss.restore(*values))
        return losses

    def _put_notes(self, commit: Commit) -> None:
        """Everything small of a commit."""
        run = self._connection.execute
        for sink, position in commit.cursors.items():
            run(
                "INSERT OR REPLACE INTO cursors VALUES (?,?,?)",
                (sink, position, text_crc(sink, position)),
            )
        for name, (position, payload) in commit.checkpoints.items():
            run(
                "INSERT OR REPLACE INTO checkpoints VALUES (?,?,?,?)",
                (name, position, payload, text_crc(name, position, payload)),
            )
        for name in commit.forget_checkpoints:
            run("DELETE FROM checkpoints WHERE name=?", (name,))
        for scope, until_ns in commit.bans.items():
            run("DELETE FROM bans WHERE scope=?", (scope,))
            if until_ns:
                run(
                    "INSERT INTO bans VALUES (?,?,?)",
                    (scope, until_ns, text_crc(scope, until_ns)),
                )
        for sink, losses in commit.losses.items():
            run("DELETE FROM given_up WHERE sink=?", (sink,))
            for loss in losses:
                self._put_loss(loss)
        for key, position in commit.retries.items():
            letters.note_retry(self._connection, key, position)
        for sink in commit.forget:
            run("DELETE FROM cursors WHERE sink=?", (sink,))
            run("DELETE FROM given_up WHERE sink=?", (sink,))

    def _put_loss(self, loss: Loss) -> None:
        values = (
            loss.sink,
            loss.after,
            loss.position,
            loss.cause,
            loss.revision,
            loss.rows,
            loss.spans.encoded(),
            loss.encoded_facts(),
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO given_up VALUES (?,?,?,?,?,?,?,?,?)",
            (*values, text_crc(*values)),
        )

    def _shrink(self) -> None:
        """Give pages back to the disk, a few at a time."""
        free = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free > _FREE_PAGES:
            self._connection.execute("PRAGMA incremental_vacuum(256)").fetchall()


def part_of(stored: StoredPart) -> Part:
    """The part that a sink is given."""
    return Part(stored.position, stored.records)
