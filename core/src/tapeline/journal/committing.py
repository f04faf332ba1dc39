"""Group commits, and what rides along: trimming, cursors, losses, the quota."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import anyio

from tapeline.clock import Clock
from tapeline.errors import JournalError
from tapeline.journal.backlog import Backlog
from tapeline.journal.files import JournalFile
from tapeline.journal.intake import Intake, Pending
from tapeline.journal.losses import QUOTA, Loss
from tapeline.journal.notes import Notes
from tapeline.journal.readers import Readers
from tapeline.journal.ring import Ring
from tapeline.journal.rows import Commit, State, Trimmed, row_tuple
from tapeline.journal.settings import JournalSettings
from tapeline.journal.store import Store

_QUOTA_SLACK = 0.95


class Committer:
    """Makes durable what waits, and removes what nobody needs.

    Args:
        intake, notes, readers: where changes wait for their commit.

    Attributes:
        committed: position up to which everything is durable.
        floor: position up to which rows were trimmed.
        chunks: what the trimmed rows held.
        disk_error: why the last commit was refused; empty when it was not.
        moved: set, and replaced, when ``committed`` rises.
    """

    def __init__(
        self,
        file: JournalFile,
        clock: Clock,
        settings: JournalSettings,
        intake: Intake,
        notes: Notes,
        readers: Readers,
    ) -> None:
        state = file.state
        self.committed = state.last
        self.floor = state.floor
        self.chunks = tuple(state.chunks)
        self.backlog = Backlog()
        self.backlog.load(state.sizes)
        self.ring = Ring(settings.ring_bytes)
        self.disk_error = ""
        self.moved = anyio.Event()
        self.commits = self.given_up = self.trimmed_rows = 0
        self._file = file
        self._clock = clock
        self._settings = settings
        self._intake = intake
        self._notes = notes
        self._readers = readers
        self._closed = False
        self._last_trim_ns = clock.monotonic_ns()
        self._trim_now = False
        self._work = anyio.Event()
        self._urgent = anyio.Event()
        self._committing = anyio.Lock()
        file.salvaged = self._write_down_again

    def wake(self, *, urgent: bool = True) -> None:  # hot path
        """There is something to commit; what is not *urgent* may wait a little."""
        if urgent:
            self._urgent.set()
        self._work.set()

    def close(self) -> None:
        """``run`` ends; ``commit`` may still be called."""
        self._closed = True
        self.wake()

    async def run(self) -> None:
        """Commit and trim until closed."""
        pause_s = self._settings.commit_ms / 1_000
        while True:
            # Nothing to do is no fault: this waits without a deadline.
            await self._work.wait()
            if not self._urgent.is_set():
                with anyio.move_on_after(self._settings.lazy_s):
                    await self._urgent.wait()
            if self._closed:
                return
            started_ns = self._clock.monotonic_ns()
            if await self.commit():
                await self.keep_quota()
                spent_s = (self._clock.monotonic_ns() - started_ns) / 1e9
                await self._clock.sleep(pause_s - spent_s)
            else:
                await self._clock.sleep(self._settings.retry_s)

    async def commit(self) -> bool:
        """One group commit; False when the disk refused it."""
        done = False
        # A commit that began is finished, and its outcome noted, whatever is
        # cancelled around it; it is bounded by the disk.
        with anyio.CancelScope(shield=True):
            async with self._committing:
                done = await self._commit_pending()
        return done

    async def keep_quota(self) -> None:
        """Over the quota the laggards give up their oldest rows, a step at a time."""
        quota = self._settings.quota_bytes
        if self.backlog.nbytes <= quota or self._closed:
            return
        excess = self.backlog.nbytes - int(quota * _QUOTA_SLACK)
        ceiling = self._ceiling()
        floor = self.floor
        steps = self._settings.trim_rows
        readers = self._readers

        def plan(store: Store) -> tuple[int, list[Loss]]:
            upto = store.reach(floor, excess, steps, ceiling)
            losses = []
            for sink in tuple(readers.cursors):
                for after, position in readers.losable(sink, upto):
                    loss = Loss(sink, after, position, QUOTA)
                    store.add_loss(loss)
                    losses.append(loss)
            return upto, losses

        try:
            upto, losses = await self._file.call(plan)
        except (sqlite3.Error, OSError) as error:
            self.disk_error = str(error)
            return
        if upto <= floor:
            return
        # Noted before the rows go, so that no reader can pass over them unseen.
        for loss in losses:
            if readers.lose(loss):
                self.given_up += loss.rows
        self.trim_soon()

    def trim_soon(self) -> None:
        """Trim with the next commit, and make one at once."""
        self._trim_now = True
        self.wake()

    async def _commit_pending(self) -> bool:
        self._work = anyio.Event()
        self._urgent = anyio.Event()
        if self._closed:
            self.wake()  # ``run`` may be in its pause, and must not miss it
        pending = self._intake.take()
        notes = self._notes.take()
        changes = self._readers.take_changes()
        trim_to = self._trim_target()
        if not (pending or notes or changes or trim_to):
            return True
        commit = Commit(
            cursors=changes.cursors,
            losses=changes.losses,
            forget=changes.forget,
            checkpoints=notes.checkpoints,
            forget_checkpoints=notes.forget,
            bans=notes.bans,
            retries=notes.retries,
            trim_to=trim_to,
            trim_rows=self._settings.trim_rows,
        )
        # On a full disk, what may go has to go before anything comes.
        room_first = bool(self.disk_error)

        def write(store: Store) -> Trimmed | None:
            rows = [
                row_tuple(item.position, item.wall_ns, item.headers, item.payload)
                for item in pending
            ]
            return store.commit(commit, rows, room_first=room_first)

        try:
            trimmed = await self._file.call(write)
        except (sqlite3.Error, OSError, JournalError) as error:
            self._intake.give_back(pending)
            self._notes.give_back(notes)
            self._readers.give_back(changes)
            self.disk_error = await self._file.renew(error) or str(error)
            self._intake.disk_error = self.disk_error
            self.wake()
            return False
        self.disk_error = self._intake.disk_error = ""
        self.commits += 1
        self._notes.stored(notes)
        if notes.checkpoints:
            self._work.set()  # more may be trimmed now
        self._note_rows(pending)
        self._note_trim(trimmed)
        return True

    def _note_rows(self, pending: Sequence[Pending]) -> None:
        """These rows are durable: readers may have them."""
        if not pending:
            return
        self.backlog.extend(
            [(item.position, item.nbytes, item.wall_ns) for item in pending]
        )
        if self._readers.cursors:
            for item in pending:
                self.ring.add(item.position, item.records, item.nbytes)
        else:
            self.ring.clear()
        self._intake.stored(pending)
        self.committed = pending[-1].position
        moved, self.moved = self.moved, anyio.Event()
        moved.set()

    def _note_trim(self, trimmed: Trimmed | None) -> None:
        if trimmed is None:
            return
        self.floor = max(self.floor, trimmed.position)
        self.trimmed_rows += trimmed.rows
        self.backlog.trim(trimmed.position, trimmed.rows, trimmed.nbytes)
        self.chunks = tuple(self._file.store.chunks)
        if trimmed.rows >= self._settings.trim_rows:
            self.trim_soon()

    def _trim_target(self) -> int | None:
        """Up to where rows may go now; None while it is too little to bother."""
        lowest = self._readers.lowest
        if lowest is None:
            # Nobody reads: only over the quota is there a reason to trim.
            if self.backlog.nbytes <= self._settings.quota_bytes:
                return None
            lowest = self.committed
        target = min(lowest, self._ceiling())
        if target <= self.floor:
            return None
        now_ns = self._clock.monotonic_ns()
        due = now_ns - self._last_trim_ns >= self._settings.lazy_s * 1e9
        if not (due or self._trim_now or self.disk_error):
            self._work.set()  # to come back to it when it is due
            return None
        self._last_trim_ns = now_ns
        self._trim_now = False
        return target

    def _ceiling(self) -> int:
        """What is committed, and not needed for a refold any more."""
        kept = (position for position, _ in self._notes.checkpoints.values())
        return min((self.committed, *kept))

    def _write_down_again(self, state: State) -> None:
        """The file was salvaged: store once more what only memory is sure of."""
        self.backlog = Backlog()
        self.backlog.load(state.sizes)
        self.chunks = tuple(state.chunks)
        self._notes.all_again()
        self._readers.give_back(self._readers.take_changes(everything=True))
        self._work.set()
