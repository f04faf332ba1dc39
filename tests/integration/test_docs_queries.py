"""The queries of the docs, on a database that a collection has just written."""

from __future__ import annotations

import logging
import runpy
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import anyio
import attrs
import pytest

from tapeline.clock import SystemClock
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, Candle, Gap, Part, Record, Subscription, Trade
from tapeline.testing import InlineExecutor
from tapeline_sqlite import SqliteConfig, SqliteSink

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
STREAM = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")


def records() -> list[Record]:
    """Trades of some seconds, a gap, and bars of the last hour."""
    start_ns = SystemClock().wall_ns() - 3_600 * 10**9
    one = Decimal(1)
    found: list[Record] = [
        Trade(
            STREAM,
            str(n),
            n,
            n,
            1,
            "buy" if n % 3 else "sell",
            Decimal(64_000 + n),
            Decimal("0.5"),
            start_ns + n * 200_000_000,
            start_ns + n * 200_000_000 + 5,
        )
        for n in range(30)
    ]
    gap = Gap(STREAM, 1, 1, 30, 39, None, None, "disconnect", start_ns)
    found += [gap, attrs.evolve(gap, gap_id=2, state="closed", recovered_count=10)]
    bar = Candle(
        STREAM, "1m", start_ns, one, one, one, one, one, one, one, 1, 1, 1,
        "complete", 0, "trades", 0,
    )  # fmt: skip
    found += [
        attrs.evolve(bar, open_ns=start_ns + n * 60 * 10**9, state=state)
        for n, state in enumerate(["complete", "complete", "gap"])
    ]
    return found


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a little of everything."""
    path = tmp_path / "market.db"

    async def store() -> None:
        context = SinkContext(
            name="local",
            clock=SystemClock(),
            executor=InlineExecutor(),
            logger=logging.getLogger("tapeline.sink.local"),
            data_dir=tmp_path,
        )
        sink = SqliteSink(SqliteConfig(path), context)
        await sink.open("journal")
        await sink.write(Batch("journal", (Part(1, records()),)))
        await sink.close()

    anyio.run(store)
    return path


def run(database: Path, name: str) -> list[tuple[object, ...]]:
    """Rows of an example."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute((EXAMPLES / name).read_text()).fetchall()


def test_the_missing_trades_are_those_of_gaps_that_are_not_closed(
    database: Path,
) -> None:
    assert run(database, "missing.sql") == [
        ("okx", "spot", "BTC-USDT", "disconnect", "open", 1, 10)
    ]


def test_bars_are_counted_by_state(database: Path) -> None:
    assert sorted(run(database, "whole.sql")) == [
        ("okx", "BTC-USDT", "complete", 2),
        ("okx", "BTC-USDT", "gap", 1),
    ]


def test_the_data_frames_hold_the_stored_trades(
    database: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("pandas", "polars", "duckdb"):
        pytest.importorskip(library, reason=f"needs {library}")
    runpy.run_path(str(EXAMPLES / "queries.py"))["main"](str(database))
    shown = capsys.readouterr().out
    assert "open" in shown
    assert "close" in shown
    assert "5.0" in shown  # sizes that were sold
    assert "10.0" in shown  # sizes that were bought


def test_a_backup_is_made_as_told(database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"VACUUM INTO '{copy}'")
    assert run(copy, "missing.sql") == run(database, "missing.sql")
