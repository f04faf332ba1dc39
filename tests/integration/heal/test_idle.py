"""An idle market: nothing comes for hours, and nothing is wrong with that."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import anyio
import attrs
import pytest

from tapeline.collectors import CollectorManager
from tapeline.testing import DEFAULT_INSTRUMENTS, MemoryVenue

Tell = Callable[..., Any]

STREAMS = 50
DAY_S = 86_400.0
SLOWEST_S = 300.0
"""Longest pause between two probes of one stream."""


@pytest.mark.parametrize("venue", ["okx", "binance"], indirect=True)
def test_an_idle_market_of_fifty_streams_is_left_alone(
    tell: Tell, venue: Any, request: pytest.FixtureRequest
) -> None:
    days = request.config.getoption("--idle-days")
    pattern = DEFAULT_INSTRUMENTS[0]
    symbols = [f"C{number:02d}-USDT" for number in range(STREAMS)]
    instruments = [
        attrs.evolve(
            pattern,
            symbol=symbol,
            base=symbol.partition("-")[0],
            start_price=Decimal(100),
        )
        for symbol in symbols
    ]
    seen: list[dict[str, Any]] = []

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(days * DAY_S)
        seen.append(manager.get_status()["engine"])

    # A trade every twelve hours is what such a market has.
    told = tell(
        act,
        symbols=symbols,
        instruments=instruments,
        rate_hz=1 / 43_200,
        timeframes=(),
    )

    (engine,) = seen
    (care,) = engine["care"].values()
    watch = care["watch"]
    states = [one["state"] for one in told.link["subscriptions"]]
    rotations = sum(one["counters"]["rotations"] for one in told.link["sockets"])
    assert len(states) == STREAMS
    # One that traded just now, or is being asked about, may say so.
    assert set(states) <= {"quiet", "live", "suspect"}
    assert states.count("quiet") >= STREAMS - 2
    assert told.link["reconnects"] == rotations <= days / 0.9
    assert (watch["stalled"], watch["resubscribed"], watch["dropped"]) == (0, 0, 0)
    assert watch["unanswered"] == 0
    assert set(care["parts"].values()) == {"running"}
    assert told.gaps == []
    assert told.accounts.ok
    assert told.simulator.police.total == 0, told.simulator.police.violations
    # A probe every five minutes, and a few after each of two trades a day.
    allowed = STREAMS * (days * DAY_S / SLOWEST_S + 12 + 2 * days * 8)
    assert 0 < watch["probes"] <= allowed
    # Nothing is written while nothing changes: a few commits for each trade.
    stored = sum(1 for _ in told.trades)
    assert engine["journal"]["commits"] <= 30 + 8 * stored
    # A fraction of what the venue allows: the hours would allow a thousandfold.
    for budget in told.link["budgets"]:
        assert budget["share"] <= 0.1, budget
