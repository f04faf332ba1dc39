"""A sink on a real server, and ways to look into its database."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tapeline.clock import SystemClock
from tapeline.delivery import RunnerSettings, SinkRunner
from tapeline.hookspecs import SinkContext
from tapeline.journal import Journal
from tapeline.model import Secret

asyncpg = pytest.importorskip("asyncpg")

from tapeline_postgres import PostgresConfig, PostgresSink  # noqa: E402 - needs it

Query = Callable[[str], Awaitable[list[tuple[Any, ...]]]]


@pytest.fixture
def make_sink(context: SinkContext, postgres_dsn: str) -> Callable[..., PostgresSink]:
    """Makes sinks on the database of the test; the caller closes them."""

    def make(name: str = "local", **settings: Any) -> PostgresSink:
        settings.setdefault("connect_timeout_s", 5.0)
        settings.setdefault("statement_timeout_s", 20.0)
        dsn = Secret(settings.pop("dsn", postgres_dsn))
        config = PostgresConfig(dsn=dsn, **settings)
        return PostgresSink(config, attrs.evolve(context, name=name))

    return make


@pytest.fixture
def query(postgres_dsn: str) -> Query:
    """Ask the database as another program would."""

    async def ask(text: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(postgres_dsn, timeout=20)
        try:
            return [tuple(row) for row in await connection.fetch(text)]
        finally:
            await connection.close()

    return ask


@attrs.define
class Delivery:
    """A journal that events are appended to, and a sink that is fed from it.

    Args:
        last: id of the newest trade; each has a ticker beside it.
    """

    journal: Journal
    runner: SinkRunner
    records: Any
    last: int = 0

    async def append(self, count: int) -> None:
        """So many trades with a ticker each, one position each."""
        for _ in range(count):
            self.last += 1
            trade = self.records.trade(self.last, received_ns=self.last)
            self.journal.append([trade, self.records.ticker()])
        await self.journal.wait_committed(self.journal.last)

    async def produce(self, seconds: float) -> None:
        """Appends all the time."""
        clock = SystemClock()
        end_ns = clock.monotonic_ns() + int(seconds * 1e9)
        while clock.monotonic_ns() < end_ns:
            await self.append(20)
            await anyio.sleep(0.02)

    async def stored(self, deadline_s: float = 60.0) -> None:
        """Wait until the sink has everything."""
        with anyio.fail_after(deadline_s):
            # As an operator would look: nobody is told.
            while self.runner.cursor != self.journal.last:  # noqa: ASYNC110
                await anyio.sleep(0.02)


@pytest.fixture
async def deliver(
    context: SinkContext, records: Any, tmp_path: Path
) -> AsyncIterator[Callable[[Any], Awaitable[Delivery]]]:
    """Starts feeding a sink from a journal on disk; it is never restarted."""
    clock = SystemClock()
    async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:

        async def start(sink: Any, **settings: Any) -> Delivery:
            journal = await Journal.open(
                tmp_path / "journal", clock=clock, executor=context.executor
            )
            runner = SinkRunner(
                "local",
                sink,
                None,
                journal,
                clock,
                random.Random(1),
                RunnerSettings(max_delay_s=0.5, **settings),
            )
            tasks.start_soon(journal.run)
            tasks.start_soon(runner.run)

            async def end() -> None:
                with anyio.CancelScope(shield=True):
                    await runner.stop(5.0)
                    await journal.aclose()

            stack.push_async_callback(end)
            return Delivery(journal, runner, records)

        yield start


@pytest.fixture
def expect_everything_once(query: Query) -> Callable[[Delivery], Awaitable[None]]:
    """Checks what the database holds against what was appended."""

    async def check(delivery: Delivery) -> None:
        last = delivery.last
        assert await query(
            "SELECT count(*), count(DISTINCT last_id), min(last_id), max(last_id) "
            "FROM trades"
        ) == [(last, last, 1, last)]
        assert await query("SELECT count(*) FROM tickers") == [(last,)]
        assert await query("SELECT position FROM tapeline_cursors") == [
            (delivery.journal.last,)
        ]
        assert delivery.runner.state == "running"

    return check


@pytest.fixture
def query_at() -> Callable[[str, str], Awaitable[list[tuple[Any, ...]]]]:
    """Ask any database as another program would."""

    async def ask(dsn: str, text: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(dsn, timeout=20)
        try:
            return [tuple(row) for row in await connection.fetch(text)]
        finally:
            await connection.close()

    return ask
