"""What the installed plugins of this house reach, as ``tapeline certify`` tells it."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.mark.parametrize(
    "name", ["okx", "binance", "sqlite", "postgres", "redis", "callbacks"]
)
def test_every_first_party_plugin_reaches_gold_with_no_waiver(
    tapeline: Any, name: str
) -> None:
    done = tapeline("certify", name, "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    certificate = json.loads(done.stdout)
    assert (certificate["plugin"], certificate["tier"]) == (name, "gold")
    outcomes = {case["outcome"] for case in certificate["cases"]}
    assert outcomes <= {"passed", "not applicable"}


def test_a_plugin_that_offers_nothing_to_test_is_told_what_to_write(
    tapeline: Any,
) -> None:
    done = tapeline("certify", "http")

    assert done.returncode == 2
    assert "tapeline_http.conformance" in done.stderr
