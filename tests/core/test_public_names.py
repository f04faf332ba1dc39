"""The public face is sorted, complete and importable."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import pkgutil
from pathlib import Path

import pytest

import tapeline
from tapeline.plugins.names import PROMISED_NAMES

PROMISED = {
    "BaseDataCollector",
    "CollectorConfig",
    "CollectorManager",
    "CollectorStatus",
    "DataType",
    "DataValidationError",
    "DatabaseOperationError",
    "ExchangeCollectorConfig",
    "ExchangeFactory",
    "MarketDataPoint",
    "OHLCVData",
    "RateLimiter",
    "create_collector",
    "get_exchange_info",
    "get_logger",
    "get_supported_exchanges",
    "refresh_instruments",
}

PACKAGES = sorted(
    module.name
    for module in pkgutil.iter_modules(tapeline.__path__, "tapeline.")
    if module.ispkg
)


def test_what_users_were_promised_is_there() -> None:
    assert set(tapeline.__all__) >= PROMISED


@pytest.mark.parametrize("name", tapeline.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(tapeline, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        tapeline.nope  # noqa: B018 - the access is the test


@pytest.mark.parametrize("name", ["tapeline", *PACKAGES])
def test_all_is_sorted_and_true(name: str) -> None:
    module = importlib.import_module(name)
    names = list(getattr(module, "__all__", ()))

    # As ruff sorts them: constants, classes, then the rest.
    def key(word: str) -> tuple[int, str]:
        kind = 0 if word.isupper() else 1 if word[0].isupper() else 2
        return kind, word

    assert names == sorted(names, key=key)
    assert all(hasattr(module, word) for word in names)


SOURCES = Path(tapeline.__file__).parent
SEAMS = {"clock.py", "seams.py"}


def calls(path: Path) -> list[str]:
    """Dotted names of everything that *path* calls."""
    tree = ast.parse(path.read_text())
    return [
        ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)
    ]


@pytest.mark.parametrize(
    "path",
    sorted(SOURCES.rglob("*.py")),
    ids=lambda path: str(path.relative_to(SOURCES)),
)
def test_core_reads_clocks_and_chance_only_at_the_seams(path: Path) -> None:
    if path.name in SEAMS:
        return
    allowed = {"random.Random"}
    forbidden = [
        name
        for name in calls(path)
        if name.split(".")[0] in ("time", "random") and name not in allowed
    ]

    assert forbidden == []
    assert "asyncio.sleep" not in calls(path)


@pytest.mark.parametrize("name", sorted(PROMISED_NAMES))
def test_a_name_of_another_distribution_is_there_or_says_what_to_install(
    name: str,
) -> None:
    offered = importlib.metadata.entry_points(group="tapeline.names.v1")
    if name in {each.name for each in offered}:
        assert getattr(tapeline, name).__name__ == name
    else:
        with pytest.raises(ImportError, match=f"pip install {PROMISED_NAMES[name]}"):
            getattr(tapeline, name)


def test_an_absent_distribution_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda **_: importlib.metadata.EntryPoints()
    )
    with pytest.raises(ImportError, match="run 'pip install tapeline-sql'"):
        tapeline.MarketDataRepository  # noqa: B018 - the access is the test
