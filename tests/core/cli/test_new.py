"""``tapeline new``: names, refusals, and what comes out."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from typer.testing import CliRunner

from tapeline.cli import app
from tapeline.cli.output import DONE, WRONG_USAGE
from tapeline.cli.scaffold import Kind, ScaffoldName, package_files, read_name
from tapeline.cli.scaffold.names import MOST_LETTERS
from tapeline.cli.scaffold.package import bounds
from tapeline.hookspecs import API_VERSION

Invoke = Callable[..., Any]
WIDTH = 88

EXCHANGE_FILES = {
    *("adapter.py", "backfill.py", "channels.py", "config.py", "conformance.py"),
    *("errors.py", "messages.py", "numbers.py", "plugin.py", "rest.py", "session.py"),
    *("simulator.py", "wire.py", "__init__.py", "py.typed"),
    *("frames/book.jsonl", "frames/ticker.jsonl", "frames/trades.jsonl"),
}
SINK_FILES = {
    *("adapter.py", "config.py", "conformance.py", "lines.py", "plugin.py"),
    *("sink.py", "store.py", "__init__.py", "py.typed"),
}
BESIDE = {".gitignore", "LICENSE", "README.md", "pyproject.toml"}

every_kind = pytest.mark.parametrize("kind", list(Kind))


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """``tapeline new`` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*words: str) -> Any:
        return CliRunner().invoke(app, ["new", *words])

    return invoke


def installed(folder: Path, name: str) -> None:
    """Lay metadata beside the source in *folder*, as an installer does."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    about = folder / "src" / f"tapeline_{name}-0.1.0.dist-info"
    about.mkdir()
    needs = "".join(f"Requires-Dist: {one}\n" for one in project["dependencies"])
    readme = (folder / "README.md").read_text()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.3\nName: {project['name']}\nVersion: 0.1.0\n"
        f"{needs}Description-Content-Type: text/markdown\n\n{readme}"
    )
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in each.items())
        for group, each in project["entry-points"].items()
    )
    (about / "entry_points.txt").write_text(points)


def run(
    folder: Path, *words: str, beside: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """``python -m …`` in *folder*, whose source and those *beside* are installed."""
    sources = [str(each / "src") for each in (folder, *beside)]
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sources)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("acme", ("tapeline-acme", "tapeline_acme", "Acme")),
        ("x1", ("tapeline-x1", "tapeline_x1", "X1")),
        ("big_venue", ("tapeline-big-venue", "tapeline_big_venue", "BigVenue")),
        ("class", ("tapeline-class", "tapeline_class", "Class")),
    ],
)
def test_all_names_follow_from_the_name(text: str, names: tuple[str, ...]) -> None:
    name = read_name(text)
    assert (name.distribution, name.package, name.classes) == names


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Acme", "'acme' would do"),
        ("big-venue", "'big_venue' would do"),
        ("1inch", "'inch' would do"),
        ("a__b", "'a_b' would do"),
        ("../acme", "'acme' would do"),
        ("_acme", "'acme' would do"),
        ("über", "found 'über'"),
        ("", "found ''"),
        ("acme\n", "'acme' would do"),
        ("a" * (MOST_LETTERS + 1), "choose a shorter one"),
    ],
)
def test_a_text_that_is_no_name_is_refused_in_a_sentence(
    text: str, told: str, new: Invoke, tmp_path: Path
) -> None:
    done = new("exchange", text)
    assert done.exit_code == WRONG_USAGE
    assert "expected a name" in done.output
    assert told in done.output
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_plugin_of_ours_is_refused_installed_or_not(
    new: Invoke, tmp_path: Path
) -> None:
    requires = map(Requirement, metadata.requires("tapeline") or ())
    ours = [one.name for one in requires if one.name.startswith("tapeline-")]
    assert ours
    for name in ours:
        done = new("sink", name.removeprefix("tapeline-"))
        assert done.exit_code == WRONG_USAGE
        assert "no plugin of tapeline itself has" in done.output
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_an_installed_plugin_is_refused(
    new: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "path" / "somebody-0.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.3\nName: somebody\nVersion: 1")
    (about / "entry_points.txt").write_text("[tapeline.plugins.v1]\ntaken = any.thing")
    monkeypatch.syspath_prepend(tmp_path / "path")
    done = new("sink", "taken")
    assert done.exit_code == WRONG_USAGE
    assert "'taken', which somebody has" in done.output


def test_a_name_whose_package_is_installed_is_refused(
    new: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "path" / "tapeline_helpful").mkdir(parents=True)
    (tmp_path / "path" / "tapeline_helpful" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "path")
    done = new("exchange", "helpful")
    assert done.exit_code == WRONG_USAGE
    assert "tapeline_helpful is" in done.output


def test_another_kind_is_refused(new: Invoke) -> None:
    done = new("service", "acme")
    assert done.exit_code == WRONG_USAGE
    assert "exchange" in done.output


def test_a_folder_with_something_in_it_is_left_alone(
    new: Invoke, tmp_path: Path
) -> None:
    mine = tmp_path / "tapeline-acme" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    done = new("exchange", "acme")
    assert done.exit_code == WRONG_USAGE
    assert "with files in it" in done.output
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_is_left_alone(new: Invoke, tmp_path: Path) -> None:
    (tmp_path / "tapeline-acme").write_text("mine")
    assert new("exchange", "acme").exit_code == WRONG_USAGE
    assert (tmp_path / "tapeline-acme").read_text() == "mine"


def test_a_link_is_not_followed(new: Invoke, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tapeline-acme").symlink_to("elsewhere")
    assert new("exchange", "acme").exit_code == WRONG_USAGE
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_and_nothing_is_left(
    new: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    done = new("sink", "acme", "-d", "file/deep/acme")
    assert done.exit_code == WRONG_USAGE
    assert "name a folder that can be written" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_left_when_the_disk_fails_in_the_middle(
    new: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def full(path: Path, *words: str, **options: str) -> int:
        if path.name == "session.py":
            raise OSError(28, "No space left on device")
        return write(path, *words, **options)

    monkeypatch.setattr(Path, "write_text", full)
    done = new("exchange", "acme")
    assert done.exit_code == WRONG_USAGE
    assert "No space left" in done.output
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_taken_and_a_missing_one_is_made(
    new: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert new("exchange", "acme", "--directory", "empty").exit_code == DONE
    assert new("sink", "acme", "-d", "deep/below/here").exit_code == DONE
    assert (tmp_path / "empty/src/tapeline_acme/session.py").is_file()
    assert (tmp_path / "deep/below/here/src/tapeline_acme/store.py").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "empty"]


def test_the_folder_that_one_stands_in_stays_the_same_one(
    new: Invoke, tmp_path: Path
) -> None:
    before = tmp_path.stat().st_ino
    done = new("sink", "acme", "-d", ".")
    assert done.exit_code == DONE
    assert "pip install -e '.[test]'" in done.stdout
    assert tmp_path.stat().st_ino == before
    assert sorted(path.name for path in Path().iterdir()) == [
        *(".gitignore", "LICENSE", "README.md", "pyproject.toml", "src", "tests")
    ]


def test_what_was_made_is_told_as_json(new: Invoke, tmp_path: Path) -> None:
    told = json.loads(new("sink", "big_venue", "--json").stdout)
    folder = tmp_path / "tapeline-big-venue"
    made = [path for path in folder.rglob("*") if path.is_file()]
    assert told == {
        "kind": "sink",
        "name": "big_venue",
        "distribution": "tapeline-big-venue",
        "package": "tapeline_big_venue",
        "directory": "tapeline-big-venue",
        "files": sorted(path.relative_to(folder).as_posix() for path in made),
    }


@pytest.mark.parametrize(
    ("kind", "own", "others"),
    [
        (
            Kind.EXCHANGE,
            EXCHANGE_FILES,
            {
                "VENUE.md",
                "tests/test_collecting.py",
                "tests/test_conformance.py",
                "tests/test_session.py",
            },
        ),
        (
            Kind.SINK,
            SINK_FILES,
            {"tests/test_conformance.py", "tests/test_store.py"},
        ),
    ],
)
def test_the_files_are_those_that_all_plugins_have(
    kind: Kind, own: set[str], others: set[str]
) -> None:
    files = package_files(kind, ScaffoldName("acme"))
    inside = {f"src/tapeline_acme/{name}" for name in own}
    assert set(files) == inside | others | BESIDE


@every_kind
def test_what_is_made_depends_on_the_name_alone(kind: Kind) -> None:
    acme, other = ScaffoldName("acme"), ScaffoldName("other")
    assert package_files(kind, acme) == package_files(kind, acme)
    renamed = {
        path.replace("acme", "other"): text.replace("acme", "other").replace(
            "Acme", "Other"
        )
        for path, text in package_files(kind, acme).items()
    }
    assert package_files(kind, other) == renamed


@every_kind
@pytest.mark.parametrize("name", ["x", "acme", "a_b_c", "abcdefghij_lmnopqrst"])
def test_all_code_is_valid_and_fits_whatever_the_name(kind: Kind, name: str) -> None:
    assert len(name) <= MOST_LETTERS
    for path, text in package_files(kind, read_name(name)).items():
        assert "$" not in text, path
        assert text == "" or text.endswith("\n"), path
        assert not any(line.endswith(" ") for line in text.splitlines()), path
        if path.endswith(".py"):
            ast.parse(text)
            assert max(map(len, text.splitlines())) <= WIDTH, path


@every_kind
def test_every_file_that_the_readme_sends_one_to_says_what_to_edit(kind: Kind) -> None:
    files = package_files(kind, ScaffoldName("acme"))
    rows = [line for line in files["README.md"].splitlines() if line.startswith("|")]
    named = {name for row in rows for name in re.findall(r"`(\w+\.py)`", row)}
    assert len(named) > 3
    for name in named:
        assert "EDIT" in files[f"src/tapeline_acme/{name}"], name
    unnamed = {
        Path(path).name
        for path, text in files.items()
        if path.endswith(".py") and "EDIT" in text
    }
    assert unnamed <= named


@every_kind
def test_the_contract_is_a_literal_and_the_requirement_has_two_bounds(
    kind: Kind,
) -> None:
    files = package_files(kind, ScaffoldName("acme"))
    assert f"api={API_VERSION!r}," in files["src/tapeline_acme/plugin.py"]
    project = tomllib.loads(files["pyproject.toml"])["project"]
    (ours,) = [one for one in project["dependencies"] if one.startswith("tapeline")]
    assert ">=" in ours
    assert ",<" in ours


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.1.0", ">=0.1,<0.2"),
        ("0.7.3.dev2", ">=0.7,<0.8"),
        ("1.4.2", ">=1.4,<2"),
    ],
)
def test_the_bounds_are_those_within_which_core_stays_compatible(
    version: str, expected: str
) -> None:
    assert bounds(Version(version)) == expected


@pytest.mark.parametrize(
    ("kind", "own_tests"),
    [
        (Kind.EXCHANGE, ("tests/test_session.py", "tests/test_collecting.py")),
        (Kind.SINK, ("tests/test_store.py",)),
    ],
)
def test_a_new_plugin_gets_gold_and_passes_its_own_tests_as_it_is(
    kind: Kind, own_tests: Sequence[str], new: Invoke, tmp_path: Path
) -> None:
    assert new(str(kind), "acme").exit_code == DONE
    folder = tmp_path / "tapeline-acme"
    installed(folder, "acme")
    done = run(folder, "tapeline", "certify", "acme", "--json")
    told = json.loads(done.stdout)
    against = [one for one in told["cases"] if one["outcome"] == "failed"]
    assert against == []
    assert told["tier"] == "gold"
    tested = run(folder, "pytest", "-q", "-p", "no:cacheprovider", *own_tests)
    assert tested.returncode == 0, tested.stdout


def test_the_configuration_in_the_readmes_can_be_used(
    new: Invoke, tmp_path: Path
) -> None:
    config = ""
    for kind, name in (("exchange", "acme"), ("sink", "ledger")):
        assert new(kind, name).exit_code == DONE
        folder = tmp_path / f"tapeline-{name}"
        installed(folder, name)
        readme = (folder / "README.md").read_text(encoding="utf-8")
        config += readme.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "tapeline-acme" / "config.toml").write_text(config, encoding="utf-8")
    beside = [tmp_path / "tapeline-ledger"]
    done = run(
        tmp_path / "tapeline-acme", "tapeline", "check", "config.toml", beside=beside
    )
    assert done.returncode == 0, done.stderr
    assert "1 collectors, 1 sinks, no problems found" in done.stdout
