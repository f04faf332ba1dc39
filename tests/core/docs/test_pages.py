"""What holds for every page."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
READMES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("core/README.md")),
    *sorted(ROOT.glob("*/*/README.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

every_page = pytest.mark.parametrize(
    "page", [*PAGES, *READMES], ids=lambda page: str(page.relative_to(ROOT))
)


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """The fenced blocks of *page* in one of *languages*."""
    for language, body in FENCE.findall(page.read_text(encoding="utf-8")):
        if language in languages:
            yield body


def anchors(page: Path) -> set[str]:
    """What headings of *page* are linked by."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name
)
def test_the_generated_parts_are_as_the_code_is(
    page: Path, generator: dict[str, Any]
) -> None:
    """A failure here is repaired by ``python docs/generate.py``."""
    text = page.read_text(encoding="utf-8")
    assert generator["rewritten"](text) == text


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} does not exist"
        if anchor:
            assert anchor in anchors(target), f"{link} has no such heading"


@every_page
def test_every_example_can_be_read_in_its_language(page: Path) -> None:
    for body in blocks(page, "toml"):
        tomllib.loads(body)
    for body in blocks(page, "json"):
        for line in body.splitlines():
            json.loads(line)
    for body in blocks(page, "python"):
        compile(body, str(page), "exec")


@every_page
def test_every_command_line_uses_what_exists(
    page: Path, generator: dict[str, Any]
) -> None:
    commands = generator["commands"]()
    for line in "".join(blocks(page, "console", "")).splitlines():
        words = shlex.split(line)
        if "tapeline" not in words:
            continue
        name, *rest = words[words.index("tapeline") + 1 :]
        if name == "--help":
            continue
        assert name in commands, line
        known = {
            spelling
            for parameter in generator["parameters"](commands[name])
            for spelling in parameter.spellings
        }
        given = {word for word in rest if word.startswith("--")}
        assert given <= known | {"--debug", "--help"}, line


@every_page
def test_no_page_names_a_folder_of_somebody_s_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(home|root|work|tmp|opt|Users)/", text)


@pytest.mark.parametrize(
    "example",
    sorted((ROOT / "docs" / "examples").iterdir()),
    ids=lambda example: example.name,
)
def test_every_example_file_is_shown_on_a_page(example: Path) -> None:
    if example.is_dir():
        pytest.skip("no example")
    shown = f"<!-- generated: example {example.name} -->"
    assert any(shown in page.read_text(encoding="utf-8") for page in PAGES)


def test_every_page_is_linked_from_another_one() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in [*PAGES, ROOT / "README.md"]
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link
    }
    assert set(PAGES) <= linked


def test_every_page_is_in_the_navigation_and_the_navigation_has_no_other() -> None:
    lines = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", lines, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert {ROOT / "docs" / name for name in listed} == set(PAGES)
