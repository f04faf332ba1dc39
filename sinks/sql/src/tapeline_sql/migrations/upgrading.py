"""Running the revisions that a database does not have yet.

The revisions are Alembic's, and so is their order. What a database has is kept in
``tapeline_schema``, as the number of its newest revision, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import attrs
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select

from tapeline.errors import DatabaseOperationError
from tapeline_sql.schema import real_view_statements
from tapeline_sql.tables import SCHEMA_VERSION, TABLES

_TABLE = "tapeline_schema"


@attrs.frozen
class Revision:
    """One step.

    Args:
        version: of the schema after it.
        upgrade: makes it; runs inside Alembic's context.
    """

    version: int
    upgrade: Callable[[], None]


@lru_cache(maxsize=1)
def revisions() -> Sequence[Revision]:
    """Every step, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    newest_first = scripts.walk_revisions()
    steps = [
        Revision(int(script.revision), script.module.upgrade) for script in newest_first
    ]
    return tuple(reversed(steps))


def upgrade(connection: Connection) -> int:
    """Bring the tables up to date, inside the transaction of *connection*.

    Returns:
        how many steps that took.

    Raises:
        DatabaseOperationError: the database is of a newer version than this code.
    """
    version = _version(connection)
    if version > SCHEMA_VERSION:
        raise DatabaseOperationError(
            "upgrade",
            _TABLE,
            f"expected schema version {SCHEMA_VERSION} or older, found version "
            f"{version}; upgrade tapeline-sql",
        )
    missing = [step for step in revisions() if step.version > version]
    context = MigrationContext.configure(connection)
    with Operations.context(context):
        for step in missing:
            step.upgrade()
    if missing:
        table = TABLES[_TABLE]
        connection.execute(table.delete())
        connection.execute(table.insert().values(version=missing[-1].version))
        if connection.dialect.name == "sqlite":
            _make_views(connection)
    return len(missing)


def _make_views(connection: Connection) -> None:
    """Make the views anew: tables may have got columns."""
    for name in TABLES:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}_real")
    for statement in real_view_statements():
        connection.exec_driver_sql(statement)


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(_TABLE):
        return 0
    found = connection.execute(select(TABLES[_TABLE].c.version)).scalars().all()
    return max(found, default=0)
