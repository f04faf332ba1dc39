"""Order books that break on the virtual clock: noticed, recorded, repaired."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import BookDelta, BookSnapshot, DataType
from tapeline.plugins import PluginRegistry
from tapeline.runtime import Engine, EngineSettings, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    Fault,
    InlineExecutor,
    Market,
    MemoryVenue,
    SimConnection,
    VirtualClock,
    run_virtual,
    spot,
)
from tapeline_okx.simulator import OkxSimulator

SYMBOLS = ("BTC-USDT", "ETH-USDT")
LEVELS = 10


class Withholding(OkxSimulator):
    """OKX on a day on which its books send changes but no snapshots."""

    def __init__(self, market: Market, **options: Any) -> None:
        super().__init__(market, **options)
        self.withholds = False
        self.withheld: list[int] = []

    def push(
        self,
        connection: SimConnection,
        channel: str,
        symbol: str,
        frame: str,
        now_ns: int,
    ) -> None:
        """Push anything but a snapshot of BTC while it withholds them."""
        if self.withholds and symbol == "BTC-USDT" and '"snapshot"' in frame:
            self.withheld.append(now_ns)
            return
        super().push(connection, channel, symbol, frame, now_ns)


class World:
    """A manager that collects books from a simulator, and what came of it."""

    def __init__(self, simulator: Withholding, venue: MemoryVenue) -> None:
        self.simulator = simulator
        self.venue = venue
        self.manager: CollectorManager = CollectorManager()
        self.live: list[BookSnapshot | BookDelta] = []

    def status(self) -> dict[str, Any]:
        """Of the engine."""
        status: dict[str, Any] = self.manager.get_status()["engine"]
        return status

    def books(self) -> dict[str, dict[str, Any]]:
        """Symbol → how its book is."""
        books: dict[str, dict[str, Any]] = self.status()["books"]
        return {name.split(":")[2]: book for name, book in books.items()}

    @property
    def engine(self) -> Engine:
        """What runs it all."""
        engine = self.manager.engine
        assert engine is not None
        return engine

    def states(self) -> Counter[str]:
        """How many streams are in each state."""
        (feed,) = self.status()["feeds"].values()
        return Counter(one["state"] for one in feed["subscriptions"])

    def feed(self) -> dict[str, Any]:
        """Status of the only link."""
        (feed,) = self.status()["feeds"].values()
        return dict(feed)

    def take(self, point: Any) -> None:
        """A consumer of books."""
        self.live.append(point)


Scenario = Callable[[World], Awaitable[None]]


def run(
    folder: Path,
    scenario: Scenario,
    *,
    faults: Sequence[Fault] = (),
    market: Market | None = None,
    types: Sequence[DataType] = (DataType.ORDERBOOK,),
    store: bool = True,
) -> list[dict[str, Any]]:
    """Run *scenario* while books are collected; the rows of table ``gaps``."""
    database = folder / "market.db"

    async def main() -> None:
        clock = VirtualClock()
        traded = market or Market(1, rate_hz=20.0, start_ns=clock.wall_ns(), depth=50)
        simulator = Withholding(traded, faults=faults)
        async with MemoryVenue(simulator, clock) as venue:
            seams = Seams(
                clock, venue.dialer, venue.http, InlineExecutor(), random.Random(1)
            )
            with use_seams(seams):
                world = World(simulator, venue)
                world.manager = CollectorManager(
                    sinks=[{"use": "sqlite", "path": str(database)}] if store else [],
                    settings=EngineSettings(data_dir=folder),
                )
                symbols = [one.symbol for one in traded.instruments]
                collector = ExchangeCollector(
                    "okx",
                    symbols if market else list(SYMBOLS),
                    list(types),
                    custom_params={"depth": "books"},
                    logger=logging.getLogger("test.books"),
                )
                collector.add_data_callback(DataType.ORDERBOOK, world.take)
                world.manager.add_collector(collector)
                assert await world.manager.start()
                await scenario(world)
                await world.manager.stop()
        assert simulator.police.total == 0, simulator.police.violations

    run_virtual(main, seed=1)
    if not store:
        return []
    reader = PluginRegistry().open_reader(str(database))
    try:
        return [dict(row) for row in reader.gaps()]
    finally:
        reader.close()


def book_of(world: World, symbol: str) -> Any:
    """The local book of *symbol*."""
    return next(
        state.book
        for key, state in world.engine.pipeline.streams.items()
        if key.symbol == symbol and state.book is not None
    )


def assert_equal_to_the_venue(world: World, symbol: str) -> None:
    """The local book is what the venue has published."""
    (topic,) = [
        topic
        for (channel, inst_id), topic in world.simulator._topics.items()
        if (channel, inst_id) == ("books", symbol)
    ]
    level = world.simulator.instruments[symbol].level
    bids, asks = book_of(world, symbol).top(LEVELS)
    published: Any = topic
    for found, ticks in (
        (bids, sorted(published._bids.items(), reverse=True)),
        (asks, sorted(published._asks.items())),
    ):
        wanted = [level(tick, *at) for tick, at in ticks[:LEVELS]]
        assert [(Decimal(one[0]), Decimal(one[1])) for one in found] == [
            (Decimal(one[0]), Decimal(one[1])) for one in wanted
        ]


def assert_unbroken(events: Sequence[BookSnapshot | BookDelta]) -> int:
    """What a consumer got joins on; the number of snapshots in it."""
    last: dict[str, int | None] = {}
    snapshots = 0
    for event in events:
        if isinstance(event, BookSnapshot):
            snapshots += 1
        else:
            assert event.link_id == last[event.symbol]
        last[event.symbol] = event.last_id
    return snapshots


def test_a_broken_book_is_repaired_and_its_invalid_time_is_a_gap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        await anyio.sleep(4)
        before = world.books()["BTC-USDT"]
        assert (before["valid"], before["epoch"]) == (True, 1)
        await anyio.sleep(6)
        after = world.books()["BTC-USDT"]
        assert (after["valid"], after["epoch"]) == (True, 2)
        assert (after["resyncs"], after["sequence_breaks"]) == (1, 1)
        assert after["reason"] == ""
        assert 0 <= after["age_s"] < 2
        assert world.books()["ETH-USDT"]["epoch"] == 1
        assert assert_unbroken(world.live) == 3
        for symbol in SYMBOLS:
            assert_equal_to_the_venue(world, symbol)

    drop = Fault(kind="drop", channel="books", symbol="BTC-USDT", at_s=5.0, for_s=0.35)
    gaps = run(tmp_path, scenario, faults=[drop])

    (gap,) = gaps
    assert gap["cause"] == "sequence"
    assert gap["symbol"] == "BTC-USDT"
    assert gap["state"] == "unrecoverable"
    lasted_s = (gap["to_ns"] - gap["from_ns"]) / 1e9
    assert 0.3 < lasted_s < 1.5
    warnings = [one for one in caplog.records if one.name == "tapeline.books"]
    assert [one.levelname for one in warnings] == ["WARNING"]
    assert "expected a change that follows" in warnings[0].getMessage()


def test_a_snapshot_that_does_not_come_is_asked_for_until_it_does(
    tmp_path: Path,
) -> None:
    async def scenario(world: World) -> None:
        await anyio.sleep(4.9)
        world.simulator.withholds = True
        await anyio.sleep(15)
        book = world.books()["BTC-USDT"]
        assert not book["valid"]
        assert "follows" in book["reason"] or book["reason"] == "sequence"
        assert book["asked"] >= 2
        assert len(world.simulator.withheld) >= 2
        # Changes keep coming, and nobody is given one that does not join on.
        newest_ns = {one.symbol: one.received_ns for one in world.live}
        assert newest_ns["ETH-USDT"] - newest_ns["BTC-USDT"] > 13 * 10**9
        world.simulator.withholds = False
        await anyio.sleep(40)
        assert world.books()["BTC-USDT"]["valid"]
        assert world.states() == {"live": 2}
        assert assert_unbroken(world.live) == 3
        assert_equal_to_the_venue(world, "BTC-USDT")

    drop = Fault(kind="drop", channel="books", symbol="BTC-USDT", at_s=5.0, for_s=0.35)
    gaps = run(tmp_path, scenario, faults=[drop])

    (gap,) = gaps
    assert gap["cause"] == "sequence"
    assert gap["to_ns"] - gap["from_ns"] > 15 * 10**9


def test_a_book_that_never_gets_a_snapshot_costs_little(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.simulator.withholds = True
        await anyio.sleep(3600)
        keeper = world.engine.books
        assert not world.books()["BTC-USDT"]["valid"]
        assert world.books()["ETH-USDT"]["valid"]
        assert keeper.resyncs == 3
        assert 1 <= keeper.dropped <= 5
        assert len(world.simulator.withheld) < 80
        world.simulator.withholds = False
        await anyio.sleep(61)
        assert world.books()["BTC-USDT"]["valid"]

    market = Market(1, [spot(s, "0.1", "0.001", "100") for s in SYMBOLS], rate_hz=1.0)
    run(tmp_path, scenario, market=market, store=False)


def test_a_venue_that_breaks_books_again_and_again_is_asked_less_often(
    tmp_path: Path,
) -> None:
    async def scenario(world: World) -> None:
        await anyio.sleep(600)
        assert world.engine.books.resyncs < 2 * 20
        assert world.states()["live"] == 2
        assert assert_unbroken(world.live) > 10

    faults = [Fault(kind="drop", channel="books", probability=0.2)]
    gaps = run(tmp_path, scenario, faults=faults)

    assert {gap["cause"] for gap in gaps} <= {"sequence", "stall", "disconnect"}
    assert len(gaps) > 10


def check_all_flow(states: Counter[str]) -> None:
    """All 300 streams; of trades now and then one pauses, and is found quiet."""
    assert states["live"] >= 297
    assert states["live"] + states["quiet"] + states["suspect"] == 300, states


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="drop", channel="books", at_s=20.0, for_s=3.0),
        Fault(kind="abort", at_s=20.0),
        Fault(kind="half-open", at_s=20.0),
        Fault(kind="ack-and-mute", channel="books", at_s=0.0, for_s=10.0),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_hundred_symbols_start_and_recover_within_every_limit(
    tmp_path: Path, fault: Fault
) -> None:
    async def scenario(world: World) -> None:
        if fault.at_s:
            await anyio.sleep(18)
            check_all_flow(world.states())
            assert all(book["valid"] for book in world.books().values())
            await anyio.sleep(5)
        # A half-open socket is only known to be one after a ping.
        await anyio.sleep(60)
        books = world.books().values()
        assert len(books) == 100
        assert all(book["valid"] for book in books)
        check_all_flow(world.states())
        assert assert_unbroken(world.live) >= (190 if fault.at_s else 100)
        assert world.simulator.police.seen["requests"] < 150
        for number in range(0, 100, 9):
            assert_equal_to_the_venue(world, f"C{number:03d}-USDT")

    instruments = [
        spot(f"C{number:03d}-USDT", "0.1", "0.001", "100") for number in range(100)
    ]
    market = Market(1, instruments, rate_hz=3.0, depth=20)
    types = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)
    run(
        tmp_path,
        scenario,
        faults=[fault],
        market=market,
        types=types,
        store=False,
    )


def test_an_unreachable_venue_is_reported_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        await anyio.sleep(5)
        world.venue.set_reachable(False)
        await anyio.sleep(5)
        told = [one for one in caplog.records if one.name == "test.books.link"]
        assert any("could not be opened" in one.getMessage() for one in told)
        feed = world.feed()
        assert feed["state"] == "backing-off"
        assert feed["attempts_in_a_row"] >= 1
        assert feed["last_error"]
        world.venue.set_reachable(True)
        await anyio.sleep(30)
        assert world.states() == {"live": 2}

    run(tmp_path, scenario)
