"""Records to store, and a context to store them in; needs core alone."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import attrs
import pytest

from tapeline.clock import SystemClock
from tapeline.hookspecs import SinkContext
from tapeline.model import (
    Balance,
    Batch,
    BookDelta,
    BookSnapshot,
    Candle,
    Coverage,
    Gap,
    Part,
    RawMessage,
    Record,
    Secret,
    Subscription,
    Ticker,
    Trade,
)
from tapeline.seams import Arguments, Result

TRADES = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", id_kind="fill")
TIME_NS = 1_700_000_000_123_456_789


class ThreadWorker:
    """Blocking calls in order, each in some thread."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()

    async def run(
        self, call: Callable[[*Arguments], Result], *args: *Arguments
    ) -> Result:
        """Run it to its end."""
        async with self._lock:
            return await anyio.to_thread.run_sync(call, *args)

    async def aclose(self) -> None:
        """Nothing to release."""


class ThreadExecutor:
    """Real threads, so that a sink meets what it meets in the runtime."""

    def worker(self, name: str) -> ThreadWorker:
        """A new worker."""
        return ThreadWorker()


@attrs.frozen
class Records:
    """Makes records; keyword arguments change single fields."""

    stream: Subscription = TRADES

    def trade(self, last_id: int = 1, **changes: Any) -> Trade:
        """A trade of one fill."""
        trade = Trade(
            stream=self.stream,
            trade_id=str(last_id),
            first_id=last_id,
            last_id=last_id,
            fills=1,
            side="buy",
            price=Decimal("64321.10"),
            size=Decimal("0.00012300"),
            exchange_ns=TIME_NS,
            received_ns=TIME_NS + 1,
        )
        return attrs.evolve(trade, **changes)

    def ticker(self, **changes: Any) -> Ticker:
        """A ticker with one empty figure."""
        ticker = Ticker(
            stream=self.stream,
            last=Decimal("1.10"),
            last_size=Decimal("2"),
            bid=Decimal("1.09"),
            bid_size=Decimal("3"),
            ask=Decimal("1.11"),
            ask_size=Decimal("4"),
            open_24h=Decimal("1"),
            high_24h=Decimal("2"),
            low_24h=Decimal("0.5"),
            volume_24h=Decimal("1000"),
            quote_volume_24h=None,
            exchange_ns=TIME_NS,
            received_ns=TIME_NS + 1,
        )
        return attrs.evolve(ticker, **changes)

    def book(self, **changes: Any) -> BookSnapshot:
        """A book of two bids and one ask, with an exchange's extra items."""
        book = BookSnapshot(
            stream=self.stream,
            bids=(("1.10", "5", "0", "2"), ("1.0", "6", "0", "1")),
            asks=(("1.20", "7", "0", "1"),),
            last_id=99,
            exchange_ns=TIME_NS,
            received_ns=TIME_NS + 1,
        )
        return attrs.evolve(book, **changes)

    def delta(self) -> BookDelta:
        """A change of a book."""
        return BookDelta(self.stream, (), (("1.20", "0"),), 99, 100, TIME_NS, TIME_NS)

    def balance(self, **changes: Any) -> Balance:
        """A balance whose locked part is not told."""
        balance = Balance(
            stream=self.stream,
            asset="BTC",
            total=Decimal("1.5"),
            free=Decimal("1.0"),
            locked=None,
            exchange_ns=TIME_NS,
            received_ns=TIME_NS + 1,
            snapshot=True,
        )
        return attrs.evolve(balance, **changes)

    def raw(self, text: str = '{"arg":{}}') -> RawMessage:
        """A raw message."""
        return RawMessage(self.stream, TIME_NS, text)

    def candle(self, **changes: Any) -> Candle:
        """A complete minute bar."""
        candle = Candle(
            stream=self.stream,
            timeframe="1m",
            open_ns=1_700_000_040 * 10**9,
            open=Decimal("1"),
            high=Decimal("3"),
            low=Decimal("0.5"),
            close=Decimal("2"),
            volume=Decimal("10"),
            quote_volume=Decimal("15.5"),
            taker_buy_volume=None,
            trades_count=7,
            first_id=1,
            last_id=7,
            state="complete",
            revision=0,
            source="trades",
            received_ns=TIME_NS,
        )
        return attrs.evolve(candle, **changes)

    def gap(self, **changes: Any) -> Gap:
        """An open gap of ids 5 to 9."""
        gap = Gap(
            stream=self.stream,
            gap_id=1,
            revision=0,
            from_id=5,
            to_id=9,
            from_ns=TIME_NS,
            to_ns=None,
            cause="disconnect",
            detected_ns=TIME_NS + 5,
        )
        return attrs.evolve(gap, **changes)

    def coverage(self, **changes: Any) -> Coverage:
        """Coverage that has not ended."""
        coverage = Coverage(self.stream, TIME_NS, None, 1, 10)
        return attrs.evolve(coverage, **changes)

    def batch(self, *positions: list[Record], first: int = 1) -> Batch:
        """A batch of parts at rising positions, from *first* on."""
        parts = [Part(first + n, records) for n, records in enumerate(positions)]
        return Batch("journal-a", parts)


@pytest.fixture
def records() -> Records:
    """Makes the records of a test."""
    return Records()


@pytest.fixture
def context(tmp_path: Path) -> SinkContext:
    """What core lends to a sink, with real threads."""
    return SinkContext(
        name="local",
        clock=SystemClock(),
        executor=ThreadExecutor(),
        logger=logging.getLogger("tapeline.sink.local"),
        data_dir=tmp_path,
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A real PostgreSQL server of this process, stopped at the end."""
    try:
        from tapeline_postgres.testing import LocalServer
    except ImportError as error:
        pytest.skip(f"no PostgreSQL to test with: {error}")
    server = LocalServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Any) -> str:
    """Name of a database with all tables, to be copied."""
    from sqlalchemy.ext.asyncio import create_async_engine

    from tapeline_postgres.addresses import with_driver
    from tapeline_sql.migrations import upgrade

    name = "tapeline_template"
    dsn = Secret(postgres_server.create_database(name))

    async def make() -> None:
        engine = create_async_engine(with_driver(dsn))
        async with engine.begin() as connection:
            await connection.run_sync(upgrade)
        await engine.dispose()

    anyio.run(make)
    return name


@pytest.fixture
def empty_postgres_dsn(postgres_server: Any) -> Iterator[str]:
    """The address of a database of the test's own, without any table."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture
def postgres_dsn(postgres_server: Any, postgres_template: str) -> Iterator[str]:
    """The address of a database of the test's own, with all tables, empty."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    yield postgres_server.create_database(name, postgres_template)
    postgres_server.drop_database(name)
