"""Names and columns of the tables are API."""

from __future__ import annotations

from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import make_url

from tapeline_sql import RECORD_TABLES, TABLES, create_table_statements

POSTGRES = make_url("postgresql://").get_dialect()()

COLUMNS = {
    "trades": "exchange market symbol id_kind first_id last_id trade_id fills side "
    "price size exchange_ns received_ns timestamp source",
    "market_data": "exchange market symbol timeframe source timestamp open high low "
    "close volume quote_volume taker_buy_volume trades_count first_id last_id state "
    "revision",
    "gaps": "gap_id revision exchange market symbol data_type id_kind from_id to_id "
    "from_ns to_ns cause detected_ns state recovered_count",
    "coverage": "exchange market symbol data_type first_id last_id started_ns ended_ns",
    "tickers": "journal_id position ordinal exchange market symbol last last_size bid "
    "bid_size ask ask_size open_24h high_24h low_24h volume_24h quote_volume_24h "
    "exchange_ns received_ns timestamp",
    "order_books": "journal_id position ordinal exchange market symbol bids asks depth "
    "last_id exchange_ns received_ns timestamp",
    "balances": "journal_id position ordinal exchange asset total free locked snapshot "
    "exchange_ns received_ns timestamp account",
    "raw_trades": "journal_id position ordinal exchange market symbol data_type "
    "timestamp raw_data",
    "tapeline_cursors": "journal_id sink position",
    "tapeline_dead_letters": "journal_id sink position ordinal exchange market symbol "
    "data_type reason content payload failed_ns",
    "tapeline_schema": "version",
}

KEYS = {
    "trades": "exchange market symbol id_kind last_id",
    "market_data": "exchange market symbol timeframe source timestamp",
    "gaps": "gap_id",
    "coverage": "exchange market symbol data_type started_ns",
    "tickers": "journal_id position ordinal",
    "order_books": "journal_id position ordinal",
    "balances": "journal_id position ordinal",
    "raw_trades": "journal_id position ordinal",
    "tapeline_cursors": "journal_id sink",
    "tapeline_dead_letters": "journal_id sink position ordinal",
    "tapeline_schema": "version",
}


def test_tables_have_the_documented_columns_in_order() -> None:
    """A column is added only at the price of a new schema version."""
    found = {
        name: " ".join(column.name for column in table.columns)
        for name, table in TABLES.items()
    }
    assert found == COLUMNS


def test_tables_have_the_documented_keys() -> None:
    """The key is what makes a row storable twice."""
    found = {
        name: " ".join(column.name for column in table.primary_key.columns)
        for name, table in TABLES.items()
    }
    assert found == KEYS


def test_every_table_but_our_own_three_holds_records() -> None:
    """Cursors, version and what was refused are bookkeeping."""
    bookkeeping = {"tapeline_cursors", "tapeline_dead_letters", "tapeline_schema"}
    assert set(RECORD_TABLES) == set(TABLES) - bookkeeping


def test_decimals_are_text_in_sqlite_and_numeric_in_postgres() -> None:
    """Both are exact; SQLite's NUMERIC is not."""
    [in_sqlite] = [
        text
        for text in create_table_statements(sqlite.dialect())
        if "TABLE IF NOT EXISTS trades " in text
    ]
    [in_postgres] = [
        text
        for text in create_table_statements(POSTGRES)
        if "TABLE IF NOT EXISTS trades " in text
    ]
    assert "price TEXT NOT NULL" in in_sqlite
    assert "timestamp TEXT NOT NULL" in in_sqlite
    assert "price NUMERIC NOT NULL" in in_postgres
    assert "timestamp TIMESTAMP WITH TIME ZONE NOT NULL" in in_postgres
    assert "last_id BIGINT NOT NULL" in in_sqlite
    assert "last_id BIGINT NOT NULL" in in_postgres


def test_no_id_is_made_by_the_database() -> None:
    """Ids are the venue's or the journal's, also where a key is one integer."""
    for text in create_table_statements(POSTGRES):
        assert "SERIAL" not in text
