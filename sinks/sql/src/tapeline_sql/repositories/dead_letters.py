"""Records that a sink could never store: looking at them, and trying again."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import ColumnElement, Update, delete, update

from tapeline.delivery.dead_letters import quarantine
from tapeline.model import CLOSED, Gap, Record
from tapeline_sql.database import Database
from tapeline_sql.dead_letters import read_payload
from tapeline_sql.operations import operation
from tapeline_sql.repository import Repository
from tapeline_sql.rows import record_row
from tapeline_sql.selection import Selection
from tapeline_sql.statements import InsertBuilder
from tapeline_sql.tables import TABLES, DeadLetterRow
from tapeline_sql.values import typed_values


class DeadLetterRepository(Repository[DeadLetterRow]):
    """Refused records: table ``tapeline_dead_letters``."""

    def __init__(self, database: Database | str | Path) -> None:
        super().__init__(DeadLetterRow, database)

    def select(self, sink: str | None = None) -> Selection[DeadLetterRow]:
        """Those of *sink*, None for all, the oldest first."""
        return self._selection({"sink": sink})

    def record(self, letter: DeadLetterRow) -> Record:
        """The refused record, exact.

        Raises:
            DatabaseOperationError: it was written by another version, or damaged.
        """
        return read_payload(letter.payload)

    async def delete(self, letter: DeadLetterRow) -> bool:
        """Forget *letter*; its gap stays. False when it was gone already."""
        async with self.database.connection("delete", self.name) as connection:
            result = await connection.execute(
                delete(self._table).where(*self._is(letter))
            )
            return bool(result.rowcount)

    async def retry(self, letter: DeadLetterRow) -> None:
        """Store the record of *letter* after all, close its gap, forget the letter.

        All in one transaction, so that a second try at the same moment is harmless.

        Raises:
            DatabaseOperationError: it is refused again; everything stays as it was.
        """
        record = read_payload(letter.payload)
        place = (letter.journal_id, letter.position, letter.ordinal)
        with operation("retry", self.name):
            found = record_row(record, *place)
            if found is None:
                raise ValueError(f"no table takes a {type(record).__name__}")
            name, row = found
            values = typed_values(name, row)
        gap = quarantine(
            record, letter.journal_id, *place[1:], letter.sink, letter.failed_ns
        )
        insert = InsertBuilder(self._dialect).statement(name)
        async with self.database.connection("retry", self.name) as connection:
            await connection.execute(insert, values)
            if gap is not None:
                await connection.execute(_closing(gap))
            await connection.execute(delete(self._table).where(*self._is(letter)))

    def _is(self, letter: DeadLetterRow) -> list[ColumnElement[bool]]:
        return [
            column == getattr(letter, column.name)
            for column in self._table.primary_key.columns
        ]


def _closing(gap: Gap) -> Update:
    """Closes the gap that stands for a dead letter, if it is there."""
    gaps = TABLES["gaps"]
    count = 0
    if gap.from_id is not None and gap.to_id is not None:
        count = gap.to_id - gap.from_id + 1
    return (
        update(gaps)
        .where(gaps.c.gap_id == gap.gap_id, gaps.c.state != CLOSED)
        .values(state=CLOSED, revision=gaps.c.revision + 1, recovered_count=count)
    )
