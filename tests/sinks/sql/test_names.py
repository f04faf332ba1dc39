"""The repositories import from ``tapeline`` itself."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import tapeline
import tapeline_sql
from tapeline.plugins.names import NAMES_GROUP, PROMISED_NAMES, promised


@pytest.mark.parametrize("name", sorted(PROMISED_NAMES))
def test_every_promised_name_is_the_one_of_this_distribution(name: str) -> None:
    """By an entry point: core imports nothing of it by name."""
    assert getattr(tapeline, name) is getattr(tapeline_sql, name)
    assert promised(name) is getattr(tapeline_sql, name)


def test_no_other_name_is_given_out() -> None:
    """What core does not promise cannot be slipped in."""
    points = importlib.metadata.entry_points(group=NAMES_GROUP)
    assert {point.name for point in points} == set(PROMISED_NAMES)


def test_importing_tapeline_imports_no_database() -> None:
    """Only who asks for a repository pays for it."""
    code = (
        "import sys, tapeline; assert 'sqlalchemy' not in sys.modules; "
        "from tapeline import MarketDataRepository, RawTradeRepository; "
        "from tapeline import DatabaseOperationError; "
        "assert 'sqlalchemy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
