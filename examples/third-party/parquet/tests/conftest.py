"""What the tests of the sink share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tapeline_parquet import Disk, ParquetAdapter, ParquetConfig, ParquetSink

from tapeline.clock import SystemClock
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, Gap, Part, Subscription, Ticker, Trade
from tapeline.testing import InlineExecutor

TRADES = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")
TICKERS = Subscription("okx", "spot", "BTC-USDT", "ticker", "tickers")
AT_NS = 1_767_225_600 * 10**9


def trade(number: int, price: str = "64000.1", size: str = "0.00000001") -> Trade:
    """One fill."""
    at_ns = AT_NS + number * 10**9
    return Trade(
        TRADES, str(number), number, number, 1, "buy", Decimal(price), Decimal(size),
        at_ns, at_ns + 5,
    )  # fmt: skip


def ticker(number: int) -> Ticker:
    """A ticker with nothing but a price."""
    at_ns = AT_NS + number * 10**9
    empty = (None,) * 10
    return Ticker(TICKERS, Decimal(number), *empty, at_ns, at_ns)


def gap(number: int, revision: int = 0, for_sink: str = "") -> Gap:
    """An open hole."""
    return Gap(
        TRADES, number, revision, 1, 2, AT_NS, AT_NS + 5, "id-hole", AT_NS,
        for_sink=for_sink,
    )  # fmt: skip


@pytest.fixture
def anyio_backend() -> str:
    """Tapeline runs on asyncio."""
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the sink stores."""
    return tmp_path / "lake"


@pytest.fixture
def a_file_in_the_way(folder: Path) -> Path:
    """A file where the sink wants its folder."""
    folder.write_text("I was here first")
    return folder


@pytest.fixture
def new_sink(folder: Path) -> Callable[..., ParquetSink]:
    """Make sinks over one folder."""

    def make(disk: Disk | None = None, **options: Any) -> ParquetSink:
        config = ParquetConfig(path=folder, **options)
        context = SinkContext(
            "lake", SystemClock(), InlineExecutor(), logging.getLogger("test"), folder
        )
        if disk is None:
            made = ParquetAdapter().sink(config, context)
            assert isinstance(made, ParquetSink)
            return made
        return ParquetSink(config, context, disk)

    return make


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """A batch whose parts begin at a position: each is a list of records."""

    def make(first: int, *parts: Sequence[Any], journal: str = "j1") -> Batch:
        return Batch(
            journal, [Part(first + at, records) for at, records in enumerate(parts)]
        )

    return make


@pytest.fixture
def records() -> dict[str, Callable[..., Any]]:
    """Makers of records by name."""
    return {"trade": trade, "ticker": ticker, "gap": gap}


@pytest.fixture
def query(folder: Path) -> Callable[[str], list[Any]]:
    """Ask DuckDB; ``{table}`` is replaced by the files of that table."""

    def ask(sql: str) -> list[Any]:
        for table in ("trades", "tickers", "gaps", "market_data", "order_books"):
            sql = sql.replace(f"{{{table}}}", f"'{folder}/{table}/*.parquet'")
        with duckdb.connect() as connection:
            return connection.execute(sql).fetchall()

    return ask
