"""Hooks are called through pluggy in one place only."""

from __future__ import annotations

import re
from pathlib import Path

import tapeline

PACKAGE = Path(tapeline.__file__).parent
CALL = re.compile(r"\.hook\b|subset_hook_caller|PluginManager\(")
SCAN = re.compile(r"load_setuptools_entrypoints")


def _lines(pattern: re.Pattern[str]) -> set[str]:
    """Files of the package, relative to it, with a line that has *pattern*."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    }


def test_hooks_are_called_through_pluggy_only_by_the_plugins_package() -> None:
    files = _lines(CALL)
    assert files
    assert {path for path in files if not path.startswith("plugins/")} == set()


def test_pluggy_never_scans_entry_points_itself() -> None:
    assert _lines(SCAN) == set()


def test_there_is_no_global_plugin_manager() -> None:
    """A manager is made for one plugin or one session, inside a function."""
    made = re.compile(r"^\w[^\n]*=\s*\w*(HookManager|PluginManager)\(", re.MULTILINE)
    assert _lines(made) == set()
