"""Repositories on both databases, filled as a sink fills them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tapeline_sql import Database


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database; each test runs on either kind."""
    if request.param == "sqlite":
        return str(tmp_path / "market.db")
    dsn: str = request.getfixturevalue("postgres_dsn")
    return dsn


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """That database, open and with all tables."""
    async with Database(url, create=True) as database:
        yield database
