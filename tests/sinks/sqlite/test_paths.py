"""What the adapter says of a path before anything is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tapeline_sqlite import SqliteAdapter, SqliteConfig


def check(path: Path) -> str | None:
    return SqliteAdapter().check(SqliteConfig(path))


def test_a_path_that_can_be_made_is_fine_and_stays_unmade(tmp_path: Path) -> None:
    assert SqliteAdapter().check(SqliteConfig()) is None
    assert check(tmp_path / "a" / "b" / "market.db") is None
    assert list(tmp_path.iterdir()) == []


def test_a_database_and_an_empty_file_are_fine(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with sqlite3.connect(tmp_path / "full.db") as connection:
        connection.execute("CREATE TABLE x(y)")
    connection.close()

    assert check(tmp_path / "empty.db") is None
    assert check(tmp_path / "full.db") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "found the folder"),
        ("text", "with other content"),
        ("text/below/market.db", "in the way"),
    ],
)
def test_what_stands_in_the_way_is_named(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "text").write_text("not a database at all")

    problem = check(tmp_path / name)

    assert problem is not None
    assert words in problem
    assert str(tmp_path) in problem
