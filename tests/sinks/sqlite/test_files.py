"""Which files the sink takes, and what it says of the others."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.errors import SinkError, SinkRejected, SinkUnavailable
from tapeline.hookspecs import SinkContext
from tapeline_sql import SCHEMA_VERSION, TABLES
from tapeline_sqlite import SqliteConfig, SqliteSink
from tapeline_sqlite.connection import open_connection

pytestmark = pytest.mark.anyio

VERSION_1 = """
    DROP TABLE tapeline_dead_letters;
    DROP INDEX tickers_by_time;
    DROP INDEX order_books_by_time;
    DROP INDEX balances_by_time;
    DROP INDEX raw_trades_by_time;
    DROP VIEW balances_real;
    ALTER TABLE balances DROP COLUMN account;
    CREATE VIEW balances_real AS SELECT asset FROM balances;
    UPDATE tapeline_schema SET version = 1;
"""
"""Takes back what versions 2 and 3 brought."""


async def refusal(sink: SqliteSink) -> str:
    """The sentence with which *sink* refuses for good to open."""
    with pytest.raises(SinkError) as caught:
        await sink.open("journal-a")
    assert not isinstance(caught.value, SinkUnavailable | SinkRejected)
    await sink.close()
    return str(caught.value)


async def test_without_a_path_the_file_is_in_the_data_folder(
    context: SinkContext, tmp_path: Path
) -> None:
    """The embedded default needs no configuration."""
    sink = SqliteSink(SqliteConfig(), context)
    await sink.open("journal-a")
    await sink.close()
    assert (tmp_path / "market.db").is_file()


async def test_folders_on_the_way_are_made(make_sink: Any, tmp_path: Path) -> None:
    """The first run has no folder yet."""
    sink = make_sink(path=str(tmp_path / "a" / "b" / "market.db"))
    await sink.open("journal-a")
    await sink.close()
    assert (tmp_path / "a" / "b" / "market.db").is_file()


async def test_the_file_has_the_tables_views_and_version(
    make_sink: Any, query: Any
) -> None:
    """Made in one transaction."""
    sink = make_sink()
    await sink.open("journal-a")
    names = query("SELECT name FROM sqlite_master WHERE type = 'table'")
    views = query("SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY 1")
    assert {name for (name,) in names} == set(TABLES)
    assert views == [
        ("balances_real",),
        ("market_data_real",),
        ("tickers_real",),
        ("trades_real",),
    ]
    assert query("SELECT version FROM tapeline_schema") == [(SCHEMA_VERSION,)]
    for name, table in TABLES.items():
        found = [row[1] for row in query(f"PRAGMA table_info({name})")]
        assert found == table.columns.keys()
    await sink.close()


async def test_writing_is_durable(make_sink: Any, query: Any) -> None:
    """The journal is trimmed on the sink's word."""
    modes = []

    def connect(path: Path, config: SqliteConfig) -> sqlite3.Connection:
        connection = open_connection(path, config)
        modes.extend(connection.execute("PRAGMA synchronous").fetchone())
        return connection

    for synchronous in ("full", "normal", "extra"):
        sink = make_sink(connect=connect, synchronous=synchronous)
        await sink.open("journal-a")
        await sink.close()
    assert modes == [2, 1, 3]
    assert query("PRAGMA journal_mode") == [("wal",)]


async def test_a_newer_schema_is_refused(make_sink: Any, database: Path) -> None:
    """An old program does not write into what it does not know."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE tapeline_schema SET version = 99")
    assert await refusal(make_sink()) == (
        f"expected a database of schema version {SCHEMA_VERSION} or older, found "
        f"version 99 in {database}; upgrade tapeline-sqlite or choose another path"
    )


async def test_a_file_of_an_older_version_is_brought_up_to_date(
    make_sink: Any, records: Any, query: Any, database: Path
) -> None:
    """Its rows stay; the sink goes on behind them."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1), records.balance()]))
    await sink.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(VERSION_1)
    sinks = [make_sink(), make_sink()]
    for sink in sinks:
        assert await sink.open("journal-a") == 1
    await sinks[0].write(records.batch([records.trade(2)], first=2))
    for sink in sinks:
        await sink.close()
    assert query("SELECT version FROM tapeline_schema") == [(SCHEMA_VERSION,)]
    assert query("SELECT count(*) FROM tapeline_dead_letters") == [(0,)]
    assert query("SELECT last_id FROM trades") == [(1,), (2,)]
    assert query("SELECT asset, account FROM balances_real") == [("BTC", "")]


async def test_a_locked_file_of_an_older_version_is_tried_again(
    make_sink: Any, database: Path
) -> None:
    """An upgrade waits for its turn as a write does."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.close()
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.executescript(VERSION_1)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkUnavailable, match="locked"):
            await sink.open("journal-a")
        other.execute("ROLLBACK")
    assert await sink.open("journal-a") is None
    await sink.close()


async def test_a_table_of_another_program_is_left_alone(
    make_sink: Any, database: Path
) -> None:
    """Even if it has one of our names."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE trades (mine)")
    assert "a table 'trades' that is another program's" in await refusal(make_sink())


async def test_our_tables_may_live_beside_others(
    make_sink: Any, database: Path, query: Any
) -> None:
    """A user's own tables do not disturb."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    sink = make_sink()
    await sink.open("journal-a")
    await sink.close()
    assert query("SELECT count(*) FROM mine") == [(0,)]


async def test_a_file_that_is_no_database_is_refused(
    make_sink: Any, database: Path
) -> None:
    """And left as it is."""
    path = anyio.Path(database)
    content = b"timestamp,price\n" * 100
    await path.write_bytes(content)
    assert await refusal(make_sink()) == (
        f"expected a SQLite database, found {database} with other content; "
        "choose another path"
    )
    assert await path.read_bytes() == content


async def test_a_folder_in_place_of_the_file_is_refused(
    make_sink: Any, database: Path
) -> None:
    """The sentence names it."""
    await anyio.Path(database).mkdir()
    sentence = await refusal(make_sink())
    assert sentence.startswith("expected a database file that can be opened")
    assert str(database) in sentence


async def test_a_folder_that_cannot_be_made_is_refused(
    make_sink: Any, tmp_path: Path
) -> None:
    """A file stands in the way."""
    (tmp_path / "file").write_text("")
    sentence = await refusal(make_sink(path=str(tmp_path / "file" / "sub" / "m.db")))
    assert sentence.startswith("expected a folder for ")
    assert sentence.endswith("choose another path")


async def test_a_damaged_file_is_refused(
    make_sink: Any, records: Any, database: Path
) -> None:
    """Nobody writes on into a broken database."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(n) for n in range(3_000)]))
    await sink.close()
    path = anyio.Path(database)
    content = bytearray(await path.read_bytes())
    content[1024:4096] = b"\xff" * 3072
    await path.write_bytes(content)
    sentence = await refusal(make_sink())
    assert str(database) in sentence


@pytest.mark.parametrize("path", ["", "  ", ":memory:"])
def test_a_path_that_keeps_nothing_is_refused(path: str) -> None:
    """SQLite would take it for a database that vanishes."""
    with pytest.raises(ValueError, match="expected the path of a file that stays"):
        SqliteConfig(path=path)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_timeout_is_above_zero(seconds: float) -> None:
    """Zero would fail at the first reader's checkpoint."""
    with pytest.raises(ValueError, match="expected a number of seconds above 0"):
        SqliteConfig(busy_timeout_s=seconds)
