"""Core names no exchange, no database and no driver: not in code, text or comment."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import tapeline

SOURCES = Path(tapeline.__file__).parent
ROOT = Path(__file__).parents[2]
EXCHANGES = (
    "okx binance bybit coinbase kraken bitfinex bitget kucoin deribit gateio huobi "
    "mexc bitmex bitstamp gemini hyperliquid upbit"
)
DATABASES = (
    "sqlite postgres mysql mariadb redis valkey mongodb clickhouse duckdb timescale "
    "influx questdb cassandra kafka parquet"
)
DRIVERS = "asyncpg psycopg aiosqlite sqlalchemy sqlmodel alembic hiredis pyarrow"
# Words of the standard library's module, with which the journal's file is written.
STANDARD = re.compile(r"_?sqlite3\b|\bsqlite_(errorcode|master)\b|\bSQLITE_[A-Z]+\b")
# The journal is such a file, so there the name of the format may be used.
JOURNAL = re.compile(r"\bsqlite\b", re.IGNORECASE)
SKIPPED = {tokenize.ENCODING, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT}


def plugin_names() -> set[str]:
    """Folders of the plugins in this repository, whoever wrote them."""
    folders = [
        *ROOT.glob("plugins/*/pyproject.toml"),
        *ROOT.glob("sinks/*/pyproject.toml"),
        *ROOT.glob("examples/third-party/*/pyproject.toml"),
    ]
    # These are words, not names of somebody's product.
    return {path.parent.name for path in folders} - {"http", "sql", "callbacks"}


OTHERS = f"{EXCHANGES} {DATABASES} {DRIVERS}".split()
NAMES = re.compile(
    # No name: the redistribution that a license speaks of.
    "|".join(sorted({*OTHERS, *plugin_names()})).replace("redis", "redis(?!tribut)"),
    re.IGNORECASE,
)


def words_named(path: Path) -> Iterator[str]:
    """``LINE: TEXT`` of every token in *path* that has a name in it."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in SKIPPED:
                continue
            text = STANDARD.sub("", token.string)
            if "journal" in path.parts:
                text = JOURNAL.sub("", text)
            for found in NAMES.finditer(text):
                yield f"{token.start[0]}: {found[0]} in {text.strip()[:60]!r}"


@pytest.mark.parametrize(
    "path",
    sorted(SOURCES.rglob("*.py")),
    ids=lambda path: str(path.relative_to(SOURCES)),
)
def test_no_file_of_core_names_an_exchange_or_a_database(path: Path) -> None:
    """Names come from what is installed; see ``tapeline.plugins.suggestions``."""
    assert list(words_named(path)) == []


def test_no_other_file_of_core_names_one_either() -> None:
    """What a scaffold writes is for any venue."""
    others = [
        path
        for path in SOURCES.rglob("*")
        if path.is_file() and path.suffix in (".tmpl", ".toml", ".md", ".json", ".txt")
    ]
    named = {
        path.name: found
        for path in others
        if (found := NAMES.findall(STANDARD.sub("", path.read_text(encoding="utf-8"))))
    }
    assert named == {}


def test_the_names_of_this_repository_s_plugins_are_looked_for() -> None:
    assert {"okx", "binance", "sqlite", "postgres", "redis"} <= plugin_names()
    assert NAMES.search("TapelineOkx")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('hint = "pip install tapeline-okx"', ["okx"]),
        ("import asyncpg", ["asyncpg"]),
        ('"""As on Binance."""', ["Binance"]),
        ("OkxAdapter()  # of OKX", ["Okx", "OKX"]),
        ('use = "sqlite"', ["sqlite"]),
        ("import sqlite3; sqlite3.SQLITE_FULL", []),
        ("status, results3 = parse(books)", []),
    ],
)
def test_a_name_is_found_wherever_it_stands(
    tmp_path: Path, line: str, named: list[str]
) -> None:
    path = tmp_path / "module.py"
    path.write_text(f"{line}\n", encoding="utf-8")
    assert [each.split()[1] for each in words_named(path)] == named
