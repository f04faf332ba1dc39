"""What is released: every distribution as a wheel and an sdist, opened and read."""

from __future__ import annotations

import email
import io
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import attrs
import pytest
from packaging.requirements import Requirement

pytest.importorskip("hatchling", reason="needs the build backend")

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(
    str(path.parent.relative_to(ROOT))
    for pattern in ("core", "plugins/*", "sinks/*")
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
# What tools leave behind in a source tree.
LEFT = ("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")


@attrs.frozen
class Built:
    """A member and its two archives, read into memory: name in it → content."""

    folder: Path
    project: dict[str, Any]
    wheel_file: bytes
    wheel: dict[str, bytes]
    sdist: dict[str, bytes]

    @property
    def info(self) -> str:
        """The wheel's folder of metadata."""
        (name,) = {n.partition("/")[0] for n in self.wheel if ".dist-info/" in n}
        return name

    @property
    def metadata(self) -> Message:
        """Of the wheel."""
        text = self.wheel[f"{self.info}/METADATA"].decode()
        return email.message_from_string(text)

    @property
    def package(self) -> Path:
        """The one package of the member."""
        (folder,) = (p for p in (self.folder / "src").iterdir() if p.is_dir())
        return folder


def build(folder: Path, out: Path, *words: str) -> Path:
    """Build *folder* as ``python -m build --no-isolation`` would, without network."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *words, "-d", str(out)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def read_wheel(path: Path) -> dict[str, bytes]:
    """Name → content of every file in a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def read_sdist(path: Path) -> dict[str, bytes]:
    """Name below the top folder → content of every file in an sdist."""
    with tarfile.open(path) as archive:
        return {
            member.name.partition("/")[2]: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }


@pytest.fixture(scope="session", params=MEMBERS)
def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Built:
    """Each member, built."""
    folder = ROOT / request.param
    out = build(folder, tmp_path_factory.mktemp("dist"))
    (wheel,) = out.glob("*.whl")
    (sdist,) = out.glob("*.tar.gz")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    return Built(
        folder,
        project["project"],
        wheel.read_bytes(),
        read_wheel(wheel),
        read_sdist(sdist),
    )


def test_the_license_is_in_the_wheel_and_in_the_sdist(built: Built) -> None:
    license_text = (ROOT / "LICENSE").read_bytes()
    assert built.wheel[f"{built.info}/licenses/LICENSE"] == license_text
    assert built.sdist["LICENSE"] == license_text
    assert built.metadata["License-Expression"] == "Apache-2.0"
    assert built.metadata["License-File"] == "LICENSE"


def test_the_wheel_has_the_package_its_types_and_nothing_else(built: Built) -> None:
    ours = {
        str(path.relative_to(built.folder / "src"))
        for path in built.package.rglob("*")
        if path.is_file() and not set(LEFT) & set(path.parts)
    }
    assert f"{built.package.name}/py.typed" in ours
    assert {name for name in built.wheel if ".dist-info/" not in name} == ours


def test_the_sdist_has_what_the_wheel_is_built_from(built: Built) -> None:
    expected = {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"}
    expected |= {f"src/{n}" for n in built.wheel if ".dist-info/" not in n}
    assert set(built.sdist) - {".gitignore"} == expected


def test_the_sdist_builds_into_the_very_same_wheel(
    built: Built, tmp_path: Path
) -> None:
    for name, content in built.sdist.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    out = build(tmp_path / "source", tmp_path / "dist", "-t", "wheel")
    (wheel,) = out.glob("*.whl")
    assert wheel.read_bytes() == built.wheel_file


def test_the_metadata_says_what_a_user_of_an_index_needs(built: Built) -> None:
    metadata = built.metadata
    assert metadata["Name"] == built.project["name"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"] == built.project["description"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    readme = (built.folder / "README.md").read_text(encoding="utf-8")
    assert metadata.get_payload() == readme
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])


def test_every_requirement_has_a_lower_bound_and_none_is_pinned(built: Built) -> None:
    for line in built.metadata.get_all("Requires-Dist", []):
        requirement = Requirement(line)
        operators = {each.operator for each in requirement.specifier}
        assert ">=" in operators, line
        assert operators <= {">=", "<"}, line
        assert requirement.url is None, line
        # A sister of another minor may have another contract.
        if requirement.name.startswith("tapeline"):
            assert "<" in operators, line


def test_no_file_names_a_folder_of_the_machine_that_built_it(built: Built) -> None:
    with io.BytesIO(built.wheel_file) as file, zipfile.ZipFile(file) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {2020}
    here = str(ROOT).encode()
    for archive_files in (built.wheel, built.sdist):
        assert [name for name, text in archive_files.items() if here in text] == []


def test_a_plugin_is_declared_under_the_name_of_its_folder(built: Built) -> None:
    text = built.wheel.get(f"{built.info}/entry_points.txt", b"").decode()
    name = built.folder.name
    if f"{name} = " in text:
        package = f"tapeline_{name}"
        assert f"[tapeline.plugins.v1]\n{name} = {package}.plugin" in text
        assert f"{package}/plugin.py" in built.wheel
    else:
        # Not plugins: the program, and what both SQL sinks share.
        assert name in ("core", "sql")


def test_each_plugin_is_an_extra_of_core_and_all_has_every_one() -> None:
    core = tomllib.loads((ROOT / "core/pyproject.toml").read_text(encoding="utf-8"))
    extras = core["project"]["optional-dependencies"]
    plugins = set()
    for member in MEMBERS:
        text = (ROOT / member / "pyproject.toml").read_text(encoding="utf-8")
        project = tomllib.loads(text)["project"]
        plugins |= set(project.get("entry-points", {}).get("tapeline.plugins.v1", ()))
    assert set(extras) - plugins == {"all", "start", "fast", "testing"}
    (everything,) = map(Requirement, extras["all"])
    assert everything.extras == plugins
    for name in plugins:
        (requirement,) = map(Requirement, extras[name])
        assert requirement.name == f"tapeline-{name}"
    assert {Requirement(line).name for line in extras["testing"]} >= {"pytest"}
