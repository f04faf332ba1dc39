"""The rows of a batch as their statement can take them: one a key, sorted by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapeline.model import BACKFILL
from tapeline_postgres.wire import WIRE
from tapeline_sql import ON_CONFLICT


def prepared(tables: Mapping[str, list[Any]], force: bool) -> dict[str, list[Any]]:
    """*tables* without rows that a later one replaces; all writers lock in one order.

    A statement that updates may meet a key only once. One that keeps what is stored
    may meet it again: the sort is stable, so the first one wins.

    Args:
        force: whether a candle of equal revision replaces the one before.
    """
    result = {}
    for name, rows in tables.items():
        policy = ON_CONFLICT[name]
        if policy in ("replace", "extend"):
            rows = list({WIRE[name].key(row): row for row in rows}.values())
        elif policy == "higher-revision":
            rows = _latest(name, rows, force and name == "market_data")
        elif name == "trades":
            rows = _without_covered(rows)
        rows.sort(key=WIRE[name].key)
        result[name] = rows
    return result


def has_fetched(tables: Mapping[str, list[Any]]) -> bool:
    """Whether there are trades that stored ones may cover."""
    return any(row.source == BACKFILL for row in tables.get("trades", ()))


def _latest(name: str, rows: list[Any], force: bool) -> list[Any]:
    key = WIRE[name].key
    found: dict[Any, Any] = {}
    for row in rows:
        known = found.setdefault(key(row), row)
        if row.revision > known.revision or (force and row.revision == known.revision):
            found[key(row)] = row
    return list(found.values())


def _without_covered(rows: list[Any]) -> list[Any]:
    """*rows* without fetched fills inside a live trade of several of this batch."""
    wide = [row for row in rows if row.first_id != row.last_id]
    if not wide or not any(row.source == BACKFILL for row in rows):
        return rows
    covered = {
        (*WIRE["trades"].key(row)[:-1], number)
        for row in wide
        if row.source != BACKFILL
        for number in range(row.first_id, row.last_id + 1)
    }
    return [
        row
        for row in rows
        if row.source != BACKFILL or WIRE["trades"].key(row) not in covered
    ]
