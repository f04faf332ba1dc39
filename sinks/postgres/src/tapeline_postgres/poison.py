"""Finding the records that the server refuses, by storing halves and undoing it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import msgspec

from tapeline.delivery import DeadLetter
from tapeline.model import Batch, Part
from tapeline_postgres.connection import Connection
from tapeline_postgres.failures import (
    ENCODING_ERRORS,
    TRANSPORT_ERRORS,
    is_about_data,
)
from tapeline_postgres.rows import has_fetched, prepared
from tapeline_postgres.statements import insert_statement
from tapeline_postgres.wire import WIRE_FORMS
from tapeline_sql import group_rows

_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Trial:
    """Tries records of one batch on a connection; nothing of it stays.

    Args:
        sink: name of the sink, for gaps that are about one sink alone.
        force: as in the sink's configuration.
    """

    connection: Connection
    journal_id: str
    sink: str
    force: bool

    async def find_refused(self, batch: Batch) -> list[DeadLetter]:
        """The records of *batch* that fail when they are stored alone.

        Raises:
            asyncpg.PostgresError, OSError, …: what is not about a record.
        """
        letters = [
            DeadLetter(position, ordinal, record, "")
            for position, ordinal, record in batch.records()
        ]
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            refused = await self._among(letters)
        finally:
            if not self.connection.is_closed():
                await transaction.rollback()
        return refused

    async def _among(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Those of *letters* that cannot be stored, with the reason."""
        refused: list[DeadLetter] = []
        waiting = [letters]
        while waiting:
            part = waiting.pop()
            reason = await self._reason_against(part)
            if not reason:
                continue
            if len(part) == 1:
                refused.append(attrs.evolve(part[0], reason=reason))
                continue
            middle = len(part) // 2
            # The first half on top: what is found stays in journal order.
            waiting += [part[middle:], part[:middle]]
        return refused

    async def _reason_against(self, letters: Sequence[DeadLetter]) -> str:
        """Why the server does not take *letters* together; empty when it does."""
        savepoint = self.connection.transaction()
        await savepoint.start()
        try:
            await self._insert(letters)
        except (*TRANSPORT_ERRORS, *ENCODING_ERRORS) as error:
            if not is_about_data(error):
                raise
            kind = type(letters[0].record).__name__
            return f"{kind}: {str(error).partition(chr(10))[0]}"
        finally:
            if not self.connection.is_closed():
                await savepoint.rollback()
        return ""

    async def _insert(self, letters: Sequence[DeadLetter]) -> None:
        # Their places do not matter here: nothing of it stays.
        part = Part(letters[0].position, [letter.record for letter in letters])
        grouped = group_rows(self.journal_id, [part], self.sink, WIRE_FORMS)
        ready = prepared(dict(grouped.tables), self.force)
        fetched = has_fetched(ready)
        for name, rows in ready.items():
            statement = insert_statement(name, fetched, self.force)
            await self.connection.execute(statement, _encode(rows).decode())
