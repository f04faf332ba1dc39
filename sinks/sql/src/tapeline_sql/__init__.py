"""Tables and statements that the SQL sinks of Tapeline share."""

from tapeline_sql.columns import ExactDecimal, UtcTimestamp, timestamp_text
from tapeline_sql.database import Database, DatabaseHealth, TableStatistics
from tapeline_sql.dead_letters import dead_letter_row, read_payload
from tapeline_sql.reading import select_count, select_rows, select_schema_version
from tapeline_sql.repositories import (
    BalanceRepository,
    CoverageRepository,
    DeadLetterRepository,
    GapRepository,
    MarketDataRepository,
    OrderBookRepository,
    RawTradeRepository,
    TickerRepository,
    TradeRepository,
)
from tapeline_sql.repository import Repository
from tapeline_sql.rows import (
    NOT_STORED,
    Forms,
    Row,
    Rows,
    build_rows,
    group_rows,
    side_text,
)
from tapeline_sql.schema import create_table_statements, real_view_statements
from tapeline_sql.selection import Selection
from tapeline_sql.statements import ON_CONFLICT, InsertBuilder
from tapeline_sql.tables import (
    RECORD_TABLES,
    SCHEMA_VERSION,
    TABLES,
    BalanceRow,
    CandleRow,
    CoverageRow,
    DeadLetterRow,
    GapRow,
    OrderBookRow,
    RawTradeRow,
    TickerRow,
    TradeRow,
    decimal_columns,
    metadata,
)

__all__ = [
    "NOT_STORED",
    "ON_CONFLICT",
    "RECORD_TABLES",
    "SCHEMA_VERSION",
    "TABLES",
    "BalanceRepository",
    "BalanceRow",
    "CandleRow",
    "CoverageRepository",
    "CoverageRow",
    "Database",
    "DatabaseHealth",
    "DeadLetterRepository",
    "DeadLetterRow",
    "ExactDecimal",
    "Forms",
    "GapRepository",
    "GapRow",
    "InsertBuilder",
    "MarketDataRepository",
    "OrderBookRepository",
    "OrderBookRow",
    "RawTradeRepository",
    "RawTradeRow",
    "Repository",
    "Row",
    "Rows",
    "Selection",
    "TableStatistics",
    "TickerRepository",
    "TickerRow",
    "TradeRepository",
    "TradeRow",
    "UtcTimestamp",
    "build_rows",
    "create_table_statements",
    "dead_letter_row",
    "decimal_columns",
    "group_rows",
    "metadata",
    "read_payload",
    "real_view_statements",
    "select_count",
    "select_rows",
    "select_schema_version",
    "side_text",
    "timestamp_text",
]
