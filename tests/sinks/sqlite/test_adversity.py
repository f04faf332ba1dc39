"""Locks, full disks, poison and files that vanish."""

from __future__ import annotations

import base64
import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tapeline.clock import Now
from tapeline.errors import (
    SinkError,
    SinkRejected,
    SinkReplaced,
    SinkUnavailable,
)
from tapeline.journal import decode
from tapeline.model import DataType, MarketDataPoint
from tapeline_sqlite import SqliteConfig
from tapeline_sqlite.connection import open_connection

pytestmark = pytest.mark.anyio

NOW = Now(0, 0, 0)


async def test_a_locked_database_is_tried_again(
    make_sink: Any, records: Any, query: Any, database: Path
) -> None:
    """Another program holds the lock, then lets go."""
    sink = make_sink()
    await sink.open("journal-a")
    batch = records.batch([records.trade(1)])
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkUnavailable, match="locked"):
            await sink.write(batch)
        assert not sink.health(NOW).ok
        other.execute("ROLLBACK")
        await sink.write(batch)
    assert query("SELECT count(*) FROM trades") == [(1,)]
    assert sink.health(NOW).ok
    await sink.close()


async def test_a_locked_database_does_not_end_opening(
    make_sink: Any, database: Path
) -> None:
    """Opening is tried again, too."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        sink = make_sink()
        with pytest.raises(SinkUnavailable, match="locked"):
            await sink.open("journal-a")
        other.execute("ROLLBACK")
        assert await sink.open("journal-a") is None
        await sink.close()


async def test_others_read_while_we_write(
    make_sink: Any, records: Any, database: Path
) -> None:
    """A reader in the middle of a read neither waits nor blocks us."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)]))
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN")
        count = "SELECT count(*) FROM trades"
        assert other.execute(count).fetchone() == (1,)
        await sink.write(records.batch([records.trade(2)], first=2))
        assert other.execute(count).fetchone() == (1,)
        other.execute("COMMIT")
        assert other.execute(count).fetchone() == (2,)
    await sink.close()


async def test_a_full_disk_is_tried_again(
    make_sink: Any, records: Any, query: Any
) -> None:
    """Nothing of the batch is stored until there is room for all of it."""
    pages = [60]

    def connect(path: Path, config: SqliteConfig) -> sqlite3.Connection:
        connection = open_connection(path, config)
        connection.execute(f"PRAGMA max_page_count={pages[0]}")
        return connection

    sink = make_sink(connect=connect)
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(0)], first=1))
    batch = records.batch([records.trade(n) for n in range(5_000)], first=2)
    for _ in range(2):
        with pytest.raises(SinkUnavailable, match="full"):
            await sink.write(batch)
    assert query("SELECT count(*) FROM trades") == [(1,)]
    assert query("SELECT position FROM tapeline_cursors") == [(1,)]
    pages[0] = 100_000
    await sink.write(batch)
    assert query("SELECT count(*) FROM trades") == [(5_000,)]
    await sink.close()


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("price", Decimal("NaN"), "price_is_finite"),
        ("size", Decimal("-Infinity"), "size_is_finite"),
        ("last_id", 2**63, "too large"),
        ("first_id", None, "NOT NULL"),
        ("trade_id", "\ud800", "surrogates"),
        ("side", ["buy"], "not supported"),
        ("exchange_ns", 2**80, "too large|out of range"),
    ],
)
async def test_a_poison_record_is_named_and_nothing_is_stored(
    make_sink: Any, records: Any, query: Any, field: str, value: object, reason: str
) -> None:
    """The rest can be given again without it."""
    sink = make_sink()
    await sink.open("journal-a")
    poison = attrs.evolve(records.trade(7), **{field: value})
    good = [records.trade(1), records.ticker()]
    with pytest.raises(SinkRejected, match=reason) as caught:
        await sink.write(records.batch(good, [records.trade(2), poison]))
    assert caught.value.records == ((2, 1),)
    assert "1 of 4 records cannot be stored" in str(caught.value)
    assert query("SELECT count(*) FROM trades") == [(0,)]
    [letter] = query(
        "SELECT journal_id, sink, position, ordinal, symbol, payload "
        "FROM tapeline_dead_letters"
    )
    assert letter[:5] == ("journal-a", "local", 2, 1, "BTC-USDT")
    [kept] = decode(base64.b64decode(letter[5]))
    assert str(kept) == str(poison)
    await sink.write(records.batch(good, [records.trade(2)]))
    assert query("SELECT count(*) FROM trades") == [(2,)]
    assert query("SELECT position FROM tapeline_cursors") == [(2,)]
    await sink.close()


async def test_every_poison_record_of_a_batch_is_named(
    make_sink: Any, records: Any
) -> None:
    """So one repetition is enough."""
    sink = make_sink()
    await sink.open("journal-a")
    bad = records.trade(2, price=Decimal("NaN"))
    with pytest.raises(SinkRejected, match="2 of 3 records") as caught:
        await sink.write(records.batch([bad, records.trade(1)], [bad]))
    assert caught.value.records == ((1, 0), (2, 0))
    await sink.close()


async def test_a_file_deleted_while_in_use_is_not_written_to_in_vain(
    make_sink: Any, records: Any, database: Path
) -> None:
    """Rows in a deleted file would be gone with the process."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)]))
    for name in ("market.db", "market.db-wal", "market.db-shm"):
        database.with_name(name).unlink(missing_ok=True)
    with pytest.raises(SinkError, match="deleted or replaced while in use") as caught:
        await sink.write(records.batch([records.trade(2)], first=2))
    assert not isinstance(caught.value, SinkUnavailable | SinkRejected)
    assert await sink.open("journal-a") is None
    await sink.write(records.batch([records.trade(2)], first=2))
    await sink.close()


async def test_an_older_copy_restored_into_the_open_file_is_noticed(
    make_sink: Any, records: Any, query: Any, database: Path, tmp_path: Path
) -> None:
    """SQLite's own restore keeps the file and changes what is in it."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)]))
    with (
        closing(sqlite3.connect(database)) as live,
        closing(sqlite3.connect(tmp_path / "copy.db")) as copy,
    ):
        live.backup(copy)
        await sink.write(records.batch([records.trade(2)], first=2))
        copy.backup(live)
    with pytest.raises(SinkReplaced, match=r"found .* at position 1: it was"):
        await sink.write(records.batch([records.trade(3)], first=3))
    assert await sink.open("journal-a") == 1
    await sink.write(records.batch([records.trade(2)], [records.trade(3)], first=2))
    assert query("SELECT last_id FROM trades") == [(1,), (2,), (3,)]
    await sink.close()


async def test_a_file_overwritten_with_something_else_is_final(
    make_sink: Any, records: Any, database: Path
) -> None:
    """There is nothing to wait for."""
    sink = make_sink()
    await sink.open("journal-a")
    for name in ("market.db", "market.db-wal", "market.db-shm"):
        database.with_name(name).unlink(missing_ok=True)
    content = b"something else entirely, and long enough to be seen" * 9
    await anyio.Path(database).write_bytes(content)
    with pytest.raises(SinkError, match="expected a SQLite database") as caught:
        await sink.write(records.batch([records.trade(2)], first=2))
    assert not isinstance(caught.value, SinkUnavailable | SinkRejected)
    await sink.close()


async def test_a_folder_that_is_gone_for_a_while_is_waited_for(
    make_sink: Any, records: Any, query: Any, tmp_path: Path
) -> None:
    """A disk may be away and come back."""
    folder, away = tmp_path / "disk", tmp_path / "away"
    sink = make_sink(path=str(folder / "market.db"))
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)]))
    folder.rename(away)
    with pytest.raises(SinkUnavailable, match="unable to open"):
        await sink.write(records.batch([records.trade(2)], first=2))
    away.rename(folder)
    await sink.write(records.batch([records.trade(2)], first=2))
    await sink.close()
    with closing(sqlite3.connect(folder / "market.db")) as connection:
        assert connection.execute("SELECT count(*) FROM trades").fetchone() == (2,)


async def test_dropped_tables_are_final(
    make_sink: Any, records: Any, database: Path
) -> None:
    """Somebody works on the schema: a sentence, not a loop."""
    sink = make_sink()
    await sink.open("journal-a")
    with closing(sqlite3.connect(database)) as other:
        other.execute("DROP TABLE trades")
    with pytest.raises(SinkError, match="no such table") as caught:
        await sink.write(records.batch([records.trade(1)]))
    assert not isinstance(caught.value, SinkUnavailable | SinkRejected)
    await sink.close()


async def test_records_without_a_table_are_counted_and_told_once(
    make_sink: Any, records: Any, query: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """They move the cursor like the others."""
    sink = make_sink()
    await sink.open("journal-a")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    point = MarketDataPoint("mine", "BTC-USDT", moment, DataType.TRADE, {})
    with caplog.at_level(logging.WARNING, "tapeline.sink.local"):
        await sink.write(records.batch([point, point]))
        await sink.write(records.batch([point], first=2))
    assert sink.health(NOW).counters["without_table_MarketDataPoint"] == 3
    assert len(caplog.records) == 1
    assert query("SELECT position FROM tapeline_cursors") == [(2,)]
    await sink.close()


async def test_closing_is_safe_at_any_time(make_sink: Any, records: Any) -> None:
    """Unopened, twice, and before writing again."""
    sink = make_sink()
    await sink.close()
    await sink.open("journal-a")
    await sink.close()
    await sink.close()
    assert await sink.open("journal-a") is None
    await sink.write(records.batch([records.trade(1)]))
    await sink.close()


async def test_closing_leaves_one_file(make_sink: Any, records: Any) -> None:
    """A copy of the file is a copy of the data."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1)]))
    await sink.close()
    assert [file.name for file in sink.path.parent.iterdir()] == ["market.db"]
