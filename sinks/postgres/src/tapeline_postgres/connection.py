"""Opening a connection to the server, and the tables there."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg

from tapeline.errors import SinkError, SinkUnavailable
from tapeline_postgres.addresses import shown_address, with_driver
from tapeline_postgres.config import PostgresConfig
from tapeline_sql import SCHEMA_VERSION, TABLES

Connection: TypeAlias = "asyncpg.Connection[Any]"

_MIN_VERSION = 14
_CLOSE_S = 2.0
# The driver's deadline is a little later than the server's: a server that is alive
# ends the statement itself, and the connection stays good.
_LATER_S = 1.0
_SESSION = (
    "SELECT current_setting('server_encoding'), current_setting('synchronous_commit'), "
    "current_setting('transaction_read_only')"
)
_FIND_VERSION = "SELECT max(version) FROM tapeline_schema"
# Names the sinks that make tables in one database at the same moment.
_MIGRATION_LOCK = 0x7461_7065
_FIND_TABLES = "SELECT name FROM unnest($1::text[]) AS t(name) WHERE to_regclass(name)"


async def connect(config: PostgresConfig, application: str) -> Connection:
    """A connection that can write, with deadlines on all that it does.

    Raises:
        SinkUnavailable: the server is a standby, or read-only for now.
        SinkError: it never can be used: a sentence says why.
        OSError, TimeoutError, asyncpg.PostgresError: from the driver.
    """
    dsn = config.dsn.reveal()
    wants = None if "target_session_attrs" in dsn else "read-write"
    deadline_ms = max(1, int(config.statement_timeout_s * 1_000))
    connection: Connection = await asyncpg.connect(
        dsn,
        timeout=config.connect_timeout_s,
        command_timeout=config.statement_timeout_s + _LATER_S,
        target_session_attrs=wants,
        server_settings={
            "application_name": application,
            "statement_timeout": str(deadline_ms),
            "idle_in_transaction_session_timeout": str(deadline_ms),
            "timezone": "UTC",
        },
    )
    try:
        await _check_session(connection, config)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _check_session(connection: Connection, config: PostgresConfig) -> None:
    place = shown_address(config.dsn)
    version = connection.get_server_version().major
    if version < _MIN_VERSION:
        raise SinkError(
            f"expected PostgreSQL {_MIN_VERSION} or newer at {place}, found "
            f"{version}; upgrade the server"
        )
    encoding, commit, read_only = await connection.fetchrow(_SESSION)
    if encoding != "UTF8":
        raise SinkError(
            f"expected a database in UTF8, found {place} in {encoding}; create it "
            "with ENCODING 'UTF8'"
        )
    if read_only == "on":
        raise SinkUnavailable(f"{place}: it is read-only (25006)")
    if commit == "off":
        # What we say is stored must survive: the journal forgets it then.
        await connection.execute("SET synchronous_commit = on")


async def close(connection: Connection) -> None:
    """Say good-bye within a bounded time, or drop the connection."""
    try:
        await connection.close(timeout=_CLOSE_S)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()


async def prepare_schema(connection: Connection, config: PostgresConfig) -> None:
    """Make the tables in an empty database; bring older ones up to date.

    Raises:
        SinkError: the tables are another program's, or a newer version's.
    """
    place = shown_address(config.dsn)
    version = await schema_version(connection)
    if version == SCHEMA_VERSION:
        return
    if version is not None and version > SCHEMA_VERSION:
        raise SinkError(
            f"expected a database of schema version {SCHEMA_VERSION} or older, found "
            f"version {version} in {place}; upgrade tapeline-postgres or choose "
            "another database"
        )
    if version is None:
        foreign = await _tables_there(connection)
        if foreign:
            raise SinkError(
                f"expected an empty database or one of tapeline, found {place} with "
                f"a table {foreign[0]!r} that is another program's; choose another "
                "database"
            )
    await _upgrade(config)


async def schema_version(connection: Connection) -> int | None:
    """The version of the tables; None when there are none."""
    if not await connection.fetchval("SELECT to_regclass('tapeline_schema')"):
        return None
    version = await connection.fetchval(_FIND_VERSION)
    return None if version is None else int(version)


async def _tables_there(connection: Connection) -> list[str]:
    names = sorted(TABLES)
    rows = await connection.fetch(f"{_FIND_TABLES} IS NOT NULL", names)
    return [row["name"] for row in rows]


async def _upgrade(config: PostgresConfig) -> None:
    # Needed once in the life of a database: not worth an import at every start.
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    from tapeline_sql.migrations import upgrade

    engine = create_async_engine(
        with_driver(config.dsn),
        poolclass=NullPool,
        connect_args={"timeout": config.connect_timeout_s},
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK}
            )
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()
