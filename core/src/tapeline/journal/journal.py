"""The journal on disk: what was received and learned, in one durable order."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import anyio

from tapeline.clock import Clock
from tapeline.errors import JournalError, JournalFull
from tapeline.journal.committing import Committer
from tapeline.journal.files import JournalFile, first_position
from tapeline.journal.intake import Intake
from tapeline.journal.letters import letter_row
from tapeline.journal.losses import report_damage
from tapeline.journal.notes import Notes
from tapeline.journal.readers import Readers
from tapeline.journal.recovery import DamageReport
from tapeline.journal.rows import StoredPart
from tapeline.journal.settings import JournalSettings
from tapeline.journal.spans import Spans
from tapeline.journal.store import Store, part_of
from tapeline.model import Batch, KeptLetter, LetterKey, Part, Record
from tapeline.seams import Executor

Result = TypeVar("Result")

_CLOSE_TRIES = 3
_REFOLD_RECORDS = 20_000
_REFOLD_BYTES = 8 * 2**20


class Journal:
    """See ``JournalLike``. Made by ``open``; driven by ``run``; ended by ``aclose``."""

    def __init__(
        self, file: JournalFile, clock: Clock, settings: JournalSettings, floor: int
    ) -> None:
        state = file.state
        self._file = file
        self._clock = clock
        self._settings = settings
        self._id = state.journal_id
        self._started = state.started
        self._old_last = state.last
        # Far above everything a lost tail may have used before: a number is never
        # given out twice, whatever became of the file.
        first = max(state.last + 1, state.started)
        first = max(first, first_position(clock.wall_ns(), floor))
        self._intake = Intake(clock, first, settings.memory_bytes)
        self._notes = Notes(state.checkpoints, state.bans)
        self._readers = Readers(state.cursors, state.losses)
        self._committer = Committer(
            file, clock, settings, self._intake, self._notes, self._readers
        )
        self._damage = file.damages[0] if file.damages else None
        self._closed = False

    @classmethod
    async def open(
        cls,
        data_dir: Path | str,
        *,
        clock: Clock,
        executor: Executor,
        settings: JournalSettings | None = None,
        floor: int = 0,
    ) -> Journal:
        """Open or make the journal in *data_dir*; damage is set aside, not raised.

        Args:
            floor: the highest position that any sink has seen of any journal.

        Raises:
            JournalLocked: another process has this folder.
            JournalError: the folder cannot be written.
        """
        settings = settings or JournalSettings()
        file = await JournalFile.open(Path(data_dir), clock, executor, settings, floor)
        return cls(file, clock, settings, floor)

    @property
    def journal_id(self) -> str:
        """Name of this journal."""
        return self._id

    @property
    def last(self) -> int:
        """Position of the newest append, or of the newest row found at start."""
        intake = self._intake
        return (
            intake.next - 1 if intake.next > intake.first else self._committer.committed
        )

    @property
    def committed(self) -> int:
        """Position up to which everything is durable."""
        return self._committer.committed

    @property
    def floor(self) -> int:
        """Position up to which rows were trimmed."""
        return self._committer.floor

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for a commit."""
        return self._intake.nbytes

    @property
    def pressure(self) -> float:
        """Pending bytes as a part of what memory allows."""
        return self._intake.pressure

    @property
    def full(self) -> bool:
        """True while the disk refuses, or memory is spent."""
        return bool(self._committer.disk_error) or self._intake.pressure >= 1

    @property
    def damage(self) -> DamageReport | None:
        """What was wrong when it was opened."""
        return self._damage

    @property
    def damages(self) -> Sequence[DamageReport]:
        """All damage found so far."""
        return tuple(self._file.damages)

    def append(  # hot path
        self, records: Sequence[Record], *, urgent: bool = False
    ) -> int:
        """Take *records* as the next position; returns it.

        Args:
            urgent: take them though memory is spent.

        Raises:
            JournalFull: memory for what the disk refuses is spent.
            JournalError: the journal is closed.
        """
        if not records:
            return self.last
        if self._closed:
            raise JournalError("expected an open journal, found it closed")
        position = self._intake.append(records, urgent)
        self._committer.wake()
        return position

    async def wait_committed(self, position: int) -> None:
        """Wait until *position* is durable; the caller sets a deadline.

        Raises:
            JournalError: the journal was closed before.
        """
        while self._committer.committed < position:
            if self._committer.moved.is_set():
                raise JournalError(
                    f"expected position {position} in the journal, found it closed "
                    f"at {self._committer.committed}"
                )
            await self._committer.moved.wait()

    async def wait_beyond(self, position: int) -> None:
        """Wait until there are committed rows behind *position*; no deadline.

        Raises:
            JournalError: the journal was closed before.
        """
        await self.wait_committed(position + 1)

    async def run(self) -> None:
        """Commit and trim until closed."""
        await self._committer.run()

    async def next_batch(
        self,
        after: int,
        max_records: int = 5_000,
        max_bytes: int = 4 * 2**20,
        *,
        sink: str = "",
    ) -> Batch | None:
        """Committed rows behind *after*, in order; None when there are none."""
        parts = self._told(sink, after)
        if not parts:
            upto = self._committer.committed
            if after >= upto:
                return None
            parts = self._from_ring(after, max_records, max_bytes)
        if not parts:
            stored = await self._read(after, upto, max_records, max_bytes)
            damaged = sum(part.damaged for part in stored)
            if sink and damaged:
                report_damage(sink, damaged)
            # A loss may have been noted meanwhile, and its rows removed.
            parts = self._told(sink, after) or [part_of(part) for part in stored]
        batch = Batch(self._id, parts or [Part(upto, ())])
        if sink:
            self._readers.hand(sink, batch.last_position)
        return batch

    def expect_sink(self, name: str) -> None:
        """Keep rows from now on for a sink that will register later."""
        self._readers.expect(name, self._committer.floor)

    def register_sink(
        self, name: str, position: int | None, *, own_cursor: bool = True
    ) -> int:
        """A durable sink reads from now on; returns its cursor."""
        if position is not None and not self._knows(position):
            # The sink knows more than this file: it lost its tail. Numbers that
            # the sink has passed are never given out again.
            self._file.note(
                f"sink {name!r} is at position {position}, the journal only at "
                f"{self.last}: the end of the journal is missing"
            )
            intake = self._intake
            if position >= intake.next and intake.next > intake.first:
                position = intake.first - 1
            elif position >= intake.next:
                intake.skip_to(position + 1)
        cursor = self._readers.register(
            name,
            position,
            own_cursor=own_cursor,
            started=self._started,
            floor=self._committer.floor,
            chunks=self._committer.chunks,
        )
        self._committer.wake(urgent=False)
        return cursor

    def retain_sinks(self, names: Collection[str]) -> None:
        """Forget all sinks but *names*."""
        self._readers.retain(names)
        self._committer.wake(urgent=False)

    def retain_checkpoints(self, names: Collection[str]) -> None:
        """Forget all checkpoints but *names*."""
        self._notes.retain_checkpoints(names)
        self._committer.wake(urgent=False)

    def cursor(self, name: str) -> int | None:
        """How far the sink is; None when it is not known."""
        return self._readers.cursors.get(name)

    def advance_cursor(self, name: str, position: int) -> None:
        """The sink has stored everything up to *position*."""
        self._readers.advance(name, position)
        lowest = self._readers.lowest
        if lowest is not None:
            self._committer.ring.release(lowest)
        self._committer.wake(urgent=False)

    def lag(self, name: str) -> tuple[int, int, float]:
        """Rows, bytes and seconds by which the sink is behind."""
        cursor = self._readers.cursors.get(name, self._committer.floor)
        return self._committer.backlog.behind(cursor, self._clock.wall_ns())

    async def keep_letters(self, letters: Sequence[KeptLetter]) -> None:
        """Keep what a sink refused, durably; waits while the disk refuses."""
        rows = [letter_row(letter) for letter in letters]
        await self._insist(lambda store: store.keep_letters(rows))

    async def letters(self, sink: str) -> Sequence[KeptLetter]:
        """The dead letters of *sink*, the oldest first."""
        return await self._insist(lambda store: store.letters(sink))

    async def drop_letters(self, keys: Sequence[LetterKey]) -> None:
        """Forget these dead letters."""
        await self._insist(lambda store: store.drop_letters(keys))

    def append_retry(self, records: Sequence[Record], keys: Sequence[LetterKey]) -> int:
        """Take *records*, which announce that *keys* come again at their position."""
        position = self.append(records, urgent=True)
        # With nothing between, so that one commit makes both durable.
        for key in keys:
            self._notes.retry(key, position)
        return position

    def checkpoint(self, name: str, position: int, payload: bytes) -> None:
        """Keep *payload*, which holds what rows up to *position* made."""
        self._notes.checkpoint(name, position, payload)
        self._committer.wake()

    def checkpoints(self) -> Mapping[str, tuple[int, bytes]]:
        """The newest checkpoints that are durable."""
        return dict(self._notes.checkpoints)

    async def read_from(
        self, position: int
    ) -> AsyncIterator[tuple[int, Sequence[Record]]]:
        """Rows behind *position* that are committed now, for a refold at start."""
        upto = self._committer.committed
        while position < upto:
            stored = await self._read(position, upto, _REFOLD_RECORDS, _REFOLD_BYTES)
            if not stored:
                return
            for part in stored:
                yield part.position, part.records
            position = stored[-1].position

    async def spans(self, after: int = 0) -> Spans:
        """Id and time ranges of all streams written behind *after*."""
        return await self._file.call(lambda store: store.spans(after))

    def remember_ban(self, scope: str, until_ns: int) -> None:
        """Keep away from *scope* until then, over restarts too."""
        self._notes.ban(scope, until_ns)
        self._committer.wake()

    def bans(self) -> Mapping[str, int]:
        """Bans that are not over."""
        return self._notes.bans(self._clock.wall_ns())

    def statistics(self) -> Mapping[str, int | float | str | bool]:
        """JSON-ready figures."""
        return {
            "journal_id": self._id,
            "last_position": self.last,
            "committed_position": self._committer.committed,
            "floor_position": self._committer.floor,
            "rows": self._committer.backlog.rows,
            "bytes": self._committer.backlog.nbytes,
            "quota_bytes": self._settings.quota_bytes,
            "pending_rows": len(self._intake),
            "pending_bytes": self._intake.nbytes,
            "pending_age_s": self._intake.age_s,
            "ring_rows": len(self._committer.ring),
            "ring_bytes": self._committer.ring.nbytes,
            "records_appended": self._intake.records,
            "commits": self._committer.commits,
            "rows_trimmed": self._committer.trimmed_rows,
            "rows_given_up": self._committer.given_up,
            "damaged_rows": self._file.store.damaged_rows,
            "damages": len(self._file.damages),
            "full": self.full,
            "disk_error": self._committer.disk_error,
        }

    async def aclose(self) -> None:
        """Commit everything, then close; safe twice.

        Raises:
            JournalFull: the disk refused; what waited for it is not stored.
        """
        if self._closed:
            return
        self._closed = True
        self._committer.close()
        with anyio.CancelScope(shield=True):  # bounded by the number of tries
            for attempt in range(_CLOSE_TRIES):
                if await self._committer.commit() or attempt == _CLOSE_TRIES - 1:
                    break
                await self._clock.sleep(min(0.2, self._settings.retry_s))
            lost = len(self._intake)
            try:
                await self._file.close(clean=not lost)
            finally:
                self._committer.moved.set()
        if lost:
            raise JournalFull(
                f"expected room for {lost} rows when closing the journal, found the "
                f"disk refusing them ({self._committer.disk_error}); they are not "
                "stored"
            )

    def _knows(self, position: int) -> bool:
        """True when this journal may have given out *position*."""
        intake = self._intake
        return position <= self._old_last or intake.first <= position < intake.next

    def _told(self, sink: str, after: int) -> list[Part]:
        """What *sink* cannot get any more, in place of it."""
        part = self._readers.told(sink, after, self._clock.wall_ns())
        return [] if part is None else [part]

    def _from_ring(self, after: int, max_records: int, max_bytes: int) -> list[Part]:
        """Rows behind *after* from memory; none when it does not reach back."""
        # Nothing was given out between the last run's end and this one's start.
        jumped = self._old_last <= after < self._intake.first
        wanted = self._intake.first if jumped else after + 1
        first = self._committer.ring.first
        if first is None or first > wanted:
            return []
        return self._committer.ring.take(wanted, max_records, max_bytes)

    async def _read(
        self, after: int, upto: int, max_records: int, max_bytes: int
    ) -> list[StoredPart]:
        return await self._insist(
            lambda store: store.read(after, upto, max_records, max_bytes)
        )

    async def _insist(self, operation: Callable[[Store], Result]) -> Result:
        while True:
            try:
                return await self._file.call(operation)
            except (sqlite3.Error, OSError) as error:
                # The disk fails: it is asked again for as long as the caller waits.
                self._committer.disk_error = str(error)
                await self._clock.sleep(self._settings.retry_s)
