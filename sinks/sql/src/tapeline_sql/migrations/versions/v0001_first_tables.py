"""The first tables."""

from __future__ import annotations

from alembic import op

from tapeline_sql.migrations.columns import columns, finite
from tapeline_sql.schema import real_view_statements

revision = "0001"
down_revision = None

_TABLES = {
    "trades": """
        exchange text key
        market text key
        symbol text key
        id_kind text key
        first_id integer
        last_id integer key
        trade_id text
        fills integer
        side text
        price decimal
        size decimal
        exchange_ns integer
        received_ns integer
        timestamp moment
        source text
    """,
    "market_data": """
        exchange text key
        market text key
        symbol text key
        timeframe text key
        source text key
        timestamp moment key
        open decimal
        high decimal
        low decimal
        close decimal
        volume decimal
        quote_volume decimal null
        taker_buy_volume decimal null
        trades_count integer null
        first_id integer null
        last_id integer null
        state text
        revision integer
    """,
    "gaps": """
        gap_id integer key
        revision integer
        exchange text
        market text
        symbol text
        data_type text
        id_kind text
        from_id integer null
        to_id integer null
        from_ns integer null
        to_ns integer null
        cause text
        detected_ns integer
        state text
        recovered_count integer
    """,
    "coverage": """
        exchange text key
        market text key
        symbol text key
        data_type text key
        first_id integer null
        last_id integer null
        started_ns integer key
        ended_ns integer null
    """,
    "tickers": """
        journal_id text key
        position integer key
        ordinal integer key
        exchange text
        market text
        symbol text
        last decimal null
        last_size decimal null
        bid decimal null
        bid_size decimal null
        ask decimal null
        ask_size decimal null
        open_24h decimal null
        high_24h decimal null
        low_24h decimal null
        volume_24h decimal null
        quote_volume_24h decimal null
        exchange_ns integer
        received_ns integer
        timestamp moment
    """,
    "order_books": """
        journal_id text key
        position integer key
        ordinal integer key
        exchange text
        market text
        symbol text
        bids text
        asks text
        depth integer
        last_id integer null
        exchange_ns integer
        received_ns integer
        timestamp moment
    """,
    "balances": """
        journal_id text key
        position integer key
        ordinal integer key
        exchange text
        asset text
        total decimal null
        free decimal null
        locked decimal null
        snapshot flag
        exchange_ns integer
        received_ns integer
        timestamp moment
    """,
    "raw_trades": """
        journal_id text key
        position integer key
        ordinal integer key
        exchange text
        market text
        symbol text
        data_type text
        timestamp moment
        raw_data text
    """,
    "tapeline_cursors": """
        journal_id text key
        sink text key
        position integer
    """,
    "tapeline_schema": """
        version integer key
    """,
}
_WITH_ROWID = ("order_books", "raw_trades", "tapeline_schema")


def upgrade() -> None:
    """Make every table, and the views of SQLite."""
    dialect = op.get_bind().dialect.name
    for name, text in _TABLES.items():
        op.create_table(
            name,
            *columns(text),
            *finite(text, dialect),
            sqlite_with_rowid=name in _WITH_ROWID,
        )
    if dialect == "sqlite":
        for statement in real_view_statements():
            op.execute(statement)
