"""Reading a database: exact, read-only, at one moment."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.errors import DatabaseOperationError, UsageError
from tapeline_sqlite import SqliteAdapter, SqliteReader

pytestmark = pytest.mark.anyio


@pytest.fixture
async def filled(make_sink: Any, records: Any, database: Path) -> Path:
    """A database with some of everything, its writer gone."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(
        records.batch(
            [records.coverage(), records.gap(gap_id=2), records.gap(gap_id=1)],
            [records.trade(n) for n in (3, 1, 2)],
            [records.candle(timeframe="5m"), records.candle(), records.ticker()],
        )
    )
    await sink.close()
    return database


async def test_rows_come_in_the_order_of_their_keys(filled: Path) -> None:
    """With exact decimals and aware times."""
    with closing(SqliteReader(filled)) as reader:
        trades = list(reader.trades())
        assert [row["last_id"] for row in trades] == [1, 2, 3]
        assert trades[0]["price"] == Decimal("64321.10")
        assert str(trades[0]["size"]) == "0.00012300"
        assert trades[0]["timestamp"] == datetime(
            2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC
        )
        assert [row["gap_id"] for row in reader.gaps()] == [1, 2]
        assert [row["timeframe"] for row in reader.candles()] == ["1m", "5m"]
        assert [row["last_id"] for row in reader.coverage()] == [10]
        assert [row["quote_volume_24h"] for row in reader.rows("tickers")] == [None]
        assert [dict(row) for row in reader.cursors()] == [
            {"journal_id": "journal-a", "sink": "local", "position": 3}
        ]


async def test_rows_behave_like_a_sequence(filled: Path) -> None:
    """Length, index, slice and several walks at once."""
    with closing(SqliteReader(filled)) as reader:
        trades = reader.trades()
        assert len(trades) == 3
        assert trades[0]["last_id"] == 1
        assert trades[-1]["last_id"] == 3
        assert [row["last_id"] for row in trades[1:]] == [2, 3]
        assert [row["last_id"] for row in trades[::-1]] == [3, 2, 1]
        pairs = [(a["last_id"], b["last_id"]) for a in trades for b in trades]
        assert len(pairs) == 9
        for index in (3, -4):
            with pytest.raises(IndexError, match="expected one of 3 rows"):
                trades[index]


async def test_counts_name_every_table_of_records(filled: Path) -> None:
    """Bookkeeping is not counted."""
    with closing(SqliteReader(filled)) as reader:
        assert reader.counts() == {
            "trades": 3,
            "market_data": 2,
            "gaps": 2,
            "coverage": 1,
            "tickers": 1,
            "order_books": 0,
            "balances": 0,
            "raw_trades": 0,
        }


async def test_a_reader_sees_one_moment_while_we_write(
    make_sink: Any, records: Any, database: Path
) -> None:
    """What it says of trades and gaps belongs together."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)]))
    with closing(SqliteReader(database)) as reader:
        await sink.write(records.batch([records.trade(2), records.gap()], first=2))
        assert (len(reader.trades()), len(reader.gaps())) == (1, 0)
        assert [row["position"] for row in reader.cursors()] == [1]
    with closing(SqliteReader(database)) as reader:
        assert (len(reader.trades()), len(reader.gaps())) == (2, 1)
    await sink.close()


async def test_a_reader_cannot_write(filled: Path) -> None:
    """And leaves the content as it was."""
    before = await anyio.Path(filled).read_bytes()
    with closing(SqliteReader(filled)) as reader:
        list(reader.trades())
    assert await anyio.Path(filled).read_bytes() == before


async def test_closing_twice_is_safe(filled: Path) -> None:
    """Commands close in every path."""
    reader = SqliteReader(filled)
    reader.close()
    reader.close()


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
async def test_the_adapter_opens_paths_and_urls(filled: Path, form: str) -> None:
    """Both name the same file."""
    reader = SqliteAdapter().open_reader(form.format(filled))
    assert reader is not None
    assert reader.counts()["trades"] == 3
    reader.close()


@pytest.mark.parametrize("url", ["postgresql://host/db", "mysql://x"])
async def test_the_adapter_leaves_other_urls_to_others(url: str) -> None:
    """None, so that the next adapter is asked."""
    assert SqliteAdapter().open_reader(url) is None


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:x.db"])
async def test_a_url_without_a_file_is_refused(url: str) -> None:
    """The sentence shows the form."""
    with pytest.raises(UsageError, match="expected sqlite:///PATH"):
        SqliteAdapter().open_reader(url)


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A reader never creates."""
    path = tmp_path / "none.db"
    with pytest.raises(UsageError, match=f"found none at {path}"):
        SqliteReader(path)
    with pytest.raises(UsageError, match="found a folder at"):
        SqliteReader(tmp_path)
    assert not path.exists()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A sentence, not a driver's error."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, however long it is\n" * 50)
    with pytest.raises(UsageError, match="expected a SQLite database"):
        SqliteReader(path)


async def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """An empty one too."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE trades (mine)")
    with pytest.raises(UsageError, match="expected a database of tapeline"):
        SqliteReader(path)
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(UsageError, match="expected a database of tapeline"):
        SqliteReader(empty)


async def test_a_newer_database_is_refused(filled: Path) -> None:
    """Its columns may mean something else."""
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.execute("UPDATE tapeline_schema SET version = 99")
    with pytest.raises(UsageError, match="found version 99"):
        SqliteReader(filled)


async def test_a_damaged_table_is_an_error_of_the_operation(filled: Path) -> None:
    """It names the table."""
    content = bytearray(await anyio.Path(filled).read_bytes())
    with closing(sqlite3.connect(filled)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'trades'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content[(page - 1) * size : page * size] = b"\xff" * size
    await anyio.Path(filled).write_bytes(content)
    with (
        closing(SqliteReader(filled)) as reader,
        pytest.raises(DatabaseOperationError, match="read on table 'trades' failed"),
    ):
        list(reader.trades())
