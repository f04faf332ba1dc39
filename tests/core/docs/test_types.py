"""``docs/types.md`` and ``docs/testing.md`` against every public name."""

from __future__ import annotations

import enum
import inspect
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from tapeline import model
from tapeline.errors import TapelineError

Rows = Callable[[str], list[list[str]]]
SECTION = re.compile(r"^### `(\w+)`$", re.MULTILINE)


@pytest.fixture(scope="module")
def reference(docs: Path) -> dict[str, Any]:
    """The names of ``docs/reference.py``."""
    return runpy.run_path(str(docs / "reference.py"))


@pytest.fixture(scope="module")
def public(reference: dict[str, Any]) -> dict[str, Any]:
    """Public name → what it is, without those for tests."""
    found = reference["public"](*reference["PUBLIC"])
    return {name: each.value for name, each in found.items()}


@pytest.fixture(scope="module")
def testing(reference: dict[str, Any]) -> dict[str, Any]:
    """The public names for tests."""
    found = reference["public"](reference["TESTING"])
    return {name: each.value for name, each in found.items()}


def constants(public: dict[str, Any]) -> dict[str, str]:
    """The texts among the names of the model."""
    return {name: public[name] for name in model.__all__ if type(public[name]) is str}


def test_every_public_name_is_on_the_page_of_its_kind(
    docs: Path, public: dict[str, Any]
) -> None:
    """Errors are on theirs, and what a plugin implements is with the hooks."""
    hooks = (docs / "hooks.md").read_text(encoding="utf-8")
    contract = set(re.findall(r"^## (\w+)$", hooks, re.MULTILINE))
    errors = {
        name
        for name, value in public.items()
        if inspect.isclass(value) and issubclass(value, TapelineError)
    }
    elsewhere = contract | errors | set(constants(public))
    documented = SECTION.findall((docs / "types.md").read_text(encoding="utf-8"))
    assert len(documented) == len(set(documented))
    assert sorted(documented) == sorted(set(public) - elsewhere)


def test_every_name_for_tests_is_on_its_page(
    docs: Path, testing: dict[str, Any]
) -> None:
    documented = SECTION.findall((docs / "testing.md").read_text(encoding="utf-8"))
    assert len(documented) == len(set(documented))
    assert sorted(documented) == sorted(testing)


def test_every_field_and_every_value_says_what_it_means(
    reference: dict[str, Any], public: dict[str, Any], testing: dict[str, Any]
) -> None:
    silent = []
    for name, value in [*public.items(), *testing.items()]:
        if not inspect.isclass(value):
            continue
        if issubclass(value, enum.Enum):
            silent += [
                f"{name}.{v.name}" for v, text in reference["values"](value) if not text
            ]
        elif attrs.has(value):
            fields = reference["fields"](value)
            silent += [f"{name}.{each.name}" for each in fields if not each.meaning]
    assert silent == []


def test_every_public_class_and_function_says_what_it_is(
    public: dict[str, Any], testing: dict[str, Any]
) -> None:
    silent = [
        name
        for name, value in [*public.items(), *testing.items()]
        if (inspect.isclass(value) or inspect.isfunction(value)) and not value.__doc__
    ]
    assert silent == []


def test_the_args_of_a_class_name_its_fields_alone(
    reference: dict[str, Any], public: dict[str, Any]
) -> None:
    """A field that was renamed would go on being described under its old name."""
    for name, value in public.items():
        if inspect.isclass(value) and attrs.has(value):
            block = reference["_sections"](inspect.cleandoc(value.__doc__ or ""))
            said = {
                word.strip()
                for entry in reference["_split"](block.get("Args", ""))
                for word in entry.partition(":")[0].split(",")
            }
            assert said <= {str(each.alias) for each in attrs.fields(value)}, name


def test_every_time_in_a_field_has_its_unit(
    reference: dict[str, Any], public: dict[str, Any]
) -> None:
    for value in public.values():
        if inspect.isclass(value) and attrs.has(value):
            for each in reference["fields"](value):
                if each.name.endswith(("_ns", "_s", "_ms", "_bytes")):
                    assert each.unit, each


def test_every_constant_is_there_with_its_value(
    docs: Path, rows: Rows, public: dict[str, Any]
) -> None:
    text = (docs / "types.md").read_text(encoding="utf-8")
    shown = rows(text.partition("\n## Constants\n")[2])
    documented = {row[0].strip("`"): row[1].strip("`") for row in shown}
    assert documented == constants(public)
    assert all(row[2] for row in shown)
