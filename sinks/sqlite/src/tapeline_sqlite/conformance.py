"""What ``tapeline certify sqlite`` tests: files in a folder of its own."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

import attrs

from tapeline.testing import Destination, SinkUnderTest
from tapeline.testing.conformance.sink_records import trade
from tapeline_sqlite.adapter import SqliteAdapter
from tapeline_sqlite.config import SqliteConfig

COST_RATIO = 50.0
"""``write`` may cost so many encodings of its events."""

_POISON_ID = 900_001
_SHORT_S = 0.05


@contextmanager
def sink_under_test(folder: Path) -> Iterator[SinkUnderTest]:
    """Databases in *folder*; the outage is another program that holds the lock."""
    numbers = itertools.count(1)

    @contextmanager
    def destination() -> Iterator[Destination]:
        path = folder / f"market-{next(numbers)}.db"
        yield Destination(
            SqliteConfig(path=path, busy_timeout_s=_SHORT_S),
            lambda: _stored(path),
            outage=lambda: _locked(path),
            poison=attrs.evolve(trade(_POISON_ID), price=Decimal("NaN")),
        )

    yield SinkUnderTest(
        SqliteAdapter(), destination, cost_ratio=COST_RATIO, plugin="sqlite"
    )


def _stored(path: Path) -> Sequence[int]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT last_id FROM trades ORDER BY last_id")
        return [last_id for (last_id,) in found]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
