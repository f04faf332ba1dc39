"""A recording replays to the very events that were live, field by field."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import DataType, Subscription, Trade
from tapeline.plugins import PluginRegistry
from tapeline.runtime import Recorder, merge_recordings, use_seams
from tapeline.runtime.replay import Replayer
from tapeline.seams import Seams
from tapeline.testing import (
    Fault,
    InlineExecutor,
    Market,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)

SYMBOLS = ["BTC-USDT", "ETH-USDT"]
TYPES = [DataType.TRADE, DataType.TICKER, DataType.ORDERBOOK]


def as_live(event: Any) -> Any:
    """*event* as if it had come live."""
    return attrs.evolve(event, source="live") if isinstance(event, Trade) else event


def by_stream(events: list[Any]) -> dict[Subscription, list[Any]]:
    """Events per stream, in order."""
    streams: dict[Subscription, list[Any]] = {}
    for event in events:
        streams.setdefault(event.stream, []).append(as_live(event))
    return streams


async def record(exchange: str, depth: str, folder: Path) -> list[Any]:
    """Record for a minute with a disconnect; what consumers got meanwhile."""
    clock = VirtualClock()
    adapter = PluginRegistry().exchange(exchange)
    market = Market(3, rate_hz=10.0, start_ns=clock.wall_ns(), depth=50)
    # Nothing is fetched in a replay, so the live side may not heal either.
    faults = [Fault(kind="duplicate", probability=0.1)]
    simulator = adapter.simulator(market, faults=faults)
    assert isinstance(simulator, SimulatorBase)
    live: list[Any] = []
    async with MemoryVenue(simulator, clock) as venue:
        seams = Seams(
            clock, venue.dialer, venue.http, InlineExecutor(), random.Random(1)
        )
        recorder = Recorder(folder, clock, seams.executor)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.run)
            with use_seams(recorder.seams(seams)):
                manager = CollectorManager()
                collector = ExchangeCollector(
                    exchange, SYMBOLS, TYPES, custom_params={"depth": depth}
                )
                for data_type in TYPES:
                    collector.add_data_callback(data_type, live.append)
                manager.add_collector(collector)
                assert await manager.start()
                await anyio.sleep(60)
                await manager.stop()
            await recorder.aclose()
    return live


@pytest.mark.parametrize(
    ("exchange", "depth"),
    [
        ("okx", "books5"),
        ("okx", "books"),
        ("binance", "depth20@100ms"),
        ("binance", "depth@100ms"),
    ],
)
def test_live_and_replayed_events_are_equal(
    tmp_path: Path, exchange: str, depth: str
) -> None:
    live = run_virtual(record, exchange, depth, tmp_path)

    adapter = PluginRegistry().exchange(exchange)
    replayer = Replayer(adapter, adapter.config(depth=depth))
    replayed: list[Any] = []
    take = replayer.pipeline.process

    def process(items: Any, now_ns: int) -> Any:
        out = take(items, now_ns)
        replayed.extend(out.live)
        return out

    replayer.pipeline.process = process  # type: ignore[method-assign]
    for frame in merge_recordings(sorted(tmp_path.glob("*.jsonl.gz"))):
        replayer.feed(frame)

    expected, found = by_stream(live), by_stream(replayed)
    assert set(found) == set(expected)
    assert len(expected) == 6
    for stream, events in expected.items():
        assert len(events) > 50
        assert found[stream][: len(events)] == events, stream
        assert len(found[stream]) - len(events) <= 1
