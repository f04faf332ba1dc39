"""``docs/hooks.md`` against the contract."""

from __future__ import annotations

import inspect
import runpy
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tapeline import hookspecs
from tapeline.hookspecs import AdapterBase, SessionBase
from tapeline.model import StatusChange
from tapeline.plugins import PluginRegistry, PluginState
from tapeline.plugins.binding import MANDATORY_HOOKS

Sections = Callable[[str, int], dict[str, str]]
Rows = Callable[[str], list[list[str]]]

CONTRACT = [
    "PluginSpecs",
    "ExchangeSession",
    "ExchangeAdapter",
    "Backfill",
    "SimulatedExchange",
    "SinkAdapter",
    "Sink",
    "DatabaseReader",
    "ServiceAdapter",
    "Service",
    "Control",
]


@pytest.fixture(scope="module")
def documented(docs: Path) -> dict[str, dict[str, str]]:
    """Class → title of each method → its text."""
    text = (docs / "hooks.md").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = {}
    for part in text.split("\n## ")[1:]:
        name, _, body = part.partition("\n")
        methods = body.split("\n### ")[1:]
        found[name] = {
            title.strip("`"): rest
            for title, _, rest in (method.partition("\n") for method in methods)
        }
    return found


def expected(cls: type, generator: dict[str, Any]) -> list[str]:
    """Titles of the methods of *cls*, with their arguments."""
    titles = []
    for name, method in generator["methods"](cls).items():
        names = [
            each for each in inspect.signature(method).parameters if each != "self"
        ]
        titles.append(f"{name}({', '.join(names)})")
    return titles


def test_the_classes_of_the_contract_are_the_sections(
    documented: dict[str, dict[str, str]],
) -> None:
    assert list(documented) == CONTRACT


@pytest.mark.parametrize("name", CONTRACT)
def test_names_and_arguments_are_those_of_the_code(
    name: str, documented: dict[str, dict[str, str]], generator: dict[str, Any]
) -> None:
    wanted = expected(getattr(hookspecs, name), generator)
    assert sorted(documented[name]) == sorted(wanted)


@pytest.mark.parametrize("name", CONTRACT)
def test_each_method_says_when_it_is_called_and_what_must_not_happen(
    name: str, documented: dict[str, dict[str, str]]
) -> None:
    for title, text in documented[name].items():
        assert "\n* **Called** " in text, title
        assert "\n* **Must not** " in text, title


@pytest.mark.parametrize("name", CONTRACT)
def test_every_argument_of_a_class_has_a_shape_and_a_meaning(
    name: str, docs: Path, rows: Rows, generator: dict[str, Any]
) -> None:
    text = (docs / "hooks.md").read_text(encoding="utf-8")
    lead = text.partition(f"\n## {name}\n")[2].partition("\n### ")[0]
    shown = rows(lead.partition("**Arguments**")[2])
    assert all(all(row) for row in shown)
    wanted = {
        each
        for method in generator["methods"](getattr(hookspecs, name)).values()
        for each in inspect.signature(method).parameters
        if each != "self"
    }
    assert sorted(row[0].strip("`") for row in shown) == sorted(wanted)
    assert "\n**When it raises**: " in lead


def test_mandatory_session_hooks_say_so_and_the_others_name_their_default(
    documented: dict[str, dict[str, str]], generator: dict[str, Any]
) -> None:
    defaults = generator["methods"](SessionBase)
    for title, text in documented["ExchangeSession"].items():
        name = title.partition("(")[0]
        assert ("\nMandatory." in text) == (name in MANDATORY_HOOKS), title
        assert ("\nDefault:" in text) == (name in defaults), title


def test_optional_adapter_parts_name_their_default(
    documented: dict[str, dict[str, str]], generator: dict[str, Any]
) -> None:
    # Their defaults only say that nobody may call them.
    uncalled = {"read_server_time", "read_probe"}
    defaults = set(generator["methods"](AdapterBase)) - uncalled
    for title, text in documented["ExchangeAdapter"].items():
        name = title.partition("(")[0]
        assert ("\nDefault:" in text) == (name in defaults), title


def test_the_smallest_plugin_is_one(docs: Path) -> None:
    names = runpy.run_path(str(docs / "examples" / "minimal_plugin.py"))
    module = ModuleType("tapeline_acme")
    vars(module).update(names)
    registry = PluginRegistry({}, {"acme": module})
    record = registry.load("acme")
    assert (record.state, record.reason) == (PluginState.ACTIVE, "")
    registry.notify_status(StatusChange("collector x", "starting", "running", "", 1))
    assert names["seen"] == ["collector x: starting -> running"]
