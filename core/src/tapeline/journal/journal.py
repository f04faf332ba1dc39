"""The journal on disk: what was received and learned, in one durable order."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import anyio
import attrs

from tapeline.clock import Clock
from tapeline.errors import JournalError, JournalFull
from tapeline.journal.backlog import Backlog
from tapeline.journal.codec import encode
from tapeline.journal.lock import FolderLock
from tapeline.journal.losses import QUOTA, Loss
from tapeline.journal.readers import Readers
from tapeline.journal.recovery import DamageReport, Opened, open_store
from tapeline.journal.ring import Ring
from tapeline.journal.rows import (
    ROW_OVERHEAD,
    Commit,
    RowTuple,
    StoredPart,
    Trimmed,
    row_tuple,
)
from tapeline.journal.settings import JournalSettings
from tapeline.journal.spans import Spans
from tapeline.journal.store import is_corrupt, part_of
from tapeline.model import Batch, Part, Record
from tapeline.seams import Executor, Worker

Result = TypeVar("Result")

FILE_NAME = "journal.db"
LOCK_NAME = "journal.lock"
_QUOTA_SLACK = 0.95
_CLOSE_TRIES = 3


@attrs.frozen
class _Pending:
    """An append that waits for its commit."""

    position: int
    wall_ns: int
    nbytes: int
    headers: bytes
    payload: bytes
    records: Sequence[Record]


class Journal:
    """See ``JournalLike``. Made by ``open``; driven by ``run``; ended by ``aclose``."""

    def __init__(
        self,
        *,
        path: Path,
        clock: Clock,
        worker: Worker,
        lock: FolderLock,
        settings: JournalSettings,
        opened: Opened,
        floor: int,
    ) -> None:
        state = opened.state
        self._path = path
        self._clock = clock
        self._worker = worker
        self._lock = lock
        self._settings = settings
        self._store = opened.store
        self._id = state.journal_id
        self._started = state.started
        self._floor = state.floor
        self._committed = state.last
        self._old_last = state.last
        # Far above everything a lost tail may have used before: a number is never
        # given out twice, whatever became of the file.
        self._first = max(
            state.last + 1, first_position(clock.wall_ns(), floor), state.started
        )
        self._next = self._first
        self._readers = Readers(state.cursors, state.losses)
        self._checkpoints = dict(state.checkpoints)
        self._new_checkpoints: dict[str, tuple[int, bytes]] = {}
        self._bans = dict(state.bans)
        self._new_bans: dict[str, int] = {}
        self._backlog = Backlog()
        self._backlog.load(state.sizes)
        self._chunks = tuple(state.chunks)
        self._ring = Ring(settings.ring_bytes)
        self._damages = [opened.damage] if opened.damage is not None else []
        self._damage = opened.damage
        self._pending: list[_Pending] = []
        self._pending_bytes = 0
        self._disk_error = ""
        self._closed = False
        self._commits = self._appended = self._given_up = self._trimmed_rows = 0
        self._last_trim_ns = clock.monotonic_ns()
        self._trim_now = False
        self._ended = False
        self._forget_checkpoints: set[str] = set()
        self._work = anyio.Event()
        self._urgent = anyio.Event()
        self._moved = anyio.Event()
        self._committing = anyio.Lock()

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
        path = Path(data_dir) / FILE_NAME
        lock = FolderLock(path.with_name(LOCK_NAME))
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
        return cls(
            path=path,
            clock=clock,
            worker=worker,
            lock=lock,
            settings=settings,
            opened=opened,
            floor=floor,
        )

    @property
    def journal_id(self) -> str:
        """Name of this journal."""
        return self._id

    @property
    def last(self) -> int:
        """Position of the newest append, or of the newest row found at start."""
        return self._next - 1 if self._next > self._first else self._committed

    @property
    def committed(self) -> int:
        """Position up to which everything is durable."""
        return self._committed

    @property
    def floor(self) -> int:
        """Position up to which rows were trimmed."""
        return self._floor

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for a commit."""
        return self._pending_bytes

    @property
    def pressure(self) -> float:
        """Pending bytes as a part of what memory allows."""
        return self._pending_bytes / self._settings.memory_bytes

    @property
    def full(self) -> bool:
        """True while the disk refuses, or memory is spent."""
        return (
            bool(self._disk_error) or self._pending_bytes >= self._settings.memory_bytes
        )

    @property
    def damage(self) -> DamageReport | None:
        """What was wrong when it was opened."""
        return self._damage

    @property
    def damages(self) -> Sequence[DamageReport]:
        """All damage found so far."""
        return tuple(self._damages)

    def append(self, records: Sequence[Record]) -> int:  # hot path
        """Take *records* as the next position; returns it.

        Raises:
            JournalFull: memory for what the disk refuses is spent.
        """
        if not records:
            return self.last
        if self._pending_bytes >= self._settings.memory_bytes or self._closed:
            raise self._refusal()
        headers, payload = encode(records)
        position = self._next
        self._next = position + 1
        nbytes = len(headers) + len(payload) + ROW_OVERHEAD
        self._pending.append(
            _Pending(
                position,
                self._clock.wall_ns(),
                nbytes,
                headers,
                payload,
                tuple(records),
            )
        )
        self._pending_bytes += nbytes
        self._appended += len(records)
        self._urgent.set()
        self._work.set()
        return position

    async def wait_committed(self, position: int) -> None:
        """Wait until *position* is durable; the caller sets a deadline.

        Raises:
            JournalError: the journal was closed before.
        """
        await self._wait_for(position)

    async def wait_beyond(self, position: int) -> None:
        """Wait until there are committed rows behind *position*; no deadline.

        Raises:
            JournalError: the journal was closed before.
        """
        await self._wait_for(position + 1)

    async def run(self) -> None:
        """Commit and trim until closed."""
        pause = self._settings.commit_ms / 1_000
        while True:
            # Nothing to do is no fault: this waits without a deadline.
            await self._work.wait()
            if not self._urgent.is_set():
                with anyio.move_on_after(self._settings.lazy_s):
                    await self._urgent.wait()
            if self._closed:
                return
            started = self._clock.monotonic_ns()
            if await self._commit():
                await self._keep_quota()
                spent = (self._clock.monotonic_ns() - started) / 1e9
                await self._clock.sleep(pause - spent)
            else:
                await self._clock.sleep(self._settings.retry_s)

    async def next_batch(
        self,
        after: int,
        max_records: int = 5_000,
        max_bytes: int = 4 * 2**20,
        *,
        sink: str = "",
    ) -> Batch | None:
        """Committed rows behind *after*, in order; None when there are none."""
        batch = await self._next_batch(after, max_records, max_bytes, sink)
        if batch is not None and sink:
            self._readers.hand(sink, batch.last_position)
        return batch

    async def _next_batch(
        self, after: int, max_records: int, max_bytes: int, sink: str
    ) -> Batch | None:
        told = self._told(sink, after)
        if told is not None:
            return told
        upto = self._committed
        if after >= upto:
            return None
        wanted = self._first if self._old_last <= after < self._first else after + 1
        first = self._ring.first
        if first is not None and first <= wanted:
            return Batch(self._id, self._ring.take(wanted, max_records, max_bytes))
        stored = await self._read(after, upto, max_records, max_bytes)
        # A loss may have been noted meanwhile, and its rows removed.
        told = self._told(sink, after)
        if told is not None:
            return told
        parts = [part_of(part) for part in stored]
        return Batch(self._id, parts or [Part(upto, ())])

    def register_sink(
        self, name: str, position: int | None, *, own_cursor: bool = True
    ) -> int:
        """A durable sink reads from now on; returns its cursor."""
        if position is not None and not self._knows(position):
            # The sink knows more than this file: it lost its tail. Numbers that
            # the sink has passed are never given out again.
            self._note_damage(
                f"sink {name!r} is at position {position}, the journal only at "
                f"{self.last}: the end of the journal is missing"
            )
            if position >= self._next and self._next > self._first:
                position = self._first - 1
            elif position >= self._next:
                self._first = self._next = position + 1
        cursor = self._readers.register(
            name,
            position,
            own_cursor=own_cursor,
            started=self._started,
            floor=self._floor,
            chunks=self._chunks,
        )
        self._work.set()
        return cursor

    def expect_sink(self, name: str) -> None:
        """Keep rows from now on for a sink that will register later."""
        self._readers.expect(name, self._floor)

    def retain_sinks(self, names: Collection[str]) -> None:
        """Forget all sinks but *names*."""
        self._readers.retain(names)
        self._work.set()

    def retain_checkpoints(self, names: Collection[str]) -> None:
        """Forget all checkpoints but *names*."""
        for name in [name for name in self._checkpoints if name not in names]:
            del self._checkpoints[name]
            self._new_checkpoints.pop(name, None)
            self._forget_checkpoints.add(name)
        self._work.set()

    def cursor(self, name: str) -> int | None:
        """How far the sink is; None when it is not known."""
        return self._readers.cursors.get(name)

    def advance_cursor(self, name: str, position: int) -> None:
        """The sink has stored everything up to *position*."""
        self._readers.advance(name, position)
        lowest = self._readers.lowest
        if lowest is not None:
            self._ring.release(lowest)
        self._work.set()

    def lag(self, name: str) -> tuple[int, int, float]:
        """Rows, bytes and seconds by which the sink is behind."""
        cursor = self._readers.cursors.get(name, self._floor)
        return self._backlog.behind(cursor, self._clock.wall_ns())

    def checkpoint(self, name: str, position: int, payload: bytes) -> None:
        """Keep *payload*, which holds what rows up to *position* made."""
        self._new_checkpoints[name] = (position, payload)
        self._urgent.set()
        self._work.set()

    def checkpoints(self) -> Mapping[str, tuple[int, bytes]]:
        """The newest checkpoints that are durable."""
        return dict(self._checkpoints)

    async def read_from(
        self, position: int
    ) -> AsyncIterator[tuple[int, Sequence[Record]]]:
        """Rows behind *position* that are committed now, for a refold at start."""
        upto = self._committed
        while position < upto:
            stored = await self._read(position, upto, 20_000, 8 * 2**20)
            if not stored:
                return
            for part in stored:
                yield part.position, part.records
            position = stored[-1].position

    async def spans(self, after: int = 0) -> Spans:
        """Id and time ranges of all streams written behind *after*."""
        return await self._call(lambda: self._store.spans(after))

    def remember_ban(self, scope: str, until_ns: int) -> None:
        """Keep away from *scope* until then, over restarts too."""
        self._bans[scope] = until_ns
        self._new_bans[scope] = until_ns
        self._urgent.set()
        self._work.set()

    def bans(self) -> Mapping[str, int]:
        """Bans that are not over."""
        now_ns = self._clock.wall_ns()
        for scope in [scope for scope, at in self._bans.items() if at <= now_ns]:
            del self._bans[scope]
            self._new_bans[scope] = 0
        return dict(self._bans)

    def statistics(self) -> Mapping[str, int | float | str | bool]:
        """JSON-ready figures."""
        return {
            "journal_id": self._id,
            "last_position": self.last,
            "committed_position": self._committed,
            "floor_position": self._floor,
            "rows": self._backlog.rows,
            "bytes": self._backlog.nbytes,
            "quota_bytes": self._settings.quota_bytes,
            "pending_rows": len(self._pending),
            "pending_bytes": self._pending_bytes,
            "ring_rows": len(self._ring),
            "ring_bytes": self._ring.nbytes,
            "records_appended": self._appended,
            "commits": self._commits,
            "rows_trimmed": self._trimmed_rows,
            "rows_given_up": self._given_up,
            "damaged_rows": self._store.damaged_rows,
            "damages": len(self._damages),
            "full": self.full,
            "disk_error": self._disk_error,
        }

    async def aclose(self) -> None:
        """Commit everything, then close; safe twice.

        Raises:
            JournalFull: the disk refused; what waited for it is not stored.
        """
        if self._closed:
            return
        self._closed = True
        self._work.set()
        self._urgent.set()
        lost = 0
        with anyio.CancelScope(shield=True):  # bounded by the number of tries
            for attempt in range(_CLOSE_TRIES):
                if await self._commit() or attempt == _CLOSE_TRIES - 1:
                    break
                await self._clock.sleep(min(0.2, self._settings.retry_s))
            lost = len(self._pending)
            self._ended = True
            try:
                await self._worker.run(self._close_store, not lost)
            finally:
                self._moved.set()
                await self._worker.aclose()
        if lost:
            raise JournalFull(
                f"expected room for {lost} rows when closing the journal, found the "
                f"disk refusing them ({self._disk_error}); they are not stored"
            )

    def _close_store(self, clean: bool) -> None:
        try:
            self._store.close(clean)
        except sqlite3.Error:
            # The rows are committed; only the mark of a clean end is missing.
            self._store.close()
        finally:
            self._lock.release()

    def _knows(self, position: int) -> bool:
        """True when this journal may have given out *position*."""
        return position <= self._old_last or self._first <= position < self._next

    async def _wait_for(self, position: int) -> None:
        while self._committed < position:
            if self._moved.is_set():
                raise JournalError(
                    f"expected position {position} in the journal, found it closed "
                    f"at {self._committed}"
                )
            await self._moved.wait()

    def _refusal(self) -> JournalError:
        if self._closed:
            return JournalError("expected an open journal, found it closed")
        return JournalFull(
            f"expected less than {self._settings.memory_bytes} bytes waiting for the "
            f"disk, found {self._pending_bytes}"
            f"{': ' if self._disk_error else ''}{self._disk_error}"
        )

    def _told(self, sink: str, after: int) -> Batch | None:
        part = self._readers.told(sink, after, self._clock.wall_ns())
        return None if part is None else Batch(self._id, [part])

    async def _read(
        self, after: int, upto: int, max_records: int, max_bytes: int
    ) -> list[StoredPart]:
        while True:
            try:
                return await self._call(
                    lambda: self._store.read(after, upto, max_records, max_bytes)
                )
            except (sqlite3.Error, OSError) as error:
                # The disk fails to read: it is asked again for as long as the
                # caller waits.
                self._disk_error = str(error)
                await self._clock.sleep(self._settings.retry_s)

    async def _call(self, operation: Callable[[], Result]) -> Result:
        """Run *operation* on the worker; a damaged file is salvaged once."""
        if self._ended:
            raise JournalError("expected an open journal, found it closed")
        try:
            return await self._worker.run(operation)
        except (sqlite3.Error, UnicodeError) as error:
            if not is_corrupt(error):
                raise
            await self._recover(error)
            return await self._worker.run(operation)

    async def _recover(self, cause: Exception) -> None:
        """Salvage the file while running; what is in memory stays the truth."""

        def salvage() -> Opened:
            self._store.close()
            return open_store(
                self._path,
                wall_ns=self._clock.wall_ns(),
                started=self._started,
                known_id=self._id,
                keep_id=True,
                max_file_bytes=self._settings.max_file_bytes,
            )

        opened = await self._worker.run(salvage)
        self._store = opened.store
        self._backlog = Backlog()
        self._backlog.load(opened.state.sizes)
        self._chunks = tuple(opened.state.chunks)
        self._new_checkpoints = {**self._checkpoints, **self._new_checkpoints}
        self._readers.give_back(self._readers.take_changes(everything=True))
        if opened.damage is not None:
            self._damages.append(opened.damage)
        else:
            self._note_damage(f"journal {self._path.name} was reopened after: {cause}")

    def _note_damage(self, reason: str) -> None:
        self._damages.append(
            DamageReport(
                reason=reason,
                set_aside="",
                salvaged_rows=0,
                lost=True,
                new_journal=False,
                detected_ns=self._clock.wall_ns(),
            )
        )

    async def _commit(self) -> bool:
        """One group commit; False when the disk refused it."""
        # A commit that began is finished, and its outcome noted, whatever is
        # cancelled around it; it is bounded by the disk.
        done = False
        with anyio.CancelScope(shield=True):
            async with self._committing:
                done = await self._commit_pending()
        return done

    async def _commit_pending(self) -> bool:
        self._work = anyio.Event()
        self._urgent = anyio.Event()
        pending, self._pending = self._pending, []
        checkpoints, self._new_checkpoints = self._new_checkpoints, {}
        bans, self._new_bans = self._new_bans, {}
        forget, self._forget_checkpoints = self._forget_checkpoints, set()
        changes = self._readers.take_changes()
        trim_to = self._trim_target()
        if not (pending or checkpoints or bans or forget or changes or trim_to):
            return True
        settings = self._settings

        def write() -> tuple[list[RowTuple], Trimmed | None]:
            rows = [
                row_tuple(item.position, item.wall_ns, item.headers, item.payload)
                for item in pending
            ]
            store = self._store
            freed = None
            if trim_to is not None and self._disk_error:
                # The disk was full: what may go has to go before anything comes.
                freed = store.commit(
                    Commit(
                        cursors=changes.cursors,
                        losses=changes.losses,
                        trim_to=trim_to,
                        trim_rows=settings.trim_rows,
                    )
                )
            trimmed = store.commit(
                Commit(
                    rows=rows,
                    cursors=changes.cursors,
                    checkpoints=checkpoints,
                    forget_checkpoints=tuple(forget),
                    bans=bans,
                    losses=changes.losses,
                    forget=changes.forget,
                    trim_to=None if freed is not None else trim_to,
                    trim_rows=settings.trim_rows,
                )
            )
            return rows, freed or trimmed

        try:
            rows, trimmed = await self._call(write)
        except (sqlite3.Error, OSError, JournalError) as error:
            self._pending = [*pending, *self._pending]
            self._new_checkpoints = {**checkpoints, **self._new_checkpoints}
            self._new_bans = {**bans, **self._new_bans}
            self._forget_checkpoints |= forget
            self._readers.give_back(changes)
            self._disk_error = str(error)
            await self._renew(error)
            self._work.set()
            self._urgent.set()
            return False
        self._note_commit(pending, rows, checkpoints, trimmed)
        return True

    def _note_commit(
        self,
        pending: Sequence[_Pending],
        rows: Sequence[RowTuple],
        checkpoints: Mapping[str, tuple[int, bytes]],
        trimmed: Trimmed | None,
    ) -> None:
        self._disk_error = ""
        self._commits += 1
        self._checkpoints.update(checkpoints)
        self._backlog.extend([row[:3] for row in rows])
        if trimmed is not None:
            self._floor = max(self._floor, trimmed.position)
            self._trimmed_rows += trimmed.rows
            self._backlog.trim(trimmed.position, trimmed.rows, trimmed.nbytes)
            self._chunks = tuple(self._store.chunks)
            if trimmed.rows >= self._settings.trim_rows:
                self._trim_now = True
                self._work.set()
                self._urgent.set()
        if not pending:
            return
        if self._readers.cursors:
            for item in pending:
                self._ring.add(item.position, item.records, item.nbytes)
        else:
            self._ring.clear()
        for item in pending:
            self._pending_bytes -= item.nbytes
        self._committed = pending[-1].position
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    def _trim_target(self) -> int | None:
        """Up to where rows may go now; None while it is too little to bother."""
        target = self._free_upto(self._readers.lowest)
        if target is None or target <= self._floor:
            return None
        now_ns = self._clock.monotonic_ns()
        due = now_ns - self._last_trim_ns >= self._settings.lazy_s * 1e9
        if not (due or self._trim_now or self._disk_error):
            return None
        self._last_trim_ns = now_ns
        self._trim_now = False
        return target

    def _free_upto(self, lowest: int | None) -> int | None:
        """*lowest*, but not beyond a checkpoint or the newest committed row."""
        if lowest is None:
            # Nobody reads: only over the quota is there a reason to trim.
            if self._backlog.nbytes <= self._settings.quota_bytes:
                return None
            lowest = self._committed
        return min(lowest, self._ceiling())

    def _ceiling(self) -> int:
        """What is committed, and not needed for a refold any more."""
        kept = (position for position, _ in self._checkpoints.values())
        return min((self._committed, *kept))

    async def _keep_quota(self) -> None:
        """Over the quota the laggards give up their oldest rows, a step at a time."""
        quota = self._settings.quota_bytes
        excess = self._backlog.nbytes - int(quota * _QUOTA_SLACK)
        if self._backlog.nbytes <= quota or self._closed:
            return
        ceiling = self._ceiling()
        steps = self._settings.trim_rows

        def plan() -> tuple[int, list[Loss]]:
            upto = self._store.reach(self._floor, excess, steps, ceiling)
            losses = []
            for sink in tuple(self._readers.cursors):
                for after, position in self._readers.losable(sink, upto):
                    loss = Loss(sink, after, position, QUOTA)
                    self._store.add_loss(loss, after, position)
                    losses.append(loss)
            return upto, losses

        try:
            upto, losses = await self._call(plan)
        except (sqlite3.Error, OSError) as error:
            self._disk_error = str(error)
            return
        if upto <= self._floor:
            return
        # Noted before the rows go, so that no reader can pass over them unseen.
        for loss in losses:
            cursor = self._readers.cursors.get(loss.sink)
            if cursor is not None and cursor <= loss.after:
                self._readers.lose(loss)
                self._given_up += loss.rows
        self._trim_now = True
        self._work.set()
        self._urgent.set()

    async def _renew(self, error: Exception) -> None:
        """A new connection after the disk failed: its state is not known."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code != sqlite3.SQLITE_IOERR:
            return
        try:
            await self._worker.run(self._store.reopen)
        except (sqlite3.Error, OSError) as failure:
            self._disk_error = str(failure)


def first_position(wall_ns: int, floor: int) -> int:
    """Where a fresh journal starts: 256 positions for every microsecond."""
    return max((wall_ns // 1_000) << 8, floor + 1)
