"""The journal without a disk: for use with callbacks only, and for tests."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

import anyio
import attrs

from tapeline.clock import Clock
from tapeline.errors import JournalError
from tapeline.journal.backlog import Backlog
from tapeline.journal.codec import encode
from tapeline.journal.files import first_position
from tapeline.journal.letters import MAX_LETTERS
from tapeline.journal.losses import QUOTA, Loss
from tapeline.journal.readers import Readers
from tapeline.journal.recovery import DamageReport
from tapeline.journal.rows import ROW_OVERHEAD
from tapeline.journal.settings import JournalSettings
from tapeline.journal.spans import Spans
from tapeline.model import Batch, KeptLetter, LetterKey, Part, Record


@attrs.frozen
class _Row:
    """A position with what a loss of it would have to tell."""

    part: Part
    nbytes: int
    headers: bytes


class MemoryJournal:
    """See ``JournalLike``. Committed at once, gone with the process.

    Rows are kept only while a sink has not read them, and within
    ``settings.memory_bytes``: beyond it the slowest sinks give up the oldest.
    """

    def __init__(
        self, clock: Clock, *, settings: JournalSettings | None = None, floor: int = 0
    ) -> None:
        self._clock = clock
        self._settings = settings or JournalSettings()
        self._id = self._settings.draw_id()
        self._first = self._next = first_position(clock.wall_ns(), floor)
        self._floor = self._first - 1
        self._readers = Readers({}, {})
        self._rows: deque[_Row] = deque()
        self._nbytes = 0
        self._backlog = Backlog()
        self._checkpoints: dict[str, tuple[int, bytes]] = {}
        self._bans: dict[str, int] = {}
        self._letters: dict[LetterKey, KeptLetter] = {}
        self._appended = self._given_up = 0
        self._closed = False
        self._moved = anyio.Event()

    @property
    def journal_id(self) -> str:
        """Name of this journal."""
        return self._id

    @property
    def last(self) -> int:
        """Position of the newest append."""
        return self._next - 1

    @property
    def committed(self) -> int:
        """The same as ``last``: there is nothing to wait for."""
        return self._next - 1

    @property
    def floor(self) -> int:
        """Position up to which rows were let go."""
        return self._floor

    @property
    def pending_bytes(self) -> int:
        """Always 0."""
        return 0

    @property
    def pressure(self) -> float:
        """Always 0: what does not fit is given up by who reads too slowly."""
        return 0.0

    @property
    def full(self) -> bool:
        """Always False."""
        return False

    @property
    def damage(self) -> DamageReport | None:
        """Always None."""
        return None

    @property
    def damages(self) -> Sequence[DamageReport]:
        """Always empty."""
        return ()

    def append(  # hot path
        self, records: Sequence[Record], *, urgent: bool = False
    ) -> int:
        """Take *records* as the next position; returns it."""
        if not records:
            return self._next - 1
        if self._closed:
            raise JournalError("expected an open journal, found it closed")
        position = self._next
        self._next = position + 1
        self._appended += len(records)
        if not self._readers.cursors:
            self._floor = position
            return position
        headers, payload = encode(records)
        nbytes = len(headers) + len(payload) + ROW_OVERHEAD
        self._rows.append(_Row(Part(position, tuple(records)), nbytes, headers))
        self._nbytes += nbytes
        self._backlog.extend(((position, nbytes, self._clock.wall_ns()),))
        if self._nbytes > self._settings.memory_bytes:
            self._keep_quota()
        moved, self._moved = self._moved, anyio.Event()
        moved.set()
        return position

    async def wait_committed(self, position: int) -> None:
        """Return once *position* was appended; the caller sets a deadline."""
        while self._next <= position:
            if self._closed:
                raise JournalError("expected an open journal, found it closed")
            await self._moved.wait()

    async def wait_beyond(self, position: int) -> None:
        """Wait until there are rows behind *position*; no deadline."""
        await self.wait_committed(position + 1)

    async def run(self) -> None:
        """Wait until it is closed: there is nothing to do."""
        while not self._closed:
            await self._moved.wait()

    async def next_batch(
        self,
        after: int,
        max_records: int = 5_000,
        max_bytes: int = 4 * 2**20,
        *,
        sink: str = "",
    ) -> Batch | None:
        """Rows behind *after*, in order; None when there are none."""
        told = self._readers.told(sink, after, self._clock.wall_ns())
        parts: list[Part] = []
        if told is not None:
            parts.append(told)
        elif after < self._next - 1:
            records = nbytes = 0
            first = self._rows[0].part.position if self._rows else self._next
            for at in range(max(0, after + 1 - first), len(self._rows)):
                row = self._rows[at]
                parts.append(row.part)
                records += len(row.part.records)
                nbytes += row.nbytes
                if records >= max_records or nbytes >= max_bytes:
                    break
            if not parts:
                parts.append(Part(self._next - 1, ()))
        if not parts:
            return None
        batch = Batch(self._id, parts)
        if sink:
            self._readers.hand(sink, batch.last_position)
        return batch

    def expect_sink(self, name: str) -> None:
        """Keep rows from now on for a sink that will register later."""
        self._readers.expect(name, self._floor)

    def register_sink(
        self, name: str, position: int | None, *, own_cursor: bool = True
    ) -> int:
        """A durable sink reads from now on; returns its cursor.

        What was appended before anybody read is not a loss: it was never kept.
        """
        if position is None and own_cursor:
            position = self.cursor(name) or self._floor
        return self._readers.register(
            name,
            position,
            own_cursor=own_cursor,
            started=self._first,
            floor=self._floor,
            chunks=(),
        )

    def retain_sinks(self, names: Collection[str]) -> None:
        """Forget all sinks but *names*."""
        self._readers.retain(names)
        self._release()

    def retain_checkpoints(self, names: Collection[str]) -> None:
        """Forget all checkpoints but *names*."""
        for name in [name for name in self._checkpoints if name not in names]:
            del self._checkpoints[name]

    def cursor(self, name: str) -> int | None:
        """How far the sink is; None when it is not known."""
        return self._readers.cursors.get(name)

    def advance_cursor(self, name: str, position: int) -> None:
        """The sink has stored everything up to *position*."""
        self._readers.advance(name, position)
        self._release()

    def lag(self, name: str) -> tuple[int, int, float]:
        """Rows, bytes and seconds by which the sink is behind."""
        cursor = self._readers.cursors.get(name, self._floor)
        return self._backlog.behind(cursor, self._clock.wall_ns())

    async def keep_letters(self, letters: Sequence[KeptLetter]) -> None:
        """Keep what a sink refused, of each sink the newest ``MAX_LETTERS``."""
        for letter in letters:
            self._letters[letter.key] = letter
            same = [key for key in self._letters if key[0] == letter.sink]
            for key in same[:-MAX_LETTERS]:
                del self._letters[key]

    async def letters(self, sink: str) -> Sequence[KeptLetter]:
        """The dead letters of *sink*, the oldest first."""
        return [letter for letter in self._letters.values() if letter.sink == sink]

    async def drop_letters(self, keys: Sequence[LetterKey]) -> None:
        """Forget these dead letters."""
        for key in keys:
            self._letters.pop(key, None)

    def append_retry(self, records: Sequence[Record], keys: Sequence[LetterKey]) -> int:
        """Take *records*, which announce that *keys* come again at their position."""
        position = self.append(records, urgent=True)
        for key in keys:
            if key in self._letters:
                self._letters[key] = attrs.evolve(
                    self._letters[key], retry_position=position
                )
        return position

    def checkpoint(self, name: str, position: int, payload: bytes) -> None:
        """Keep *payload* while the process lives."""
        self._checkpoints[name] = (position, payload)

    def checkpoints(self) -> Mapping[str, tuple[int, bytes]]:
        """The newest checkpoints."""
        return dict(self._checkpoints)

    async def read_from(
        self, position: int
    ) -> AsyncIterator[tuple[int, Sequence[Record]]]:
        """Rows behind *position* that are still kept."""
        for row in tuple(self._rows):
            if row.part.position > position:
                yield row.part.position, row.part.records

    async def spans(self, after: int = 0) -> Spans:
        """Id and time ranges of what is still kept."""
        spans = Spans()
        for row in self._rows:
            if row.part.position > after:
                spans.add(row.headers)
        return spans

    def remember_ban(self, scope: str, until_ns: int) -> None:
        """Keep away from *scope* until then."""
        self._bans[scope] = until_ns

    def bans(self) -> Mapping[str, int]:
        """Bans that are not over."""
        now_ns = self._clock.wall_ns()
        return {scope: at for scope, at in self._bans.items() if at > now_ns}

    def statistics(self) -> Mapping[str, int | float | str | bool]:
        """JSON-ready figures."""
        return {
            "journal_id": self._id,
            "last_position": self.last,
            "committed_position": self.committed,
            "floor_position": self._floor,
            "rows": len(self._rows),
            "bytes": self._nbytes,
            "quota_bytes": self._settings.memory_bytes,
            "records_appended": self._appended,
            "rows_given_up": self._given_up,
            "full": False,
        }

    async def aclose(self) -> None:
        """Let everything go; safe twice."""
        self._closed = True
        self._rows.clear()
        self._nbytes = 0
        self._moved.set()

    def _release(self) -> None:
        lowest = self._readers.lowest
        count = freed = 0
        while self._rows and (lowest is None or self._rows[0].part.position <= lowest):
            row = self._rows.popleft()
            self._floor = row.part.position
            count += 1
            freed += row.nbytes
        if count:
            self._nbytes -= freed
            self._backlog.trim(self._floor, count, freed)

    def _keep_quota(self) -> None:
        """The slowest sinks give up the oldest rows."""
        excess = self._nbytes - int(self._settings.memory_bytes * 0.9)
        upto = self._floor
        for row in self._rows:
            upto = row.part.position
            excess -= row.nbytes
            if excess <= 0:
                break
        for sink in tuple(self._readers.cursors):
            for after, position in self._readers.losable(sink, upto):
                loss = Loss(sink, after, position, QUOTA)
                for row in self._rows:
                    if after < row.part.position <= position:
                        loss.rows += 1
                        loss.spans.add(row.headers)
                        loss.keep(row.part.records)
                if self._readers.lose(loss):
                    self._given_up += loss.rows
        self._release()
