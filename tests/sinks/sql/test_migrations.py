"""Databases of every older version become what a new one is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.dialects import sqlite

from tapeline.errors import DatabaseOperationError
from tapeline_sql import SCHEMA_VERSION, create_table_statements, metadata
from tapeline_sql.migrations import revisions, upgrade


def upgrade_to(connection: Connection, version: int) -> None:
    """Only the first steps, as that version's own code did."""
    from alembic.operations import Operations

    with Operations.context(MigrationContext.configure(connection)):
        for step in revisions():
            if step.version <= version:
                step.upgrade()
    connection.execute(text(f"INSERT INTO tapeline_schema VALUES ({version})"))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """An empty SQLite file."""
    engine = create_engine(f"sqlite:///{tmp_path / 'market.db'}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_the_revisions_are_numbered_without_a_hole() -> None:
    """The newest one makes the version that the code writes."""
    assert [step.version for step in revisions()] == list(range(1, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("version", range(SCHEMA_VERSION + 1))
def test_every_version_of_sqlite_becomes_what_the_models_say(
    connection: Connection, version: int
) -> None:
    """And twice is once."""
    if version:
        upgrade_to(connection, version)
    assert upgrade(connection) == SCHEMA_VERSION - version
    assert upgrade(connection) == 0
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "include_object": _is_for_sqlite}
    )
    assert compare_metadata(context, metadata) == []
    assert connection.execute(text("SELECT * FROM tapeline_schema")).all() == [
        (SCHEMA_VERSION,)
    ]


def _is_for_sqlite(
    item: Any, name: str | None, kind: str, reflected: bool, other: Any
) -> bool:
    return name != "trades_by_time"


def test_migrated_tables_of_sqlite_are_those_of_a_new_file(
    connection: Connection,
) -> None:
    """Down to constraints and storage, which the comparison of Alembic leaves out."""
    upgrade(connection)
    query = "SELECT name, sql FROM sqlite_master WHERE sql != '' AND type != 'view'"
    rows = connection.execute(text(query)).all()
    migrated = {name: sql for name, sql in rows}  # noqa: C416 - rows, not tuples
    with closing(sqlite3.connect(":memory:")) as new:
        for statement in create_table_statements(sqlite.dialect()):
            new.execute(statement)
        made = dict(new.execute(query))
    assert {name: _parts(sql) for name, sql in migrated.items()} == {
        name: _parts(sql) for name, sql in made.items()
    }


def _parts(sql: str) -> list[str]:
    """A definition's lines, in no order."""
    body = sql[sql.index("(") :].replace("\n", " ").replace("\t", " ")
    return sorted(" ".join(part.split()) for part in body.split(", "))


def test_rows_of_an_older_version_stay(connection: Connection) -> None:
    """An upgrade adds; it takes nothing."""
    upgrade_to(connection, 1)
    connection.execute(text("INSERT INTO tapeline_cursors VALUES ('j', 's', 7)"))
    upgrade(connection)
    found = connection.execute(text("SELECT position FROM tapeline_cursors"))
    assert found.scalars().all() == [7]


def test_a_newer_database_is_refused(connection: Connection) -> None:
    """This code does not know what is in it."""
    upgrade(connection)
    connection.execute(text("UPDATE tapeline_schema SET version = 99"))
    with pytest.raises(DatabaseOperationError, match="found version 99; upgrade"):
        upgrade(connection)


@pytest.mark.parametrize("version", range(SCHEMA_VERSION + 1))
def test_every_version_of_postgres_becomes_what_the_models_say(
    empty_postgres_dsn: str, version: int
) -> None:
    """Types with their collation, keys and constraints."""
    from sqlalchemy.ext.asyncio import create_async_engine

    def work(connection: Connection) -> list[Any]:
        if version:
            upgrade_to(connection, version)
        assert upgrade(connection) == SCHEMA_VERSION - version
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async def run(tables: bool) -> tuple[list[Any], list[Any]]:
        url = empty_postgres_dsn.replace("postgresql:", "postgresql+asyncpg:")
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            differences = await connection.run_sync(work) if tables else []
            if not tables:
                await connection.run_sync(metadata.create_all)
            found = [
                (await connection.execute(text(query))).all()
                for query in (_COLUMNS, _CONSTRAINTS, _INDEXES)
            ]
            await connection.rollback()
        await engine.dispose()
        return differences, found

    differences, migrated = anyio.run(run, True)
    _, made = anyio.run(run, False)
    assert differences == []
    assert migrated == made


_COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, collation_name
    FROM information_schema.columns WHERE table_schema = 'public'
    ORDER BY table_name, column_name
"""
_CONSTRAINTS = """
    SELECT conrelid::regclass::text, contype::text, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    ORDER BY 1, 2, 3
"""
_INDEXES = """
    SELECT tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' ORDER BY 1, 2
"""
