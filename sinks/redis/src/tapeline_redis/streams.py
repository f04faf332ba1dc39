"""The streams sink: each record once, under an id that is its place in the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs
from redis.exceptions import RedisError

from tapeline.clock import Now
from tapeline.errors import SinkError, SinkRejected, SinkReplaced
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, SinkHealth
from tapeline_redis.config import RedisStreamsConfig
from tapeline_redis.connection import Argument, Command, Line, address_of
from tapeline_redis.documents import REFUSALS, document, joined, place
from tapeline_redis.failures import failure
from tapeline_redis.script import STORE

# Redis does nothing else while it stores one of these.
_ENTRIES = 500
_BYTES = 2**20


@attrs.frozen
class _Entry:
    """One record on its way: key of its stream, entry id, JSON."""

    position: int
    ordinal: int
    key: str
    data: bytes


@attrs.frozen
class _Piece:
    """The entries of some whole positions, stored together with the cursor."""

    position: int
    entries: Sequence[_Entry]


class RedisStreamsSink:
    """Appends records and moves its cursor in one call; see ``hookspecs.Sink``.

    The cursor is a field of the hash ``PREFIX:cursors``. The call names the cursor as
    it is known here; Redis does nothing when it has another one, so a call that was
    carried out though its answer was lost is never carried out twice.
    """

    def __init__(self, config: RedisStreamsConfig, context: SinkContext) -> None:
        url = config.url.reveal()
        self._prefix = config.prefix
        self._kept = config.max_entries
        self._name = context.name
        self._address = address_of(url)
        self._line = Line(url, config.timeout_s, context.name)
        self._was_open = False
        self._cursors: dict[str, int | None] = {}
        self._counters: Counter[str] = Counter()
        self._issue = ""

    async def open(self, journal_id: str) -> int | None:
        """Tell how far Redis has this journal.

        Raises:
            SinkUnavailable: Redis is not there; to be tried again.
            SinkError: it never can be used: a sentence says why.
        """
        field = self._field(journal_id)
        found = await self._call(("HGET", f"{self._prefix}:cursors", field))
        self._was_open = True
        position = None if found is None else int(found)
        self._cursors[journal_id] = position
        return position

    async def write(self, batch: Batch) -> None:
        """Append the records above the cursor, in order, and move the cursor.

        Raises:
            SinkUnavailable: the same batch may come again; what is stored of it is
                left out then.
            SinkRejected: records that no JSON can hold; nothing is stored.
            SinkReplaced: Redis no longer has what was stored in it.
            SinkError: the streams are somebody else's; final.
        """
        for piece in self._pieces(batch):
            await self._store(batch.journal_id, piece)
        self._issue = ""
        self._counters["batches"] += 1

    async def close(self) -> None:
        """Drop the connection; safe twice, safe unopened."""
        await self._line.close()

    def health(self, now: Now) -> SinkHealth:
        """Entries appended, and the last failure until a batch is stored."""
        issues = (self._issue,) if self._issue else ()
        return SinkHealth(not issues, issues, dict(self._counters))

    def _pieces(self, batch: Batch) -> list[_Piece]:
        """*batch* above the cursor, cut between positions.

        Raises:
            SinkRejected: records that no JSON can hold.
        """
        cursor = self._cursors.get(batch.journal_id)
        refused: list[tuple[int, int]] = []
        reason = ""
        entries: list[_Entry] = []
        nbytes = 0
        pieces: list[_Piece] = []
        for part in batch.parts:
            position = part.position
            if cursor is not None and position <= cursor:
                continue
            for ordinal, record in enumerate(part.records):
                try:
                    data = document(record)
                    key = joined(self._prefix, place(record))
                except REFUSALS as error:
                    reason = reason or f"{type(record).__name__}: {error}"
                    refused.append((position, ordinal))
                    continue
                entries.append(_Entry(position, ordinal, key, data))
                nbytes += len(data)
            if len(entries) >= _ENTRIES or nbytes >= _BYTES:
                pieces.append(_Piece(position, entries))
                entries, nbytes = [], 0
        if refused:
            raise SinkRejected(
                f"{len(refused)} of {len(batch)} records cannot be written as JSON; "
                f"the first is at position {refused[0][0]}, ordinal {refused[0][1]}: "
                f"{reason}",
                refused,
            )
        if entries or not pieces or pieces[-1].position < batch.last_position:
            pieces.append(_Piece(batch.last_position, entries))
        return pieces

    async def _store(self, journal_id: str, piece: _Piece) -> None:
        cursor = self._cursors.get(journal_id)
        while cursor is None or cursor < piece.position:
            entries = [
                entry
                for entry in piece.entries
                if cursor is None or entry.position > cursor
            ]
            command = self._command(journal_id, cursor, piece.position, entries)
            verdict, *details = map(_text, await self._call(command))
            if verdict == "stored":
                cursor = piece.position
                repeated = int(details[0])
                self._counters["repeated"] += repeated
                self._counters["entries"] += len(entries) - repeated
            elif verdict == "cursor":
                cursor = self._elsewhere(cursor, details[0])
            else:
                raise self._noted(self._taken(verdict, details))
            self._cursors[journal_id] = cursor

    def _elsewhere(self, known: int | None, found: str) -> int:
        """Redis has another cursor than *known*: its own, when that is further on.

        Raises:
            SinkReplaced: it is behind.
        """
        if found and (known is None or int(found) > known):
            # An earlier call was carried out though its answer was lost.
            return int(found)
        raise self._noted(
            SinkReplaced(
                f"expected Redis at {self._address} to have this journal up to "
                f"position {known}, found {found or 'nothing'}: it was restarted or "
                "restored with less than it had"
            )
        )

    def _command(
        self,
        journal_id: str,
        cursor: int | None,
        position: int,
        entries: Sequence[_Entry],
    ) -> Command:
        prefix = self._prefix
        keys = [f"{prefix}:cursors", f"{prefix}:owners"]
        numbers: dict[str, int] = {}
        arguments: list[Argument] = []
        for entry in entries:
            number = numbers.get(entry.key)
            if number is None:
                keys.append(entry.key)
                number = numbers[entry.key] = len(keys)
            arguments += (number, f"{entry.position}-{entry.ordinal}", entry.data)
        known = "" if cursor is None else cursor
        head = (self._field(journal_id), known, position, self._kept)
        return ("EVAL", STORE, len(keys), *keys, *head, *arguments)

    def _taken(self, verdict: str, details: Sequence[str]) -> SinkError:
        key = details[0]
        if verdict == "kind":
            return SinkError(
                f"expected {key!r} in Redis at {self._address} to be a stream, found "
                f"a {details[1]}; choose another prefix"
            )
        owner = details[1] or "somebody"
        return SinkError(
            f"expected to be the only writer of stream {key!r} in Redis at "
            f"{self._address}, found newer entries of {owner}; give each collector "
            "its own prefix"
        )

    def _field(self, journal_id: str) -> str:
        return f"{journal_id}/{self._name}"

    def _noted(self, error: SinkError) -> SinkError:
        self._counters["failures"] += 1
        self._issue = str(error)
        return error

    async def _call(self, command: Command) -> Any:
        try:
            [reply] = await self._line.call(command)
        except (RedisError, OSError) as error:
            raise self._noted(
                failure(error, self._address, was_open=self._was_open)
            ) from error
        return reply


def _text(reply: object) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)
