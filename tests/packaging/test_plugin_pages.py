"""Each plugin of this repository has a page with its options, limits and refusals."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from tapeline.config import describe_options
from tapeline.plugins import PluginRegistry

ROOT = Path(__file__).parents[2]
GROUP = "tapeline.plugins.v1"
MINIMUM_WORDS = 15


def plugins() -> dict[str, Path]:
    """Name of each plugin in the repository → its folder."""
    found = {}
    for pattern in ("plugins/*/pyproject.toml", "sinks/*/pyproject.toml"):
        for path in sorted(ROOT.glob(pattern)):
            project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
            for name in project.get("entry-points", {}).get(GROUP, ()):
                found[name] = path.parent
    return found


@pytest.fixture(params=sorted(plugins()))
def name(request: pytest.FixtureRequest) -> str:
    """Each plugin."""
    found: str = request.param
    return found


@pytest.fixture
def page(name: str) -> str:
    """Its page."""
    kind = plugins()[name].parent.name
    return (ROOT / "docs" / kind / f"{name}.md").read_text(encoding="utf-8")


def offers(name: str) -> list[Any]:
    """Everything that the plugin offers."""
    record = PluginRegistry({}).load(name)
    return [*record.exchanges, *record.sinks, *record.services]


def section(page: str, heading: str) -> str:
    """What stands below *heading*."""
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_every_page_names_its_distribution_and_what_it_offers(
    name: str, page: str
) -> None:
    assert f"`tapeline-{name}`" in page
    for offer in offers(name):
        assert f"`{offer.name}`" in page


def test_every_option_of_everything_it_offers_is_there_with_its_default(
    name: str, page: str
) -> None:
    assert offers(name)
    for offer in offers(name):
        config = offer.config
        assert attrs.has(config)
        package = config.__module__.partition(".")[0]
        mark = f"<!-- generated: options {package}:{config.__name__} -->"
        shown = page.partition(mark)[2].partition("<!-- end -->")[0]
        for key in describe_options(config, "options"):
            assert f"| `{key.key}` |" in shown, f"{offer.name}: {key.key}"
            assert key.default in ("", "required") or f"`{key.default}`" in shown


@pytest.mark.parametrize("heading", ["Limits", "Not supported"])
def test_every_page_says_what_it_does_not_do(page: str, heading: str) -> None:
    assert len(section(page, heading).split()) >= MINIMUM_WORDS


def test_every_page_is_linked_from_the_navigation(name: str) -> None:
    kind = plugins()[name].parent.name
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert f"- {kind}/{name}.md\n" in text


def test_each_member_is_run_alone_with_core() -> None:
    """``nox -s each`` and ``nox -s wheels`` go by these lists."""
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    listed = text.partition("NEEDS = {")[2].partition("}")[0]
    members = text.partition("MEMBERS = [")[2].partition("]")[0]
    folders = [
        path.parent
        for pattern in ("plugins/*/pyproject.toml", "sinks/*/pyproject.toml")
        for path in ROOT.glob(pattern)
    ]
    for folder in folders:
        where = folder.relative_to(ROOT).as_posix()
        assert f'"{where}"' in listed or (where == "sinks/sql" and "SQL:" in listed)
        assert f'"{where}"' in members or (where == "sinks/sql" and "SQL," in members)
        assert (ROOT / "tests" / where).is_dir()
