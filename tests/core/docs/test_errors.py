"""``docs/errors.md`` against every error class."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import tapeline
from tapeline.errors import RecoveryAction, TapelineError

Rows = Callable[[str], list[list[str]]]


def error_classes() -> Iterator[type[TapelineError]]:
    """Every public error class in all modules of the package."""
    for module in pkgutil.walk_packages(tapeline.__path__, "tapeline."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting: list[type[TapelineError]] = [TapelineError]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        # Those of plugins and of tests are not this page's.
        if cls.__module__.partition(".")[0] == "tapeline" and cls.__name__[0] != "_":
            yield cls


def test_every_error_is_documented_with_its_recovery(docs: Path, rows: Rows) -> None:
    text = (docs / "errors.md").read_text(encoding="utf-8")
    documented = {
        row[0].strip("`"): row[1].strip("`") for row in rows(text) if len(row) == 4
    }
    expected = {cls.__name__: cls.recovery.value for cls in error_classes()}
    assert documented == expected


def test_every_error_says_what_it_means_and_what_to_do(docs: Path, rows: Rows) -> None:
    text = (docs / "errors.md").read_text(encoding="utf-8")
    for row in rows(text):
        assert all(row), row


def test_every_recovery_is_explained(docs: Path, rows: Rows) -> None:
    text = (docs / "errors.md").read_text(encoding="utf-8")
    documented = [row[0].strip("`") for row in rows(text) if len(row) == 2]
    assert documented == [each.value for each in RecoveryAction]
