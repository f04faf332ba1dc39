"""A hundred symbols of Binance at once: within every limit, and every book right."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import DataType
from tapeline.plugins import PluginRegistry
from tapeline.runtime import use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    Fault,
    InlineExecutor,
    Market,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
    spot,
)

SYMBOLS = [f"C{number:03d}-USDT" for number in range(100)]
TYPES = [DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER]


def states(status: dict[str, Any]) -> Counter[str]:
    """How many streams are in each state."""
    (feed,) = status["feeds"].values()
    return Counter(one["state"] for one in feed["subscriptions"])


def check_all_flow(states: Counter[str]) -> None:
    """All 300 streams; of trades now and then one pauses, and is found quiet."""
    assert states["live"] >= 297
    assert states["live"] + states["quiet"] + states["suspect"] == 300, states


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="drop", channel="depth@100ms", at_s=90.0, for_s=2.0),
        Fault(kind="abort", at_s=90.0),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_cold_start_and_all_books_broken_at_once_violate_nothing(
    fault: Fault,
) -> None:
    async def main() -> None:
        clock = VirtualClock()
        instruments = [spot(one, "0.01", "0.001", "100") for one in SYMBOLS]
        market = Market(
            1, instruments, rate_hz=3.0, start_ns=clock.wall_ns(), depth=100
        )
        adapter = PluginRegistry().exchange("binance")
        simulator = adapter.simulator(market, faults=[fault])
        assert isinstance(simulator, SimulatorBase)
        async with MemoryVenue(simulator, clock) as venue:
            seams = Seams(
                clock, venue.dialer, venue.http, InlineExecutor(), random.Random(1)
            )
            with use_seams(seams):
                manager = CollectorManager()
                collector = ExchangeCollector(
                    "binance", SYMBOLS, TYPES, custom_params={"depth": "depth@100ms"}
                )
                manager.add_collector(collector)
                assert await manager.start()
                for wait_s in (85.0, 120.0):
                    await anyio.sleep(wait_s)
                    status = manager.get_status()["engine"]
                    check_all_flow(states(status))
                    books = status["books"].values()
                    assert len(books) == 100
                    assert all(book["valid"] for book in books)
                (feed,) = status["feeds"].values()
                shares = {one["name"]: one for one in feed["budgets"]}
                assert {"weight", "connects"} <= set(shares)
                top = collector.order_book(SYMBOLS[7], 5)
                assert top is not None
                assert len(top.bids) == len(top.asks) == 5
                assert Decimal(top.bids[0][0]) < Decimal(top.asks[0][0])
                whole = collector.order_book(SYMBOLS[7])
                assert whole is not None
                assert len(whole.bids) > 5
                assert collector.order_book("NOPE-USDT") is None
                await manager.stop()
        assert simulator.police.violations == {}

    run_virtual(main, seed=1)
