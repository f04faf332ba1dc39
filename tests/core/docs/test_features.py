"""``docs/features.md``: every feature is there, and so is every test that it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")

Rows = Callable[[str], list[list[str]]]


@pytest.fixture
def features(docs: Path, rows: Rows) -> dict[str, list[str]]:
    """Number of a feature → the other cells of its row."""
    found = rows((docs / "features.md").read_text(encoding="utf-8"))
    return {row[0]: row[1:] for row in found}


def test_every_feature_has_a_row(features: dict[str, list[str]]) -> None:
    assert list(features) == [f"F{number}" for number in range(1, 22)]
    assert all(all(cells) for cells in features.values())


def test_every_row_names_tests_that_exist(features: dict[str, list[str]]) -> None:
    functions: dict[str, set[str]] = {}
    for number, (_, _, proof) in features.items():
        named = NAMED.findall(proof)
        assert named, f"{number} names no test"
        assert NAMED.sub("", proof).strip(" ,") == "", f"{number} names something else"
        for path, test in named:
            assert (ROOT / path).is_file(), f"{number}: {path} does not exist"
            if path not in functions:
                tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
                functions[path] = {
                    node.name
                    for node in ast.walk(tree)
                    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                }
            assert test in functions[path], f"{number}: {path} has no {test}"
