"""The pages, and the script that writes the generated parts of them."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)

Sections = Callable[[str, int], dict[str, str]]
Rows = Callable[[str], list[list[str]]]


@pytest.fixture(scope="session")
def docs() -> Path:
    """The folder of the pages."""
    return DOCS


@pytest.fixture(scope="session")
def generator() -> dict[str, Any]:
    """The names of ``docs/generate.py``."""
    return runpy.run_path(str(DOCS / "generate.py"))


@pytest.fixture(scope="session")
def sections() -> Sections:
    """``sections(page, level)``: heading of that level → text up to the next one."""

    def split(page: str, level: int) -> dict[str, str]:
        text = CODE.sub("", (DOCS / page).read_text(encoding="utf-8"))
        found: dict[str, str] = {}
        heading = None
        for line in text.splitlines():
            marks, _, title = line.partition(" ")
            if title and marks and set(marks) == {"#"} and len(marks) <= level:
                heading = title if len(marks) == level else None
                if heading is not None:
                    assert heading not in found, f"{page}: {heading} stands there twice"
                    found[heading] = ""
            elif heading is not None:
                found[heading] += line + "\n"
        return found

    return split


@pytest.fixture(scope="session")
def rows() -> Rows:
    """``rows(text)``: the cells of all table rows in *text*, heads left out."""

    def parse(text: str) -> list[list[str]]:
        lines = [line for line in text.splitlines() if line.startswith("|")]
        cells = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in lines
        ]
        rules = {at for at, row in enumerate(cells) if set("".join(row)) <= {"-"}}
        heads = {at - 1 for at in rules}
        return [row for at, row in enumerate(cells) if at not in rules | heads]

    return parse
