"""The half of the sink that talks to the server: one statement for each batch."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import msgspec

from tapeline.clock import Clock
from tapeline.errors import SinkError, SinkRejected, SinkReplaced, SinkUnavailable
from tapeline.model import Batch
from tapeline_postgres.addresses import shown_address
from tapeline_postgres.config import PostgresConfig
from tapeline_postgres.connection import Connection, close, connect, prepare_schema
from tapeline_postgres.failures import (
    ENCODING_ERRORS,
    TRANSPORT_ERRORS,
    open_failure,
    write_failure,
)
from tapeline_postgres.poison import Trial
from tapeline_postgres.rows import has_fetched, prepared
from tapeline_postgres.statements import (
    INSERT_DEAD_LETTER,
    SELECT_CURSOR,
    batch_statement,
)
from tapeline_postgres.wire import WIRE_FORMS
from tapeline_sql import dead_letter_row, group_rows

_encode = msgspec.json.Encoder().encode
_MAX_TRIES = 3


@attrs.frozen
class Written:
    """What one ``write`` stored.

    Args:
        rows: name of a table → rows handed to it, those stored before included.
        unknown: name of a type without a table → records left out.
    """

    rows: Mapping[str, int] = attrs.field(factory=dict)
    unknown: Mapping[str, int] = attrs.field(factory=dict)


class Store:
    """One connection at a time, used by one call at a time.

    After any doubt about a connection it is dropped, never used again; the next call
    makes a new one and looks where the cursor is.

    Args:
        sink: name under which its cursor is kept.
    """

    def __init__(self, sink: str, config: PostgresConfig, clock: Clock) -> None:
        self._sink = sink
        self._config = config
        self._clock = clock
        self._force = config.force_update_candles
        self._connection: Connection | None = None
        self._known: dict[str, int | None] = {}
        self._served = False
        self.connections = 0

    async def open(self, journal_id: str) -> int | None:
        """Connect, make what is missing, tell the cursor of *journal_id*.

        Raises:
            SinkUnavailable: to be tried again; any other ``SinkError`` is final.
        """
        self.drop()
        self._known.clear()
        try:
            connection = await self._connect()
            return await self._look(connection, journal_id)
        except SinkError:
            self.drop()
            raise
        except TRANSPORT_ERRORS as error:
            self.drop()
            raise self._failure(error, opening=not self._served) from error

    async def write(self, batch: Batch) -> Written:
        """Store the parts of *batch* above the cursor, and the cursor, atomically.

        Raises:
            SinkUnavailable: the same batch may come again, stored already or not.
            SinkRejected: nothing is stored, and some record never can be.
            SinkReplaced: the database has less of the journal than it had.
            SinkError: the database cannot be used any more; final.
        """
        try:
            for _ in range(_MAX_TRIES):
                connection = await self._ready(batch.journal_id)
                written = await self._store(connection, batch)
                if written is not None:
                    return written
                # Somebody moved it: our own batch whose reply was lost, most likely.
                await self._find_cursor(connection, batch.journal_id)
        except SinkError:
            self.drop()
            raise
        except (*TRANSPORT_ERRORS, *ENCODING_ERRORS) as error:
            failure = self._failure(error)
            if isinstance(failure, SinkRejected):
                raise await self._refusal(batch, failure) from error
            self.drop()
            raise failure from error
        self.drop()
        raise SinkUnavailable(
            f"{self._place}: another writer moves the cursor of sink {self._sink!r}; "
            "give each process a sink name of its own"
        )

    async def close(self) -> None:
        """Release the connection; what is not committed is undone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)

    def drop(self) -> None:
        """Give the connection up at once; a call that uses it fails."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    @property
    def _place(self) -> str:
        return shown_address(self._config.dsn)

    async def _connect(self) -> Connection:
        connection = await connect(self._config, f"tapeline {self._sink}")
        # From now on ``drop`` ends whatever is done with it.
        self._connection = connection
        try:
            await prepare_schema(connection, self._config)
        except SinkError as error:
            if not self._served:
                raise
            # It was ours a moment ago: somebody is restoring it in place.
            raise SinkUnavailable(str(error)) from error
        self._served = True
        self.connections += 1
        return connection

    async def _ready(self, journal_id: str) -> Connection:
        """The open connection, or a new one after a failure."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._connect()
            await self._find_cursor(connection, journal_id)
        elif journal_id not in self._known:
            await self._look(connection, journal_id)
        return connection

    async def _look(self, connection: Connection, journal_id: str) -> int | None:
        found: int | None = await connection.fetchval(
            SELECT_CURSOR, journal_id, self._sink
        )
        self._known[journal_id] = found
        return found

    async def _find_cursor(self, connection: Connection, journal_id: str) -> None:
        """Look where the cursor is; it may be further than we know, never behind."""
        known = self._known.get(journal_id)
        found = await self._look(connection, journal_id)
        if known is not None and (found is None or found < known):
            raise SinkReplaced(
                f"expected the database that was written up to position {known}, "
                f"found {self._place} "
                f"{'new' if found is None else f'at position {found}'}: it was "
                "restored or replaced; what the journal still has is written again, "
                "and what is missing is recorded as gaps"
            )

    async def _store(self, connection: Connection, batch: Batch) -> Written | None:
        """Store what is new of *batch*; None when the cursor was not where we knew."""
        known = self._known[batch.journal_id]
        parts = [part for part in batch.parts if known is None or part.position > known]
        if not parts:
            return Written()
        rows = group_rows(batch.journal_id, parts, self._sink, WIRE_FORMS)
        ready = prepared(dict(rows.tables), self._force)
        statement = batch_statement(tuple(ready), has_fetched(ready), self._force)
        texts = [_encode(table_rows).decode() for table_rows in ready.values()]
        position = parts[-1].position
        moved = await connection.fetchval(
            statement, batch.journal_id, self._sink, position, known, *texts
        )
        if moved is None:
            return None
        self._known[batch.journal_id] = position
        counts = {name: len(table_rows) for name, table_rows in rows.tables.items()}
        return Written(counts, rows.unknown)

    async def _refusal(self, batch: Batch, failure: SinkError) -> SinkError:
        """The error that names what of *batch* the server refuses."""
        try:
            connection = await self._ready(batch.journal_id)
            trial = Trial(connection, batch.journal_id, self._sink, self._force)
            letters = await trial.find_refused(batch)
            now_ns = self._clock.wall_ns()
            await connection.executemany(
                INSERT_DEAD_LETTER,
                [
                    dead_letter_row(batch.journal_id, self._sink, letter, now_ns)
                    for letter in letters
                ],
            )
        except SinkError as error:
            self.drop()
            return error
        except (*TRANSPORT_ERRORS, *ENCODING_ERRORS) as error:
            self.drop()
            return self._failure(error)
        if not letters:
            # Only together: core halves the batch.
            return failure
        first = letters[0]
        return SinkRejected(
            f"{self._place}: {len(letters)} of {len(batch)} records cannot be stored; "
            f"the first is at position {first.position}, ordinal {first.ordinal}: "
            f"{first.reason}",
            [(letter.position, letter.ordinal) for letter in letters],
        )

    def _failure(self, error: BaseException, *, opening: bool = False) -> SinkError:
        if opening:
            return open_failure(error, self._config.dsn)
        failure = write_failure(error, self._config.dsn)
        if type(failure) is SinkError and self._served:
            # It worked before: a login that changes, a database that is restored.
            return SinkUnavailable(str(failure))
        return failure
