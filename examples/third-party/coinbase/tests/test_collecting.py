"""The whole engine on the virtual clock, against the simulator and its faults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from tapeline_coinbase import CoinbaseAdapter, CoinbaseSimulator

from tapeline import (
    CollectorManager,
    EngineSettings,
    ExchangeCollector,
    SinkSettings,
    use_seams,
)
from tapeline.model import BookDelta, BookSnapshot, Candle, Gap, Trade
from tapeline.testing import (
    Fault,
    Ledger,
    Market,
    MemoryDatabase,
    MemorySinkAdapter,
    MemoryVenue,
    VirtualClock,
    judge,
    run_virtual,
    spot,
)

SYMBOLS = ("BTC-USD", "ETH-USD")
INSTRUMENTS = (
    spot("BTC-USD", "0.01", "0.00000001", "64000"),
    spot("ETH-USD", "0.01", "0.000001", "3100"),
)


@attrs.frozen
class Run:
    """What one run left behind."""

    ledger: Ledger
    database: MemoryDatabase
    simulator: CoinbaseSimulator
    live: list[Any]
    status: Any

    def gaps(self, data_type: str) -> list[Gap]:
        """The recorded gaps of streams of *data_type*."""
        gaps = self.database.gaps()
        return [gap for gap in gaps if gap.stream.data_type == data_type]


async def _collect(
    folder: Path,
    seed: int,
    faults: Sequence[Fault],
    seconds: float,
    options: dict[str, Any],
    market: dict[str, Any],
    venue_options: dict[str, Any],
) -> Run:
    clock = VirtualClock()
    ledger = Ledger()
    simulator = CoinbaseSimulator(
        Market(seed, INSTRUMENTS, start_ns=clock.wall_ns(), **market),
        faults=faults,
        ledger=ledger,
        **venue_options,
    )
    sink = MemorySinkAdapter()
    live: list[Any] = []
    async with MemoryVenue(simulator, clock) as venue:
        with use_seams(venue.seams(seed)):
            manager = CollectorManager(
                sinks=[SinkSettings("memory", sink, {})],
                settings=EngineSettings(data_dir=folder),
            )
            collector = ExchangeCollector(
                "coinbase",
                list(SYMBOLS),
                ["trade", "orderbook", "ticker"],
                custom_params={"timeframes": ["1s"], **options},
                adapter=CoinbaseAdapter(),
            )
            collector.add_data_callback("orderbook", live.append)
            manager.add_collector(collector)
            assert await manager.start()
            await asyncio.sleep(seconds)
            status = manager.get_status()
            await manager.stop()
    return Run(ledger, sink.database, simulator, live, status)


def collect(
    folder: Path,
    seed: int = 1,
    faults: Sequence[Fault] = (),
    seconds: float = 60.0,
    *,
    market: dict[str, Any] | None = None,
    venue: dict[str, Any] | None = None,
    **options: Any,
) -> Run:
    """Collect in virtual time."""
    return run_virtual(
        _collect,
        folder,
        seed,
        faults,
        seconds,
        options,
        {"rate_hz": 10.0, **(market or {})},
        venue or {},
        seed=seed,
    )


def lost_outside_gaps(run: Run) -> list[str]:
    """Fills between the first and the last stored one, neither stored nor in a gap."""
    found = []
    for symbol in SYMBOLS:
        trades = [t for t in run.database.trades() if t.symbol == symbol]
        stored = [trade.first_id for trade in trades]
        assert len(stored) == len(set(stored)), "stored twice"
        gaps = [g for g in run.gaps("trade") if g.stream.symbol == symbol]
        for fill in run.ledger.fills:
            if fill.symbol != symbol or not min(stored) < fill.id < max(stored):
                continue
            covered = any(
                gap.from_ns is not None
                and gap.to_ns is not None
                and gap.from_ns <= fill.exchange_ns <= gap.to_ns
                for gap in gaps
            )
            if fill.id not in stored and not covered:
                found.append(f"{symbol} {fill.id} at {fill.exchange_ns}")
    return found


def test_a_quiet_run_stores_every_trade_and_has_no_gap(tmp_path: Path) -> None:
    run = collect(tmp_path)

    assert lost_outside_gaps(run) == []
    assert run.database.gaps() == []
    assert len(run.database.trades()) > 1_000
    assert run.simulator.police.total == 0
    (feed,) = run.status["engine"]["feeds"].values()
    assert {s["state"] for s in feed["subscriptions"]} == {"live"}
    assert len(feed["subscriptions"]) == 6


@pytest.mark.parametrize("venue", [{"by_channel": True}, {"cumulative": False}])
def test_the_other_reading_of_the_documentation_works_as_well(
    tmp_path: Path, venue: dict[str, bool]
) -> None:
    run = collect(tmp_path, seconds=30.0, venue=venue)

    assert run.database.gaps() == []
    assert len(run.database.trades()) > 400


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="drop", channel="market_trades", probability=0.1),
        Fault(kind="drop", channel="level2", probability=0.1),
        Fault(kind="permute", channel="market_trades", probability=0.1),
        Fault(kind="duplicate", probability=0.2),
        Fault(kind="abort", mean_s=8.0),
        Fault(kind="half-open", at_s=20.0),
        Fault(kind="malformed", mean_s=3.0),
        Fault(kind="reset-sequence", mean_s=10.0),
        Fault(kind="ack-and-mute", at_s=0.0, for_s=5.0, channel="ticker"),
        Fault(kind="no-ack", at_s=0.0, for_s=5.0, channel="level2"),
        Fault(kind="close", at_s=15.0, code=1011),
        Fault(kind="refuse", at_s=0.0, for_s=5.0, status=429),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.channel}".rstrip("-"),
)
def test_nothing_is_lost_without_a_recorded_gap(tmp_path: Path, fault: Fault) -> None:
    run = collect(tmp_path, 3, [fault], 40.0)

    assert lost_outside_gaps(run) == []
    assert run.simulator.faults.applied[fault.kind] > 0
    assert len(run.database.trades()) > 100


def test_a_dropped_message_is_a_gap_of_its_streams(tmp_path: Path) -> None:
    run = collect(tmp_path, 3, [Fault(kind="drop", probability=0.05)])

    causes = {gap.cause for gap in run.database.gaps()}
    assert causes == {"sequence"}
    assert {gap.state for gap in run.gaps("trade")} == {"unrecoverable"}


def test_candles_that_a_gap_touches_do_not_claim_to_be_complete(
    tmp_path: Path,
) -> None:
    run = collect(
        tmp_path, 3, [Fault(kind="drop", channel="market_trades", probability=0.1)]
    )

    newest: dict[tuple[str, int], Candle] = {}
    for record in run.database.records():
        if isinstance(record, Candle):
            newest[record.symbol, record.open_ns] = record
    complete = [candle for candle in newest.values() if candle.state == "complete"]
    assert len(complete) > 20
    assert any(candle.state == "gap" for candle in newest.values())
    for candle in complete:
        end_ns = candle.open_ns + 10**9
        fills = [
            fill
            for fill in run.ledger.fills
            if fill.symbol == candle.symbol
            and candle.open_ns <= fill.exchange_ns < end_ns
        ]
        assert candle.trades_count == len(fills)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="drop", channel="market_trades", probability=0.1, for_s=50.0),
        Fault(kind="abort", mean_s=8.0, for_s=50.0),
        Fault(kind="rest-status", at_s=10.0, for_s=10.0, status=503),
        Fault(kind="stale", at_s=0.0, for_s=50.0, probability=0.5, lag_s=5.0),
    ],
    ids=lambda fault: fault.kind,
)
def test_by_id_every_hole_is_found_and_filled_over_rest(
    tmp_path: Path, fault: Fault
) -> None:
    drops = Fault(kind="drop", channel="market_trades", probability=0.05, for_s=50.0)

    run = collect(
        tmp_path,
        5,
        [fault, drops],
        90.0,
        trade_ids="contiguous",
        market={"hole_probability": 0.02},
    )

    verdict = judge(run.ledger.fills, run.database.records())
    assert verdict.problems == []
    assert verdict.emitted > 1_000
    assert verdict.stored == verdict.emitted
    assert verdict.gaps_open == 0
    assert run.simulator.police.total == 0


def book_from(events: Sequence[Any], symbol: str) -> dict[str, dict[float, float]]:
    """What a consumer has who takes every event."""
    sides: dict[str, dict[float, float]] = {"bids": {}, "asks": {}}
    for event in events:
        if event.symbol != symbol:
            continue
        if isinstance(event, BookSnapshot):
            sides = {"bids": {}, "asks": {}}
        for side in sides:
            for price, size in getattr(event, side):
                sides[side][float(price)] = float(size)
                if not float(size):
                    del sides[side][float(price)]
    return sides


def test_a_hole_makes_a_book_invalid_until_it_is_the_venue_s_again(
    tmp_path: Path,
) -> None:
    faults = [
        Fault(kind="drop", channel="level2", probability=0.05, for_s=40.0),
        Fault(kind="halt", at_s=50.0, symbol="BTC-USD"),
        Fault(kind="halt", at_s=50.0, symbol="ETH-USD"),
    ]

    run = collect(tmp_path, 7, faults)

    assert {gap.cause for gap in run.gaps("orderbook")} == {"sequence"}
    assert sum(isinstance(event, BookDelta) for event in run.live) > 100
    for symbol in SYMBOLS:
        product = run.simulator.products[symbol]
        levels = product.levels()
        best = [one for one in levels if one["side"] == "bid"][:50]
        mine = sorted(book_from(run.live, symbol)["bids"].items(), reverse=True)[:50]
        assert mine == [
            (float(one["price_level"]), float(one["new_quantity"])) for one in best
        ]


def test_every_change_that_is_given_out_follows_the_one_before(tmp_path: Path) -> None:
    run = collect(tmp_path, 9, [Fault(kind="drop", probability=0.1)])

    for symbol in SYMBOLS:
        last = None
        for event in run.live:
            if event.symbol != symbol:
                continue
            if isinstance(event, BookDelta):
                assert event.link_id == last
            last = event.last_id


def test_trades_are_those_of_the_venue_exactly(tmp_path: Path) -> None:
    run = collect(tmp_path, seconds=20.0)

    fills = {(fill.symbol, fill.id): fill for fill in run.ledger.fills}
    trades = [r for r in run.database.records() if isinstance(r, Trade)]
    assert trades
    for trade in trades:
        fill = fills[trade.symbol, trade.first_id]
        exact = (Decimal(fill.price), Decimal(fill.size))
        assert (trade.price, trade.size) == exact
        assert (trade.side, trade.exchange_ns) == (fill.side, fill.exchange_ns)
