"""One statement for a batch: the cursor and every table in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from tapeline_postgres.wire import WIRE
from tapeline_sql import InsertBuilder

_ASYNCPG: Dialect = asyncpg_dialect()  # type: ignore[no-untyped-call]

SELECT_CURSOR = (
    "SELECT position FROM tapeline_cursors WHERE journal_id = $1 AND sink = $2"
)

# The cursor moves only from where we know it to be. So a batch whose reply was lost,
# and one that a server finishes long after we gave it up, are stored once: the later
# of the two finds the cursor elsewhere and writes nothing.
_MOVE_CURSOR = """\
moved AS (
    INSERT INTO tapeline_cursors AS c (journal_id, sink, position)
    SELECT $1::text, $2::text, $3::bigint
    WHERE $4::bigint IS NULL OR EXISTS (
        SELECT FROM tapeline_cursors WHERE journal_id = $1 AND sink = $2
    )
    ON CONFLICT (journal_id, sink) DO UPDATE SET position = excluded.position
    WHERE c.position = $4
    RETURNING position
)"""
_CURSOR_ARGUMENTS = 4

# The journal fetches only what is missing. But when its end was lost, it asks again
# for fills that are stored here already, inside a trade of several.
_NOT_COVERED = """\
(q.{source} <> 'backfill' OR coalesce((
    SELECT stored.first_id > q.{last} FROM trades AS stored
    WHERE stored.exchange = q.{exchange} AND stored.market = q.{market}
        AND stored.symbol = q.{symbol} AND stored.id_kind = q.{kind}
        AND stored.last_id >= q.{first}
    ORDER BY stored.last_id LIMIT 1
), true))"""


@lru_cache(maxsize=256)
def batch_statement(tables: Sequence[str], fetched: bool, force: bool) -> str:
    """The statement that stores rows of *tables* and moves the cursor.

    Its parameters: journal, sink, position, known position, then the JSON text of
    each table. It returns the new position, or no row when the cursor was elsewhere
    and nothing was stored.

    Args:
        fetched: whether there are fetched trades, which stored ones may cover.
        force: whether a candle of equal revision replaces the stored one.
    """
    parts = [_MOVE_CURSOR]
    for number, name in enumerate(tables, _CURSOR_ARGUMENTS + 1):
        insert = _insert(name, f"${number}", fetched, force, "EXISTS (TABLE moved)")
        parts.append(f"rows_{number} AS ({insert})")
    return f"WITH {', '.join(parts)} SELECT position FROM moved"


@lru_cache(maxsize=256)
def insert_statement(table: str, fetched: bool, force: bool) -> str:
    """The statement that stores rows of one table; its parameter: their JSON text."""
    return _insert(table, "$1", fetched, force, "")


def _insert(table: str, parameter: str, fetched: bool, force: bool, only: str) -> str:
    wire = WIRE[table]
    conditions = [only] if only else []
    if table == "trades" and fetched:
        conditions.append(_not_covered())
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return (
        f"INSERT INTO {table} ({', '.join(wire.columns)}) "
        f"SELECT {', '.join(wire.columns.values())} "
        f"FROM json_to_recordset({parameter}::text::json) AS q({wire.definition})"
        f"{where} {_on_conflict(table, force)}"
    )


def _not_covered() -> str:
    code = {
        name: text.removeprefix("q.") for name, text in WIRE["trades"].columns.items()
    }
    return _NOT_COVERED.format(
        source=code["source"],
        first=code["first_id"],
        last=code["last_id"],
        exchange=code["exchange"],
        market=code["market"],
        symbol=code["symbol"],
        kind=code["id_kind"],
    )


@lru_cache(maxsize=64)
def _on_conflict(table: str, force: bool) -> str:
    """The clause that every SQL sink has for *table*."""
    # The text behind VALUES (…) of the one definition that all databases share.
    text = InsertBuilder(_ASYNCPG, force).insert(table)
    clause = text[text.index(" ON CONFLICT ") :].strip()
    return clause


INSERT_DEAD_LETTER = InsertBuilder(_ASYNCPG).insert("tapeline_dead_letters")
"""Stores one dead letter; its parameters: the columns in their order."""
