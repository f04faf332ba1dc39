"""``docs/simulator.md`` against the simulator kit."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import attrs
import msgspec

from tapeline.testing import Fault, LedgerFill, load_faults, read_ledger
from tapeline.testing.faults import KINDS

Sections = Callable[[str, int], dict[str, str]]
Rows = Callable[[str], list[list[str]]]
_TYPES = {"str": "text", "int": "integer", "float": "number", "float | None": "number"}


def test_every_kind_of_fault_is_documented_with_its_class(
    sections: Sections, rows: Rows
) -> None:
    documented = {
        row[0].strip("`"): row[1] for row in rows(sections("simulator.md", 3)["Kinds"])
    }
    assert documented == dict(KINDS)


def test_every_key_of_a_fault_is_documented_with_type_and_default(
    sections: Sections, rows: Rows
) -> None:
    documented = [
        (row[0].strip("`"), row[1], row[2].strip("`"))
        for row in rows(sections("simulator.md", 3)["Keys of a fault"])
    ]
    expected = []
    for field in attrs.fields(Fault):
        default = "" if field.default is None else str(field.default)
        if field.default is attrs.NOTHING:
            default = "required"
        elif isinstance(field.default, str):
            default = f'"{field.default}"'
        expected.append((field.name, _TYPES[str(field.type)], default))
    assert documented == expected


def test_the_fault_script_of_the_page_is_one(docs: Path) -> None:
    kinds = [fault.kind for fault in load_faults(docs / "examples" / "faults.toml")]
    assert kinds == ["abort", "drop", "rest-status"]


def test_the_ledger_of_the_page_is_one(
    docs: Path, sections: Sections, rows: Rows
) -> None:
    fills = list(read_ledger(docs / "examples" / "ledger.jsonl"))
    assert len(fills) == 2
    documented = [
        name.strip(" `")
        for row in rows(sections("simulator.md", 2)["Ledger"])
        for name in row[0].split(",")
    ]
    assert documented == [field.name for field in msgspec.structs.fields(LedgerFill)]


def test_the_example_of_virtual_time_waits_an_hour_at_once(docs: Path) -> None:
    names = runpy.run_path(str(docs / "examples" / "virtual_time.py"))
    assert names["run_virtual"](names["main"]) == 3_600
