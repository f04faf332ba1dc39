"""The tables; their names and columns are API.

Ids are BIGINT, decimals exact, times integer nanoseconds UTC; ``timestamp`` is
derived from them for people and tools. Each key is what makes a row storable
twice without harm.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, MetaData, Table, Text
from sqlmodel import AutoString, Field, SQLModel

from tapeline_sql.columns import ExactDecimal, UtcTimestamp

SCHEMA_VERSION = 3
"""What this package writes; rises with every change of the tables."""

# In SQLite a table with a long key is its own index: no second copy of the key.
_CLUSTERED = {"sqlite_with_rowid": False}


# Byte by byte, as SQLite compares: the order of keys is the same everywhere, does not
# change with the server's locale, and costs less.
_TEXT = AutoString().with_variant(Text(collation="C"), "postgresql")


def _key() -> Any:
    return Field(primary_key=True, sa_type=_TEXT)


def _text() -> Any:
    return Field(sa_type=_TEXT)


def _name() -> Any:
    """A text that rows of before it was a column have empty."""
    return Field(sa_type=_TEXT, sa_column_kwargs={"server_default": ""})


def _integer_key() -> Any:
    return Field(
        primary_key=True,
        sa_type=BigInteger,
        sa_column_kwargs={"autoincrement": False},
    )


def _integer() -> Any:
    return Field(sa_type=BigInteger)


def _exact() -> Any:
    return Field(sa_type=ExactDecimal)


def _moment(*, primary_key: bool = False) -> Any:
    return Field(sa_type=UtcTimestamp, primary_key=primary_key)


class _Base(SQLModel):
    """Keeps our tables apart from those of a user's own SQLModel classes."""

    metadata = MetaData()


class TradeRow(_Base, table=True):
    """One trade message: the fills ``first_id..last_id``."""

    __tablename__ = "trades"
    __table_args__ = _CLUSTERED

    exchange: str = _key()
    market: str = _key()
    symbol: str = _key()
    id_kind: str = _key()
    first_id: int = _integer()
    last_id: int = _integer_key()
    trade_id: str = _text()
    fills: int = _integer()
    side: str = _text()
    price: Decimal = _exact()
    size: Decimal = _exact()
    exchange_ns: int = _integer()
    received_ns: int = _integer()
    timestamp: datetime = _moment()
    source: str = _text()


class CandleRow(_Base, table=True):
    """One bar; ``timestamp`` is its open time."""

    __tablename__ = "market_data"
    __table_args__ = _CLUSTERED

    exchange: str = _key()
    market: str = _key()
    symbol: str = _key()
    timeframe: str = _key()
    source: str = _key()
    timestamp: datetime = _moment(primary_key=True)
    open: Decimal = _exact()
    high: Decimal = _exact()
    low: Decimal = _exact()
    close: Decimal = _exact()
    volume: Decimal = _exact()
    quote_volume: Decimal | None = _exact()
    taker_buy_volume: Decimal | None = _exact()
    trades_count: int | None = _integer()
    first_id: int | None = _integer()
    last_id: int | None = _integer()
    state: str = _text()
    revision: int = _integer()


class GapRow(_Base, table=True):
    """One interval in which a stream lost data, in its latest revision."""

    __tablename__ = "gaps"
    __table_args__ = _CLUSTERED

    gap_id: int = _integer_key()
    revision: int = _integer()
    exchange: str = _text()
    market: str = _text()
    symbol: str = _text()
    data_type: str = _text()
    id_kind: str = _text()
    from_id: int | None = _integer()
    to_id: int | None = _integer()
    from_ns: int | None = _integer()
    to_ns: int | None = _integer()
    cause: str = _text()
    detected_ns: int = _integer()
    state: str = _text()
    recovered_count: int = _integer()


class CoverageRow(_Base, table=True):
    """One interval in which a stream was followed."""

    __tablename__ = "coverage"
    __table_args__ = _CLUSTERED

    exchange: str = _key()
    market: str = _key()
    symbol: str = _key()
    data_type: str = _key()
    first_id: int | None = _integer()
    last_id: int | None = _integer()
    started_ns: int = _integer_key()
    ended_ns: int | None = _integer()


class TickerRow(_Base, table=True):
    """One ticker message."""

    __tablename__ = "tickers"
    __table_args__ = _CLUSTERED

    journal_id: str = _key()
    position: int = _integer_key()
    ordinal: int = _integer_key()
    exchange: str = _text()
    market: str = _text()
    symbol: str = _text()
    last: Decimal | None = _exact()
    last_size: Decimal | None = _exact()
    bid: Decimal | None = _exact()
    bid_size: Decimal | None = _exact()
    ask: Decimal | None = _exact()
    ask_size: Decimal | None = _exact()
    open_24h: Decimal | None = _exact()
    high_24h: Decimal | None = _exact()
    low_24h: Decimal | None = _exact()
    volume_24h: Decimal | None = _exact()
    quote_volume_24h: Decimal | None = _exact()
    exchange_ns: int = _integer()
    received_ns: int = _integer()
    timestamp: datetime = _moment()


class OrderBookRow(_Base, table=True):
    """One snapshot of a book; a side is JSON text ``[[price, size], …]``."""

    __tablename__ = "order_books"

    journal_id: str = _key()
    position: int = _integer_key()
    ordinal: int = _integer_key()
    exchange: str = _text()
    market: str = _text()
    symbol: str = _text()
    bids: str = _text()
    asks: str = _text()
    depth: int = _integer()
    last_id: int | None = _integer()
    exchange_ns: int = _integer()
    received_ns: int = _integer()
    timestamp: datetime = _moment()


class BalanceRow(_Base, table=True):
    """What an account held of one asset."""

    __tablename__ = "balances"
    __table_args__ = _CLUSTERED

    journal_id: str = _key()
    position: int = _integer_key()
    ordinal: int = _integer_key()
    exchange: str = _text()
    asset: str = _text()
    total: Decimal | None = _exact()
    free: Decimal | None = _exact()
    locked: Decimal | None = _exact()
    snapshot: bool
    exchange_ns: int = _integer()
    received_ns: int = _integer()
    timestamp: datetime = _moment()
    account: str = _name()


class RawTradeRow(_Base, table=True):
    """The venue's own text of one message; ``timestamp`` is when it came."""

    __tablename__ = "raw_trades"

    journal_id: str = _key()
    position: int = _integer_key()
    ordinal: int = _integer_key()
    exchange: str = _text()
    market: str = _text()
    symbol: str = _text()
    data_type: str = _text()
    timestamp: datetime = _moment()
    raw_data: str = _text()


class CursorRow(_Base, table=True):
    """How far a sink has stored a journal; written together with the rows."""

    __tablename__ = "tapeline_cursors"
    __table_args__ = _CLUSTERED

    journal_id: str = _key()
    sink: str = _key()
    position: int = _integer()


class DeadLetterRow(_Base, table=True):
    """A record that a sink can never store, and why.

    ``payload`` is the record as the journal keeps it, in base64; ``content`` shows it
    to people.
    """

    __tablename__ = "tapeline_dead_letters"

    journal_id: str = _key()
    sink: str = _key()
    position: int = _integer_key()
    ordinal: int = _integer_key()
    exchange: str = _text()
    market: str = _text()
    symbol: str = _text()
    data_type: str = _text()
    reason: str = _text()
    content: str = _text()
    payload: str = _text()
    failed_ns: int = _integer()


class SchemaRow(_Base, table=True):
    """The version of these tables; one row."""

    __tablename__ = "tapeline_schema"

    version: int = _integer_key()


metadata = _Base.metadata
"""All tables, for DDL and migrations."""

TABLES = MappingProxyType(dict(metadata.tables))
"""Name of a table → its definition."""

RECORD_TABLES = tuple(name for name in TABLES if not name.startswith("tapeline_"))
"""Names of the tables that hold records, facts before what they are about."""


def decimal_columns(table: Table) -> tuple[str, ...]:
    """Names of the columns of *table* that hold exact decimals."""
    return tuple(
        column.name for column in table.columns if isinstance(column.type, ExactDecimal)
    )


_BY_STREAM_AND_TIME = MappingProxyType(
    {
        "tickers": ("exchange", "market", "symbol", "exchange_ns"),
        "order_books": ("exchange", "market", "symbol", "exchange_ns"),
        "balances": ("exchange", "asset", "exchange_ns"),
        "raw_trades": ("exchange", "market", "symbol", "timestamp"),
    }
)
"""Tables whose key is a place in the journal → what they are read by."""

for _indexed, _columns in _BY_STREAM_AND_TIME.items():
    _read = metadata.tables[_indexed]
    Index(f"{_indexed}_by_time", *(_read.c[column] for column in _columns))

# Trades arrive in the order of time, so a summary of each range of blocks finds them,
# and costs next to nothing to keep.
_trades = metadata.tables["trades"]
_by_time: Any = Index("trades_by_time", _trades.c.exchange_ns, postgresql_using="brin")
_by_time.ddl_if(dialect="postgresql")

_FINITE = MappingProxyType(
    {
        # Text takes anything; NaN and Infinity are the only decimals that hold an n.
        "sqlite": "{0} NOT GLOB '*[nN]*'",
        # NaN counts as greater than everything.
        "postgresql": "{0} > '-Infinity' AND {0} < 'Infinity'",
    }
)
"""Dialect → the condition that a decimal is a number."""


def _refuse_what_is_not_a_number(table: Table) -> None:
    for name in decimal_columns(table):
        for dialect, condition in _FINITE.items():
            constraint = CheckConstraint(
                condition.format(name), name=f"{name}_is_finite"
            )
            table.append_constraint(constraint.ddl_if(dialect=dialect))


for _table in metadata.tables.values():
    _refuse_what_is_not_a_number(_table)
