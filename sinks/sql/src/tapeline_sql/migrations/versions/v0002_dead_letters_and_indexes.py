"""A table for records that no table takes, and indexes to read by."""

from __future__ import annotations

from alembic import op

from tapeline_sql.migrations.columns import columns

revision = "0002"
down_revision = "0001"

_COLUMNS = """
    journal_id text key
    sink text key
    position integer key
    ordinal integer key
    exchange text
    market text
    symbol text
    data_type text
    reason text
    content text
    payload text
    failed_ns integer
"""


_INDEXES = {
    "tickers": ["exchange", "market", "symbol", "exchange_ns"],
    "order_books": ["exchange", "market", "symbol", "exchange_ns"],
    "balances": ["exchange", "asset", "exchange_ns"],
    "raw_trades": ["exchange", "market", "symbol", "timestamp"],
}


def upgrade() -> None:
    """Make the table and the indexes."""
    op.create_table("tapeline_dead_letters", *columns(_COLUMNS))
    for table, names in _INDEXES.items():
        op.create_index(f"{table}_by_time", table, names)
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "trades_by_time", "trades", ["exchange_ns"], postgresql_using="brin"
        )
