"""What the INSERT statements do with a row that is stored already."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import make_url

from tapeline.model import Part, Record
from tapeline_sql import (
    ON_CONFLICT,
    TABLES,
    InsertBuilder,
    build_rows,
    create_table_statements,
    real_view_statements,
)

POSTGRES = make_url("postgresql://").get_dialect()()


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """An empty database with all tables and views."""
    connection = sqlite3.connect(":memory:")
    for text in (*create_table_statements(sqlite.dialect()), *real_view_statements()):
        connection.execute(text)
    yield connection
    connection.close()


def store(
    database: sqlite3.Connection, *records: Record, force: bool = False, position: int
) -> None:
    """Insert the records one by one."""
    builder = InsertBuilder(sqlite.dialect(), force)
    for name, rows in build_rows(
        "j", [Part(position, records)], "local"
    ).tables.items():
        database.executemany(builder.insert(name), rows)


def column(database: sqlite3.Connection, text: str) -> list[Any]:
    """The first column of a query."""
    return [row[0] for row in database.execute(text)]


def test_every_table_says_what_happens_on_conflict() -> None:
    """A new table cannot be forgotten."""
    assert set(ON_CONFLICT) == set(TABLES)


def test_a_stored_trade_stays(database: sqlite3.Connection, records: Any) -> None:
    """The first to arrive wins: live before backfill."""
    store(database, records.trade(5, source="live"), position=1)
    store(database, records.trade(5, source="backfill"), position=2)
    assert column(database, "SELECT source FROM trades") == ["live"]


def test_one_id_in_two_id_kinds_is_two_trades(
    database: sqlite3.Connection, records: Any
) -> None:
    """Fills and aggregates count apart."""
    store(database, records.trade(5), position=1)
    aggregate = type(records.stream)(
        "okx", "spot", "BTC-USDT", "trade", "agg", id_kind="aggregate"
    )
    store(database, records.trade(5, stream=aggregate), position=2)
    assert column(database, "SELECT count(*) FROM trades") == [2]


def test_a_higher_revision_of_a_candle_replaces(
    database: sqlite3.Connection, records: Any
) -> None:
    """And a lower one does not."""
    for revision, state in ((1, "gap"), (2, "repaired"), (0, "partial")):
        store(
            database,
            records.candle(revision=revision, state=state),
            position=revision + 1,
        )
    assert column(database, "SELECT state FROM market_data") == ["repaired"]


@pytest.mark.parametrize(("force", "expected"), [(False, "1"), (True, "9")])
def test_force_update_candles_decides_between_equal_revisions(
    database: sqlite3.Connection, records: Any, force: bool, expected: str
) -> None:
    """Without it the stored row stays."""
    store(database, records.candle(open=1), force=force, position=1)
    store(database, records.candle(open=9), force=force, position=2)
    assert column(database, "SELECT open FROM market_data") == [expected]


def test_force_update_candles_keeps_a_higher_revision(
    database: sqlite3.Connection, records: Any
) -> None:
    """Force is about equals."""
    store(database, records.candle(revision=3, open=3), force=True, position=1)
    store(database, records.candle(revision=2, open=2), force=True, position=2)
    assert column(database, "SELECT open FROM market_data") == ["3"]


def test_bars_of_trades_and_of_the_venue_stand_side_by_side(
    database: sqlite3.Connection, records: Any
) -> None:
    """The source is part of the key."""
    bars = [records.candle(source=s) for s in ("trades", "venue", "consolidated")]
    store(database, *bars, position=1)
    assert column(database, "SELECT count(*) FROM market_data") == [3]


def test_only_a_higher_revision_of_a_gap_replaces(
    database: sqlite3.Connection, records: Any
) -> None:
    """Also within one batch."""
    store(
        database,
        records.gap(revision=0, state="open"),
        records.gap(revision=2, state="closed", recovered_count=5),
        records.gap(revision=1, state="backfilling"),
        position=1,
    )
    assert database.execute("SELECT state, recovered_count FROM gaps").fetchall() == [
        ("closed", 5)
    ]


def test_later_coverage_of_one_start_replaces(
    database: sqlite3.Connection, records: Any
) -> None:
    """Coverage grows in place."""
    store(database, records.coverage(last_id=10), position=1)
    store(database, records.coverage(last_id=20, ended_ns=2**60), position=2)
    assert database.execute("SELECT last_id, ended_ns FROM coverage").fetchall() == [
        (20, 2**60)
    ]


def test_a_statement_of_many_rows_does_what_single_ones_do(
    database: sqlite3.Connection, records: Any
) -> None:
    """Duplicates within it included."""
    trades = [records.trade(n, trade_id=str(i)) for i, n in enumerate((1, 2, 1, 3))]
    rows = build_rows("j", [Part(1, trades)], "local").tables["trades"]
    text = InsertBuilder(sqlite.dialect()).insert_many("trades", len(rows))
    database.execute(text, [value for row in rows for value in row])
    assert column(database, "SELECT trade_id FROM trades ORDER BY last_id") == [
        "0",
        "1",
        "3",
    ]


@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_a_number_is_refused(
    database: sqlite3.Connection, records: Any, price: str
) -> None:
    """A sum over the column stays a sum."""
    with pytest.raises(sqlite3.IntegrityError, match="price_is_finite"):
        store(database, records.trade(price=price), position=1)


def test_postgres_gets_the_same_answers() -> None:
    """One definition serves both databases."""
    builder = InsertBuilder(POSTGRES, force_update_candles=True)
    trades = builder.insert("trades")
    candles = builder.insert("market_data")
    assert trades.endswith(
        "ON CONFLICT (exchange, market, symbol, id_kind, last_id) DO NOTHING"
    )
    assert candles.endswith("WHERE excluded.revision >= market_data.revision")
    with pytest.raises(ValueError, match="expected a dialect with \\? parameters"):
        builder.insert_many("trades", 2)


def test_real_views_show_every_column_with_decimals_as_numbers(
    database: sqlite3.Connection, records: Any
) -> None:
    """For tools that add and average."""
    store(
        database,
        records.trade(price="1E-3", size="2.5"),
        records.candle(),
        records.ticker(),
        records.balance(),
        position=1,
    )
    assert database.execute("SELECT price, size FROM trades_real").fetchall() == [
        (0.001, 2.5)
    ]
    for name in ("trades", "market_data", "tickers", "balances"):
        cursor = database.execute(f"SELECT * FROM {name}_real")
        names = [item[0] for item in cursor.description]
        assert names == TABLES[name].columns.keys()
    assert column(database, "SELECT quote_volume_24h FROM tickers_real") == [None]
