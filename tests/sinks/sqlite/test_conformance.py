"""The SQLite sink against every rule, with no waiver and nothing left unshown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeline.testing import SinkConformance, SinkUnderTest
from tapeline_sqlite.conformance import sink_under_test


class TestSqlite(SinkConformance):
    """All cases."""

    complete = True

    @pytest.fixture
    def under_test(self, tmp_path: Path) -> Iterator[SinkUnderTest]:
        """Files in a folder of the test."""
        with sink_under_test(tmp_path) as subject:
            yield subject
