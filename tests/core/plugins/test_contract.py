"""The contract of a version of the API never changes.

What stands in ``data/api-MAJOR.MINOR.txt`` was published with that version. Whoever
adds to the contract raises ``API_VERSION`` and writes a new file; whoever changes or
removes something begins a new major, ``tapeline.plugins.v2``.
"""

from __future__ import annotations

import itertools
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tapeline import hookspecs, model
from tapeline.hookspecs import API_VERSION, ENTRY_POINT_GROUP
from tapeline.plugins.binding import MANDATORY_HOOKS

HERE = Path(__file__).parent
DOCS = Path(__file__).parents[3] / "docs"
PUBLISHED = sorted(HERE.glob("data/api-*.txt"))
CONTRACT = (
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
)


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """The names of ``docs/reference.py``."""
    return runpy.run_path(str(DOCS / "reference.py"))


def lines(reference: dict[str, Any]) -> Iterator[str]:
    """The contract, one line for each thing that a plugin may rely on."""
    for name in CONTRACT:
        for method, function in vars(getattr(hookspecs, name)).items():
            if callable(function) and not method.startswith("_"):
                text = reference["signature"](method, function)
                yield f"{name}: {' '.join(text.split())}"
    for name in sorted({*model.__all__, *vars(hookspecs)}):
        cls = getattr(hookspecs, name, None) or getattr(model, name, None)
        if isinstance(cls, type) and attrs.has(cls) and "tapeline" in cls.__module__:
            for field in reference["fields"](cls):
                yield f"{name}.{field.name}: {field.type} = {field.default}"


def published(path: Path) -> set[str]:
    """What a file says."""
    return set(path.read_text(encoding="utf-8").splitlines())


def test_the_contract_is_the_published_one_of_its_version(
    reference: dict[str, Any],
) -> None:
    """Before the first release a change is written into the file as it is."""
    path = HERE / "data" / "api-{}.{}.txt".format(*API_VERSION)
    now = set(lines(reference))
    changed = [f"+ {line}" for line in sorted(now - published(path))]
    changed += [f"- {line}" for line in sorted(published(path) - now)]
    assert not changed, (
        f"the contract is not that of {path.name}: raise API_VERSION in hookspecs.py "
        "and write a file for it (see docs/versioning.md):\n" + "\n".join(changed)
    )


def test_a_later_version_has_all_that_an_earlier_one_had() -> None:
    for before, after in itertools.pairwise(PUBLISHED):
        assert published(before) <= published(after), after.name


def test_the_group_of_the_entry_points_has_the_major_in_its_name() -> None:
    assert f"tapeline.plugins.v{API_VERSION[0]}" == ENTRY_POINT_GROUP


def test_no_session_hook_became_mandatory() -> None:
    """A new one has a default, or every plugin written before would be refused."""
    assert MANDATORY_HOOKS == ("connect", "subscribe", "parse", "health")
