"""The PostgreSQL sink against every rule, with no waiver and nothing left unshown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("asyncpg")

from tapeline.testing import SinkConformance, SinkUnderTest


class TestPostgres(SinkConformance):
    """All cases."""

    complete = True

    @pytest.fixture
    def under_test(self, postgres_server: Any) -> Iterator[SinkUnderTest]:
        """A database of its own for each case, on a real server."""
        from tapeline_postgres.conformance import on_server

        with on_server(postgres_server) as subject:
            yield subject
