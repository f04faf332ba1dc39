"""The callbacks sink against every rule, with no waiver, and its certificate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tapeline.cli import app
from tapeline.testing import SinkConformance, SinkUnderTest
from tapeline_callbacks.conformance import sink_under_test


class TestCallbacks(SinkConformance):
    """All cases."""

    complete = True

    @pytest.fixture
    def under_test(self, tmp_path: Path) -> Iterator[SinkUnderTest]:
        """A function that remembers."""
        with sink_under_test(tmp_path) as subject:
            yield subject


def test_its_certificate_says_gold() -> None:
    result = CliRunner().invoke(app, ["certify", "callbacks", "--json"])

    told = json.loads(result.stdout)
    stands = [
        c for c in told["cases"] if c["outcome"] not in ("passed", "not applicable")
    ]
    assert (result.exit_code, stands, told["tier"]) == (0, [], "gold")
    assert told["plugin"] == "callbacks"
    assert {c["subject"] for c in told["cases"]} == {"callbacks"}
