"""One database: its address, its connections, its health."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import attrs
from sqlalchemy import Connection, event, func, inspect, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    create_async_engine,
)

from tapeline.clock import Clock, SystemClock
from tapeline.errors import DatabaseOperationError
from tapeline.model import datetime_from_ns
from tapeline.model.secrets import register_secret
from tapeline_sql.migrations import upgrade
from tapeline_sql.operations import failure, operation
from tapeline_sql.tables import RECORD_TABLES, TABLES

_SCHEMA = "tapeline_schema"
_BEGIN = "tapeline_begin"


@attrs.frozen
class DatabaseHealth:
    """What one look at the database showed.

    Args:
        ok: it answered, and its tables are of this version.
        issue: what is wrong, in a sentence; empty when nothing.
        latency_s: how long the answer took, None without one.
        connections: open ones of the pool; ``in_use``: those of them at work.
    """

    ok: bool
    issue: str
    latency_s: float | None
    connections: int
    in_use: int


@attrs.frozen
class TableStatistics:
    """What a table holds.

    Args:
        first, last: oldest and newest time of its rows; None when it is empty or its
            rows have no time.
    """

    rows: int
    first: datetime | None
    last: datetime | None


class Database:
    """A SQLite file or a PostgreSQL database of Tapeline; an async context manager.

    It connects at the first use. Repositories share it and its pool; each of their
    calls is a transaction of its own, committed at its end and rolled back when it
    fails.

    Args:
        url: a path, ``sqlite:///PATH`` or ``postgresql://…``.
        create: whether to make a file, or tables, that are not there. Tables of an
            older version are brought up to date in any case.
        pool_size: most connections at a time.
        timeout_s: to connect, to wait for a free connection or a lock, and of one
            statement.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        create: bool = False,
        pool_size: int = 5,
        timeout_s: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self._url = _parsed(url)
        self._create = create
        self._pool_size = pool_size
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._engine: AsyncEngine | None = None
        self._ready = False
        self._lock = anyio.Lock()

    def __repr__(self) -> str:
        return f"Database({self._url.render_as_string(hide_password=True)!r})"

    @property
    def clock(self) -> Clock:
        """Where times that nobody gives come from."""
        return self._clock

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self._url.get_backend_name() == "sqlite"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect, and check the tables; every other call does so when needed.

        Raises:
            DatabaseOperationError: it cannot be reached, holds no tables of Tapeline,
                or those of a newer version.
        """
        await self._prepared()

    async def close(self) -> None:
        """Release all connections; safe twice. A later call opens it again."""
        self._ready = False
        with operation("close", _SCHEMA):
            await self._dispose()

    @asynccontextmanager
    async def connection(self, name: str, table: str) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, for the operation *name* on *table*."""
        engine = await self._prepared()
        with operation(name, table):
            async with engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def session(self, name: str, table: str) -> AsyncIterator[AsyncSession]:
        """A session in a transaction, for the operation *name* on *table*."""
        engine = await self._prepared()
        with operation(name, table):
            async with (
                AsyncSession(engine, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session

    async def health(self) -> DatabaseHealth:
        """Ask it something small; never raises for what it answers."""
        begin_ns = self._clock.monotonic_ns()
        issue = ""
        try:
            with anyio.fail_after(self._timeout_s):
                async with self.connection("check", _SCHEMA) as connection:
                    await connection.execute(select(TABLES[_SCHEMA]))
        except DatabaseOperationError as error:
            issue = str(error)
        except TimeoutError as error:
            issue = str(failure("check", _SCHEMA, error))
        latency_s = (self._clock.monotonic_ns() - begin_ns) / 1e9
        pool: Any = None if self._engine is None else self._engine.pool
        return DatabaseHealth(
            ok=not issue,
            issue=issue,
            latency_s=None if issue else latency_s,
            connections=_count(pool, "checkedin") + _count(pool, "checkedout"),
            in_use=_count(pool, "checkedout"),
        )

    async def statistics(self) -> Mapping[str, TableStatistics]:
        """Name of each table of records → what it holds; counts every row."""
        return {name: await self.table_statistics(name) for name in RECORD_TABLES}

    async def table_statistics(self, name: str) -> TableStatistics:
        """What one table holds; counts every row."""
        table = TABLES[name]
        column = time_column(name)
        query = select(func.count(), func.min(column), func.max(column)).select_from(
            table
        )
        async with self.connection("count", name) as connection:
            rows, first, last = (await connection.execute(query)).one()
        return TableStatistics(rows, _moment(first), _moment(last))

    async def _prepared(self) -> AsyncEngine:
        async with self._lock:
            if self._engine is None:
                with operation("open", _SCHEMA):
                    self._engine = self._made_engine()
            if not self._ready:
                try:
                    with operation("open", _SCHEMA):
                        await self._prepare(self._engine)
                    self._ready = True
                finally:
                    if not self._ready:
                        await self._dispose()
            return self._engine

    async def _dispose(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            # Bounded by the driver; half a release would leave connections behind.
            with anyio.CancelScope(shield=True):
                await engine.dispose()

    async def _prepare(self, engine: AsyncEngine) -> None:
        path = anyio.Path(self._url.database or "")
        if self.is_sqlite and not self._create and not await path.is_file():
            raise DatabaseOperationError(
                "open",
                _SCHEMA,
                f"expected a database file, found none at {path}; check the path, or "
                "say create=True",
            )
        immediate = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        async with immediate.begin() as connection:
            if not self.is_sqlite:
                # Shared with the sink's: one makes the tables, the others find them.
                await connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"),
                    {"key": MIGRATION_LOCK},
                )
            await connection.run_sync(_checked_upgrade, self._create)

    def _made_engine(self) -> AsyncEngine:
        if self.is_sqlite:
            engine = create_async_engine(
                self._url.set(drivername="sqlite+aiosqlite"),
                pool_size=self._pool_size,
                max_overflow=0,
                pool_timeout=self._timeout_s,
                connect_args={"timeout": self._timeout_s, "isolation_level": None},
            )
            event.listen(engine.sync_engine, "connect", _on_sqlite_connect)
            event.listen(engine.sync_engine, "begin", _on_sqlite_begin)
            return engine
        return create_async_engine(
            self._url.set(drivername="postgresql+asyncpg"),
            pool_size=self._pool_size,
            max_overflow=0,
            pool_timeout=self._timeout_s,
            pool_pre_ping=True,
            connect_args={
                "timeout": self._timeout_s,
                "command_timeout": self._timeout_s,
                "server_settings": {"application_name": "tapeline repositories"},
            },
        )


MIGRATION_LOCK = 0x7461_7065
"""Advisory lock of PostgreSQL under which tables are made and upgraded."""


def time_column(table: str) -> Any:
    """The column by which rows of *table* stand in time."""
    columns = TABLES[table].c
    for name in ("exchange_ns", "timestamp", "detected_ns", "started_ns", "failed_ns"):
        if name in columns:
            return columns[name]
    raise KeyError(table)


def _parsed(url: str | Path) -> URL:
    given = str(url)
    if "://" not in given:
        return URL.create("sqlite", database=given)
    scheme, _, rest = given.partition("://")
    kind = scheme.partition("+")[0]
    if kind in ("postgres", "postgresql"):
        register_secret(given)
        with operation("open", _SCHEMA):
            parsed = make_url(f"postgresql://{rest}")
        if parsed.password:
            register_secret(str(parsed.password))
        return parsed
    if kind == "sqlite":
        with operation("open", _SCHEMA):
            return make_url(given)
    raise DatabaseOperationError(
        "open",
        _SCHEMA,
        f"expected a path, sqlite:///PATH or postgresql://…, found {scheme}://…",
    )


def _on_sqlite_connect(driver: Any, record: object) -> None:
    cursor = driver.cursor()
    # A reader beside the sink, and durable when it writes itself.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    # The driver's own way begins none before a read, and would not see one moment.
    options = connection.get_execution_options()
    connection.exec_driver_sql(options.get(_BEGIN, "BEGIN"))


def _checked_upgrade(connection: Connection, create: bool) -> None:
    there = set(inspect(connection).get_table_names())
    if _SCHEMA not in there:
        foreign = sorted(there & set(TABLES))
        if foreign:
            raise DatabaseOperationError(
                "open",
                _SCHEMA,
                f"expected a database of tapeline, found a table {foreign[0]!r} that "
                "is another program's; choose another database",
            )
        if not create:
            raise DatabaseOperationError(
                "open",
                _SCHEMA,
                "expected a database of tapeline, found none of its tables; check "
                "the address, or say create=True",
            )
    upgrade(connection)


def _moment(value: object) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    if isinstance(value, int):
        return datetime_from_ns(value)
    return datetime.fromisoformat(str(value))


def _count(pool: Any, name: str) -> int:
    counted = getattr(pool, name, None)
    return 0 if counted is None else int(counted())
