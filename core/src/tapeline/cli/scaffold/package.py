"""The files of a new plugin, and writing them so that none is ever half there."""

from __future__ import annotations

import contextlib
import enum
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from packaging.version import Version

from tapeline.cli.scaffold.names import ScaffoldName
from tapeline.errors import UsageError
from tapeline.hookspecs import API_VERSION, PROJECT

_SUFFIX = ".tmpl"
_SHARED = "both"
_PACKAGE_FOLDER = "src/package/"
_HIDDEN = {"gitignore": ".gitignore"}


class Kind(str, enum.Enum):
    """What a new plugin offers."""

    EXCHANGE = "exchange"
    SINK = "sink"

    def __str__(self) -> str:
        return self.value


def package_files(kind: Kind, name: ScaffoldName) -> Mapping[str, str]:
    """Path → text of every file of a new plugin; paths have slashes."""
    words = {
        "name": name.name,
        "dist": name.dashed,
        "package": name.package,
        "Class": name.classes,
        "api": repr(API_VERSION),
        "bounds": bounds(Version(metadata.version(PROJECT))),
    }
    files = {f"src/{name.package}/py.typed": ""}
    templates = resources.files("tapeline.cli.scaffold") / "templates"
    for group in (_SHARED, kind.value):
        for path, text in _templates(templates / group, ""):
            target = path.replace(_PACKAGE_FOLDER, f"src/{name.package}/", 1)
            files[_HIDDEN.get(target, target)] = Template(text).substitute(words)
    return dict(sorted(files.items()))


def bounds(version: Version) -> str:
    """The versions of core that promise to keep what *version* keeps."""
    if version.major:
        return f">={version.major}.{version.minor},<{version.major + 1}"
    return f">=0.{version.minor},<0.{version.minor + 1}"


def write_package(files: Mapping[str, str], folder: Path) -> None:
    """Make *folder* with *files* in it: all of them, or nothing.

    Raises:
        UsageError: something is there already, or nothing can be made there.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(
            f"expected a new folder, found that {folder} is none; name another one"
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"expected a new or an empty folder, found {folder} with files in it; "
            "name another one with --directory"
        )
    try:
        _write(files, folder.absolute())
    except OSError as error:
        raise UsageError(
            f"expected to make {folder}, found: {error.strerror}; name a folder that "
            "can be written with --directory"
        ) from error


def _write(files: Mapping[str, str], target: Path) -> None:
    # A folder that is there stays the same one: somebody may stand in it.
    is_there = target.exists()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _made_beside(target / "any" if is_there else target) as made:
        for path, text in files.items():
            file = made / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        if is_there:
            for entry in sorted(made.iterdir()):
                entry.rename(target / entry.name)
        else:
            made.rename(target)


@contextlib.contextmanager
def _made_beside(target: Path) -> Iterator[Path]:
    """A folder on the file system of *target*, removed with what is left in it."""
    holder = Path(tempfile.mkdtemp(prefix=".tapeline-", dir=target.parent))
    try:
        made = holder / "made"
        made.mkdir()
        yield made
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _templates(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            name = entry.name.removesuffix(_SUFFIX)
            yield f"{path}{name}", entry.read_text(encoding="utf-8")
