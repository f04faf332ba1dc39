"""OKX against every rule for exchanges, with no waiver and nothing left unshown."""

from __future__ import annotations

import pytest

from tapeline.testing import ExchangeConformance, ExchangeUnderTest
from tapeline_okx.conformance import exchange_under_test


class TestOkx(ExchangeConformance):
    """All cases."""

    complete = True

    @pytest.fixture
    def under_test(self) -> ExchangeUnderTest:
        """Recorded frames, the simulator, the installed plugin."""
        return exchange_under_test()
