"""``docs/library.md`` and ``docs/concepts.md`` against the library."""

from __future__ import annotations

import importlib
import inspect
import re
import runpy
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

import tapeline
from tapeline import BaseDataCollector, CollectorManager, ExchangeCollectorConfig
from tapeline import model as vocabulary
from tapeline.integrity import continuity, missing
from tapeline.journal import losses
from tapeline.plugins.names import PROMISED_NAMES
from tapeline.transport import endings

Sections = Callable[[str, int], dict[str, str]]
Rows = Callable[[str], list[list[str]]]


def names(cells: Iterable[str]) -> list[str]:
    """The words of *cells*; one cell may hold several."""
    return [name.strip(" `") for cell in cells for name in cell.split(",")]


def flat(document: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The keys of *document*, nested ones with dots."""
    found: list[str] = []
    for key, value in document.items():
        if isinstance(value, dict):
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append(prefix + key)
    return found


@pytest.fixture
def collector(docs: Path) -> BaseDataCollector:
    """The collector of the page's example."""
    example = runpy.run_path(str(docs / "examples" / "own_collector.py"))
    made: BaseDataCollector = example["DiceCollector"]("dice", ["BTC-USDT"])
    return made


def test_every_new_path_of_the_migration_table_exists(
    sections: Sections, rows: Rows
) -> None:
    text = sections("migration.md", 2)["From older module paths"]
    for _, path in rows(text.partition("What behaves")[0]):
        module, _, name = path.strip("`").rpartition(".")
        if module == "tapeline":
            if name in PROMISED_NAMES:
                # Another distribution has it; its own tests import it.
                continue
            assert name in tapeline.__all__
            assert hasattr(importlib.import_module(module), name)


def test_the_migration_table_covers_every_old_module(
    sections: Sections, rows: Rows
) -> None:
    text = sections("migration.md", 2)["From older module paths"]
    old = " ".join(row[0] for row in rows(text))
    for module in (
        "data.exchanges",
        "data.base_collector",
        "data.collector_manager",
        "utils.logger",
        "database.operations",
    ):
        assert module in old


def test_every_status_key_is_documented(
    sections: Sections, rows: Rows, collector: BaseDataCollector
) -> None:
    status, health = sections("library.md", 2)["Status"].split(
        "`collector.get_health_status()`"
    )
    documented = names(row[0] for row in rows(status))
    assert sorted(documented) == sorted(flat(collector.get_status()))
    documented = names(row[0] for row in rows(health))
    assert sorted(documented) == sorted(collector.get_health_status())


def test_every_status_value_is_documented(sections: Sections) -> None:
    expected = ", ".join(f"`{each.value}`" for each in vocabulary.CollectorStatus)
    assert expected in sections("library.md", 2)["Status"]


def test_every_key_of_the_manager_s_status_is_named(sections: Sections) -> None:
    last = sections("library.md", 2)["Status"].rpartition("`manager.get_status()`")[2]
    for key in CollectorManager().get_status():
        assert f"`{key}`" in last


def test_every_method_that_a_subclass_implements_is_documented(
    sections: Sections, rows: Rows
) -> None:
    text = sections("library.md", 2)["A collector of your own"]
    documented = {}
    for row in rows(text):
        name, _, arguments = row[0].strip("`").removeprefix("async ").partition("(")
        documented[name] = arguments.rstrip(")")
    expected = {}
    for name in BaseDataCollector.__abstractmethods__:
        parameters = inspect.signature(getattr(BaseDataCollector, name)).parameters
        expected[name] = ", ".join(each for each in parameters if each != "self")
    assert documented == expected


def test_the_manager_s_calls_exist(sections: Sections, rows: Rows) -> None:
    for row in rows(sections("library.md", 2)["A manager"]):
        for call in names([row[0]]):
            name = call.removeprefix("await ").partition("(")[0]
            assert callable(getattr(CollectorManager, name)), call


def test_the_factory_s_calls_exist(sections: Sections, rows: Rows) -> None:
    text = sections("library.md", 2)["Collectors of installed exchanges"]
    calls = [row[0].strip("`") for row in rows(text) if "(" in row[0]]
    assert len(calls) == 8
    for call in calls:
        found: Any = tapeline
        for name in call.removeprefix("await ").partition("(")[0].split("."):
            found = getattr(found, name)
        assert callable(found)


def test_the_fields_of_a_collector_s_configuration_are_named(
    sections: Sections,
) -> None:
    text = sections("library.md", 2)["Collectors of installed exchanges"]
    expected = ", ".join(field.name for field in attrs.fields(ExchangeCollectorConfig))
    assert f"ExchangeCollectorConfig({expected})" in " ".join(text.split())


@pytest.mark.anyio
async def test_the_collector_of_one_s_own_gives_rising_prices(docs: Path) -> None:
    example = runpy.run_path(str(docs / "examples" / "own_collector.py"))
    prices = await example["main"](0.35)
    assert prices[0] == Decimal(100)
    assert prices == sorted(prices)


def test_continuity_classes_gap_states_and_candle_states_are_those_of_the_model(
    sections: Sections, rows: Rows
) -> None:
    concepts = sections("concepts.md", 2)

    def first_cells(text: str) -> list[str]:
        return [row[0].strip("`") for row in rows(text)]

    assert first_cells(concepts["Continuity classes"]) == [
        each.value for each in vocabulary.Continuity
    ]
    states, _ = concepts["Gap"].split("Causes:")
    assert first_cells(states) == [
        vocabulary.OPEN,
        vocabulary.BACKFILLING,
        vocabulary.CLOSED,
        vocabulary.UNRECOVERABLE,
    ]
    assert first_cells(concepts["Candles"]) == [
        vocabulary.COMPLETE,
        vocabulary.GAP,
        vocabulary.REPAIRED,
        vocabulary.PARTIAL,
    ]
    assert " ".join(vocabulary.TIMEFRAMES) in concepts["Candles"]


def test_every_gap_cause_that_the_code_writes_is_documented(
    sections: Sections, rows: Rows
) -> None:
    causes = sections("concepts.md", 2)["Gap"].split("Causes:")[1]
    documented = {row[0].strip("`") for row in rows(causes)}
    described = (inspect.getdoc(vocabulary.Gap) or "").partition("cause:")[2]
    written = set(re.findall(r"``([a-z-]+)``", described.partition("state:")[0]))
    written |= {losses.QUOTA, losses.RESTORED, losses.LATE_SINK, losses.DAMAGE}
    written |= {endings.DISCONNECT, endings.STALL, endings.ROTATION, endings.DOWNTIME}
    written |= {continuity.ID_RESET, continuity.QUARANTINE, missing.ID_HOLE}
    assert written == documented


def test_the_glossary_is_in_order_and_says_each_word_once(docs: Path) -> None:
    text = (docs / "glossary.md").read_text(encoding="utf-8")
    words = [
        line[2:].partition("**")[0]
        for line in text.splitlines()
        if line.startswith("**")
    ]
    assert words == sorted(set(words), key=str.lower)
    for word in ("Config", "Settings", "Exchange", "Session", "Sink", "Event"):
        assert word in words
    for word in ("Action", "Channel", "Instrument", "Trade", "Aggressor side"):
        assert word in words
