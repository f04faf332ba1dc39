"""The tutorials against what ``tapeline new`` writes; nox runs their commands too."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tapeline.cli import app
from tapeline.cli.output import DONE

ROOT = Path(__file__).parents[3]
TUTORIALS = ("tutorial.md", "tutorial-sink.md")
ROWS = "one\ntwo\nthree\ntwo\n"

every_tutorial = pytest.mark.parametrize("page", TUTORIALS)


@pytest.fixture(scope="session")
def walker() -> dict[str, Any]:
    """The names of ``tests/tutorials/walk.py``."""
    return runpy.run_path(str(ROOT / "tests" / "tutorials" / "walk.py"))


@pytest.fixture
def wrong(walker: dict[str, Any]) -> type[Exception]:
    """What is raised where a page is wrong."""
    found: type[Exception] = walker["WrongPage"]
    return found


@every_tutorial
def test_what_a_tutorial_quotes_and_changes_is_there(
    page: str,
    docs: Path,
    walker: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    walk = walker["Walk"](tmp_path)
    taken = set()
    for step in walker["steps_of"]((docs / page).read_text(encoding="utf-8")):
        taken.add(step.kind)
        if step.kind in ("quotes", "change", "undo"):
            walk.take(step)
        elif step.kind == "run":
            for command in step.body.splitlines():
                words = command.split()
                if words[:2] == ["tapeline", "new"]:
                    assert CliRunner().invoke(app, words[1:]).exit_code == DONE
                elif words[0] == "cd":
                    walk.folder /= words[1]
    assert taken == walker["KINDS"]


@every_tutorial
def test_a_tutorial_ends_with_a_gold_certificate(
    page: str, docs: Path, walker: dict[str, Any]
) -> None:
    steps = list(walker["steps_of"]((docs / page).read_text(encoding="utf-8")))
    assert steps[-2].kind == "run"
    assert steps[-2].body.startswith("tapeline certify ")
    assert "tier gold" in steps[-1].body


@every_tutorial
def test_nox_walks_every_tutorial(page: str) -> None:
    assert f'"docs/{page}"' in (ROOT / "noxfile.py").read_text(encoding="utf-8")


def test_a_change_is_made_at_its_only_place(walker: dict[str, Any]) -> None:
    assert walker["changed"](ROWS, " one\n-two\n+2\n") == "one\n2\nthree\ntwo\n"
    assert walker["changed"](ROWS, "-one\n...\n three\n+end\n") == (
        "two\nthree\nend\ntwo\n"
    )


@pytest.mark.parametrize("diff", ["-two\n", "-four\n", "-hree\n", "?one\n"])
def test_a_change_whose_place_is_not_clear_is_wrong(
    diff: str, walker: dict[str, Any], wrong: type[Exception]
) -> None:
    with pytest.raises(wrong):
        walker["changed"](ROWS, diff)


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        ("one\ntwo\n", True),
        ("one\n...\ntwo\n", True),
        ("one\nthree\n", False),
        ("three\n...\none\n", False),
        ("on\n", False),
    ],
)
def test_a_quote_is_there_line_for_line_or_it_is_wrong(
    quote: str, expected: bool, walker: dict[str, Any]
) -> None:
    assert walker["is_quoted"](ROWS, quote) is expected


def test_a_quote_may_be_less_indented_than_the_file(walker: dict[str, Any]) -> None:
    text = "class A:\n    def b(self):\n        return 1\n"
    assert walker["is_quoted"](text, "def b(self):\n    return 1\n")
    assert not walker["is_quoted"](text, "def b(self):\nreturn 1\n")


def test_output_is_compared_in_order(walker: dict[str, Any]) -> None:
    assert walker["is_shown"]("E  one: 12 times\nE  two\n", "one: ... times\ntwo\n")
    assert not walker["is_shown"]("two\none\n", "one\ntwo\n")


@pytest.mark.parametrize(
    ("kind", "command"), [("run", "exit 3"), ("fails", "true"), ("run", "true\nfalse")]
)
def test_a_command_that_ends_otherwise_is_wrong(
    kind: str,
    command: str,
    walker: dict[str, Any],
    wrong: type[Exception],
    tmp_path: Path,
) -> None:
    page = f"<!-- walk: {kind} -->\n```console\n{command}\n```\n"
    (step,) = walker["steps_of"](page)
    with pytest.raises(wrong, match="ends with"):
        walker["Walk"](tmp_path).take(step)


def test_a_step_of_no_known_kind_is_wrong(
    walker: dict[str, Any], wrong: type[Exception]
) -> None:
    steps: Callable[[str], Any] = walker["steps_of"]
    with pytest.raises(wrong, match="no step is called 'dance'"):
        list(steps("<!-- walk: dance -->\n"))
