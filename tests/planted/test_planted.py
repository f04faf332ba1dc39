"""The list of planted bugs stays true, and what judges them cannot be fooled.

``nox -s planted`` plants all of them; here only the cheapest are.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

with (HERE / "bugs.toml").open("rb") as file:
    BUGS: list[dict[str, Any]] = tomllib.load(file)["bug"]

Plant = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def plant() -> Plant:
    """Run the script that plants bugs, to its end."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(HERE / "planted.py"), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def plant_these(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Plant the bugs of a list of one's own."""

    def run(*bugs: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        path = tmp_path_factory.mktemp("list") / "bugs.toml"
        lines = []
        for bug in bugs:
            lines.append("[[bug]]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in bug.items()]
        path.write_text("\n".join(lines))
        return plant("--list", path)

    return run


@pytest.mark.parametrize("bug", BUGS, ids=[bug["name"] for bug in BUGS])
def test_a_planted_bug_has_its_place_in_the_tree(bug: dict[str, Any]) -> None:
    """Where it fails: bring ``bugs.toml`` up to date with the code."""
    text = (ROOT / bug["file"]).read_text(encoding="utf-8")
    assert text.count(bug["find"]) == 1
    compile(text.replace(bug["find"], bug["replace"]), bug["file"], "exec")
    assert bug["find"] != bug["replace"]
    assert bug["says"].endswith(".")


@pytest.mark.parametrize("bug", BUGS, ids=[bug["name"] for bug in BUGS])
def test_the_tests_that_must_notice_a_bug_are_there(bug: dict[str, Any]) -> None:
    assert bug["tests"]
    for test in bug["tests"]:
        path, _, name = test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        found = {getattr(node, "name", "") for node in tree.body}
        assert name.partition("[")[0] in found, test


def test_names_differ_and_there_are_many() -> None:
    names = [bug["name"] for bug in BUGS]
    assert len(set(names)) == len(names) >= 25
    assert sum(bug.get("fast", False) for bug in BUGS) >= 2


HARMLESS = {
    "name": "harmless",
    "says": "Nothing is wrong.",
    "file": "core/src/tapeline/integrity/intervals.py",
    "find": "class IntervalSet:",
    "replace": "class IntervalSet:  # of integers",
    "tests": ["tests/core/integrity/test_intervals.py"],
}
UNIMPORTABLE = {
    **HARMLESS,
    "name": "unimportable",
    "find": "import attrs\n",
    "replace": "import attrs\nimport no_such_module\n",
}


def test_bugs_are_caught_by_failing_tests_and_by_nothing_else(
    plant_these: Plant,
) -> None:
    cheap = [bug for bug in BUGS if bug.get("fast")]
    done = plant_these(*cheap, HARMLESS, UNIMPORTABLE)
    assert done.returncode == 1
    told = [line.split() for line in done.stdout.splitlines()]
    verdicts = {words[0]: words[1] for words in told if len(words) > 1}
    for bug in cheap:
        assert verdicts[bug["name"]] == "caught"
    assert verdicts["harmless"] == "SURVIVED"
    assert verdicts["unimportable"] == "NOT"
    assert f"{len(cheap)} of {len(cheap) + 2} planted bugs are caught" in done.stdout


def test_nothing_is_planted_while_the_tests_fail_anyway(plant_these: Plant) -> None:
    done = plant_these({**HARMLESS, "tests": ["tests/no_such_file.py"]})
    assert done.returncode == 1
    assert "they must pass before a bug is planted" in done.stdout


def test_an_unknown_name_is_wrong_usage(plant: Plant) -> None:
    done = plant("no-such-bug")
    assert done.returncode == 2
    assert "no-such-bug" in done.stderr
