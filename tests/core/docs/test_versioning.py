"""``docs/versioning.md`` against the numbers in the code."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

from tapeline.deprecation import deprecations
from tapeline.hookspecs import API_VERSION
from tapeline.journal.sqlite import VERSION
from tapeline.plugins import PluginState
from tapeline.plugins.names import NAMES_GROUP

ROOT = Path(__file__).parents[3]

Sections = Callable[[str, int], dict[str, str]]
Rows = Callable[[str], list[list[str]]]


def test_the_numbers_are_those_of_the_code(docs: Path, rows: Rows) -> None:
    lead = (docs / "versioning.md").read_text(encoding="utf-8").partition("\n## ")[0]
    core = tomllib.loads((ROOT / "core/pyproject.toml").read_text(encoding="utf-8"))
    # Read as text: without the SQL sinks it cannot be imported.
    tables = ROOT / "sinks/sql/src/tapeline_sql/tables.py"
    schema = re.search(r"^SCHEMA_VERSION = (\d+)$", tables.read_text(), re.MULTILINE)
    assert schema is not None
    assert [row[1] for row in rows(lead)] == [
        core["project"]["version"],
        "{}.{}".format(*API_VERSION),
        schema[1],
        str(VERSION),
        NAMES_GROUP.rpartition(".v")[2],
    ]


def test_what_is_deprecated_is_listed(sections: Sections, rows: Rows) -> None:
    text = sections("versioning.md", 2)["Deprecation"]
    documented = [[cell.strip("`") for cell in row] for row in rows(text)]
    ours = [
        [each.name, each.since, each.removal, each.instead]
        for each in deprecations()
        # Those of the tests themselves are about nothing that there is.
        if each.name.startswith(("tapeline", "["))
    ]
    assert documented == ours


def test_the_states_of_the_handshake_are_states(sections: Sections, rows: Rows) -> None:
    shown = rows(sections("versioning.md", 2)["The plugin API"])
    named = {re.findall(r"`([\w-]+)`", row[1])[-1] for row in shown}
    assert named == {"incompatible", "invalid", "active"}
    assert named <= {state.value for state in PluginState}
