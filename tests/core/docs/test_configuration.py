"""``docs/configuration.md`` against the configuration's classes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

from tapeline.config import describe_config
from tapeline.config.describing import describe_environment
from tapeline.config.symbols import symbol_problem
from tapeline.model import Market
from tapeline.plugins.discovery import ALLOW_VARIABLE, DISABLE_VARIABLE

Sections = Callable[[str, int], dict[str, str]]
Rows = Callable[[str], list[list[str]]]


def test_every_key_is_documented_and_no_other(sections: Sections, rows: Rows) -> None:
    pages = sections("configuration.md", 2)
    documented = {}
    for title, text in pages.items():
        if title.startswith("`["):
            name = title.strip("`[]")
            part = text.partition("<!-- end -->")[0]
            documented[name] = [row[0].strip("`") for row in rows(part)]
    expected: dict[str, list[str]] = {}
    for key in describe_config():
        expected.setdefault(key.section, []).append(key.key)
    assert documented == expected


def test_every_key_says_what_it_means() -> None:
    assert [key for key in describe_config() if not key.description.endswith(".")] == []


def test_every_environment_variable_is_documented(
    sections: Sections, rows: Rows
) -> None:
    expected = [key.key for key in describe_environment()]
    expected += [ALLOW_VARIABLE, DISABLE_VARIABLE]
    text = sections("configuration.md", 2)["Environment variables"]
    assert [row[0].strip("`") for row in rows(text)] == expected


def test_the_library_page_lists_the_same_variables_and_defaults(
    sections: Sections, rows: Rows
) -> None:
    text = sections("library.md", 2)["Environment variables"]
    documented = {row[0].strip("`"): row[1].strip("`") for row in rows(text)}
    expected = {key.key: key.default for key in describe_environment()}
    assert documented == expected | {ALLOW_VARIABLE: "", DISABLE_VARIABLE: ""}


def test_the_symbol_forms_are_accepted_for_their_market(
    sections: Sections, rows: Rows
) -> None:
    text = sections("configuration.md", 2)["`[collectors.NAME]`"]
    forms = rows(text.partition("`market`:\n")[2])
    assert [row[0].strip("`") for row in forms] == [each.value for each in Market]
    for market, _, example in forms:
        assert symbol_problem(example.strip("`"), market.strip("`")) == ""


def test_every_key_of_the_example_files_exists(docs: Path) -> None:
    known: dict[str, set[str]] = {}
    for key in describe_config():
        known.setdefault(key.section, set()).add(key.key)
    for path in sorted((docs / "examples").glob("*.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        if "faults" in document:
            continue
        tables = {key.partition(".")[0] for key in known}
        assert set(document) <= tables, path.name
        assert set(document.get("runtime", {})) <= known["runtime"], path.name
        for table in document.get("collectors", {}).values():
            assert set(table) <= known["collectors.NAME"], path.name
