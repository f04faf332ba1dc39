"""A sink on a file, and ways to look into the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tapeline.hookspecs import SinkContext
from tapeline_sqlite import SqliteConfig, SqliteSink
from tapeline_sqlite.connection import open_connection
from tapeline_sqlite.store import Connect


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the sink of a test writes."""
    return tmp_path / "market.db"


@pytest.fixture
def make_sink(context: SinkContext, database: Path) -> Callable[..., SqliteSink]:
    """Makes sinks on that file; the caller closes them."""

    def make(connect: Connect = open_connection, **settings: Any) -> SqliteSink:
        settings.setdefault("path", database)
        settings.setdefault("busy_timeout_s", 0.05)
        return SqliteSink(SqliteConfig(**settings), context, connect)

    return make


@pytest.fixture
def query(database: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    """Ask the file as another program would."""

    def ask(text: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute(text).fetchall()

    return ask
