"""Deliberately broken distributions: each caught by the case that names its fault."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from tapeline.testing import ExchangeUnderTest, MiniAdapter
from tapeline.testing.conformance import PACKAGING_CASES, Outcome, run_case

PLUGIN = """
from tapeline.hookspecs import PluginInfo, hookimpl
from tapeline.testing import MiniAdapter

{above}

@hookimpl
def tapeline_plugin_info():
    return PluginInfo({name!r}, {api}, "made for a test")

@hookimpl
def tapeline_exchanges():
    return [MiniAdapter()]
"""

README = """# Mini

## Limits

It serves one spot market, keeps nothing, and reaches back for one day of fills only.
"""


@attrs.frozen
class Described:
    """Options with a description each."""

    book: str = attrs.field(default="book", metadata={"description": "channel"})


class DescribedAdapter(MiniAdapter):
    """As ``MiniAdapter``, with options that say what they are."""

    config = Described  # type: ignore[assignment]


Install = Callable[..., ExchangeUnderTest]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a plugin called ``mini`` that may have one fault."""

    def make(
        *,
        group: str = "tapeline.plugins.v1",
        requires: str = "tapeline>=0.1,<0.2",
        typed: bool = True,
        above: str = "",
        api: object = (1, 0),
        readme: str = README,
        info: str = "mini",
        adapter: type[MiniAdapter] = DescribedAdapter,
    ) -> ExchangeUnderTest:
        package = tmp_path / "mini_feeds"
        package.mkdir()
        (package / "__init__.py").write_text("")
        text = PLUGIN.format(above=above, name=info, api=api)
        (package / "plugin.py").write_text(text)
        if typed:
            (package / "py.typed").write_text("")
        told = tmp_path / "mini_feeds-1.0.dist-info"
        told.mkdir()
        head = "Metadata-Version: 2.1\nName: mini-feeds\nVersion: 1.0\n"
        need = f"Requires-Dist: {requires}\n" if requires else ""
        (told / "METADATA").write_text(f"{head}{need}\n{readme}")
        (told / "entry_points.txt").write_text(f"[{group}]\nmini = mini_feeds.plugin\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        importlib.invalidate_caches()
        return ExchangeUnderTest(adapter(), (), plugin="mini")

    yield make
    for name in [
        name for name in sys.modules if name.partition(".")[0] == "mini_feeds"
    ]:
        del sys.modules[name]


def failures(subject: ExchangeUnderTest) -> list[str]:
    """Ids of the packaging cases that do not pass."""
    results = [run_case(case, subject, (1, 0)) for case in PACKAGING_CASES]
    return [each.case.id for each in results if each.outcome is not Outcome.PASSED]


def test_a_distribution_as_it_should_be_passes(install: Install) -> None:
    assert failures(install()) == []


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ("PK-ENTRY-001", {"group": "tapeline.plugins.v2"}),
        ("PK-ENTRY-001", {"info": "maxi"}),
        ("PK-API-001", {"api": (1, 99)}),
        ("PK-BOUNDS-001", {"requires": "tapeline>=0.1"}),
        ("PK-BOUNDS-001", {"requires": "tapeline<0.2"}),
        ("PK-BOUNDS-001", {"requires": ""}),
        ("PK-TYPED-001", {"typed": False}),
        ("PK-IMPORT-001", {"above": "import socket; socket.socket().close()"}),
        ("PK-IMPORT-001", {"above": "import os; open(os.devnull, 'w').close()"}),
        ("PK-DOCS-001", {"readme": "# Mini\n\nNo limits.\n"}),
        ("PK-DOCS-001", {"readme": "# Mini\n\n## Limits\n\nNone.\n"}),
    ],
    ids=str,
)
def test_a_broken_distribution_is_caught(
    install: Install, case: str, fault: dict[str, object]
) -> None:
    found = failures(install(**fault))

    assert case in found
    # A plugin that core does not load can show nothing else.
    unloaded = {"group", "info", "api"} & fault.keys()
    assert unloaded or found == [case]


def test_options_that_do_not_say_what_they_are_are_found(install: Install) -> None:
    assert failures(install(adapter=MiniAdapter)) == ["PK-CONFIG-001"]


def test_options_that_can_be_changed_are_found(install: Install) -> None:
    @attrs.define
    class Changing:
        """Not frozen."""

    class ChangingAdapter(MiniAdapter):
        """Shares options that anyone may change."""

        config = Changing  # type: ignore[assignment]

    assert failures(install(adapter=ChangingAdapter)) == ["PK-CONFIG-001"]
