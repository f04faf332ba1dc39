"""The page about this sink says what the code says."""

from __future__ import annotations

import runpy
from pathlib import Path

from tapeline_sqlite import SqliteConfig
from tapeline_sqlite.connection import open_connection, prepare_schema

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "sinks" / "sqlite.md"


def test_the_generated_parts_are_as_the_code_is() -> None:
    """A failure here is repaired by ``python docs/generate.py``."""
    text = PAGE.read_text(encoding="utf-8")
    assert "<!-- generated: options tapeline_sqlite:SqliteConfig -->" in text
    assert runpy.run_path(str(ROOT / "docs" / "generate.py"))["rewritten"](text) == text


def test_the_queries_of_the_pages_run_on_a_database_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    connection = open_connection(path, SqliteConfig(path=path))
    try:
        prepare_schema(connection, path)
        for name in ("candles.sql", "average.sql"):
            query = (ROOT / "docs" / "examples" / name).read_text(encoding="utf-8")
            assert connection.execute(query).fetchall() == []
    finally:
        connection.close()
