"""An acknowledgment proves nothing: a stream that never spoke is asked about soon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager
from tapeline.testing import Fault, MemoryVenue


@pytest.mark.parametrize("venue", ["okx"], indirect=True)
def test_a_stream_that_is_silent_from_its_ack_on_is_repaired_within_seconds(
    tell: Callable[..., Any],
) -> None:
    """Nothing is known of its usual pace then, so only a deadline can tell."""
    never = Fault(kind="ack-and-mute", symbol="ETH-USDT", at_s=0.0, for_s=15.0)
    found: list[int] = []

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(45.0)
        (care,) = manager.get_status()["engine"]["care"].values()
        found.append(care["watch"]["resubscribed"] + care["watch"]["dropped"])
        (link,) = manager.get_status()["engine"]["feeds"].values()
        states = {one["symbol"]: one["state"] for one in link["subscriptions"]}
        assert states == {"BTC-USDT": "live", "ETH-USDT": "live"}

    tell(act, faults=[never])

    assert found[0] >= 1
