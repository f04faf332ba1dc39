"""One symbol over two simulated exchanges: trades, bars, restarts, faults."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tapeline import CollectorManager, ConsolidatedCandle, ConsolidatedTrade, DataType
from tapeline.collectors import ExchangeCollector
from tapeline.plugins import PluginRegistry
from tapeline.runtime import EngineSettings, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    DEFAULT_INSTRUMENTS,
    Fault,
    InlineExecutor,
    Market,
    MemoryNetwork,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)

SYMBOL = "BTC-USDT"
INSTRUMENTS = [one for one in DEFAULT_INSTRUMENTS if one.symbol == SYMBOL]
EXCHANGES = ("okx", "binance")
CONTRACT = {"okx": Decimal("0.01"), "binance": Decimal(1)}
"""Base units in one unit of size of the perpetual."""

WORST = ("complete", "repaired", "partial", "gap")


@attrs.define
class Run:
    """What came out of one or more runs."""

    folder: Path
    trades: list[ConsolidatedTrade] = attrs.field(factory=list)
    candles: list[ConsolidatedCandle] = attrs.field(factory=list)
    status: dict[str, Any] = attrs.field(factory=dict)

    def rows(self, table: str) -> list[Mapping[str, Any]]:
        """Rows of the database."""
        reader = PluginRegistry().open_reader(str(self.folder / "market.db"))
        try:
            read = {"trades": reader.trades, "market_data": reader.candles}[table]
            return [dict(row) for row in read()]
        finally:
            reader.close()


@attrs.define
class Venues:
    """Both simulated exchanges behind one network, while it is open."""

    network: MemoryNetwork
    by_name: Mapping[str, MemoryVenue]
    clock: VirtualClock


def _venues(
    clock: VirtualClock, seed: int, faults: Mapping[str, Sequence[Fault]]
) -> Venues:
    registry = PluginRegistry()
    by_name = {}
    for number, name in enumerate(EXCHANGES):
        market = Market(seed + number, INSTRUMENTS, 6.0, clock.wall_ns())
        simulator = registry.exchange(name).simulator(
            market, faults=faults.get(name, ())
        )
        assert isinstance(simulator, SimulatorBase)
        by_name[name] = MemoryVenue(simulator, clock)
    network = MemoryNetwork({f"{name}.test": by_name[name] for name in EXCHANGES})
    return Venues(network, by_name, clock)


def _manager(folder: Path, market: str, timeframes: Sequence[str]) -> CollectorManager:
    manager = CollectorManager(
        sinks=[{"use": "sqlite", "path": str(folder / "market.db")}],
        settings=EngineSettings(data_dir=folder),
    )
    for name in EXCHANGES:
        manager.add_collector(
            ExchangeCollector(
                name,
                SYMBOL,
                [DataType.TRADE],
                custom_params={
                    "market": market,
                    "ws_url": f"ws://{name}.test",
                    "rest_url": f"http://{name}.test",
                },
            )
        )
    manager.consolidate("btc", SYMBOL, EXCHANGES, market=market, timeframes=timeframes)
    return manager


Step = Callable[[Venues, CollectorManager], Any]


async def _collect(
    run: Run,
    seconds: Sequence[float],
    *,
    market: str = "spot",
    timeframes: Sequence[str] = ("1s", "5s"),
    faults: Mapping[str, Sequence[Fault]] | None = None,
    crash: bool = False,
    during: Step | None = None,
) -> None:
    clock = VirtualClock()
    venues = _venues(clock, 5, faults or {})
    async with venues.network as network:
        seams = Seams(
            clock, network.dialer, network.http, InlineExecutor(), random.Random(1)
        )
        for number, duration in enumerate(seconds):
            with use_seams(seams):
                manager = _manager(run.folder, market, timeframes)
                (consolidation,) = manager.consolidations()
            consolidation.add_data_callback(DataType.TRADE, run.trades.append)
            consolidation.add_data_callback(DataType.CANDLE, run.candles.append)
            assert await manager.start()
            await anyio.sleep(duration)
            if during is not None:
                await during(venues, manager)
            run.status = manager.get_status()["engine"]["consolidated"]["btc"]
            if crash and number + 1 < len(seconds):
                # What a kill leaves: the files as they are at this instant.
                image = run.folder.with_name(f"image-{number}")
                shutil.copytree(run.folder, image)
                await manager.stop()
                run.folder = image
            else:
                await manager.stop()
            await anyio.sleep(3.0)


def collect(folder: Path, *seconds: float, **options: Any) -> Run:
    """Collect for each of *seconds* in virtual time, with pauses in between."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder)
    run_virtual(partial(_collect, **options), run, seconds)
    return run


def check_bars(run: Run, contract: Mapping[str, Decimal]) -> list[Mapping[str, Any]]:
    """Compare each stored consolidated bar with the stored bars of the venues."""
    rows = run.rows("market_data")
    parts = {
        (row["exchange"], row["timeframe"], row["timestamp"]): row
        for row in rows
        if row["source"] == "trades"
    }
    bars = [row for row in rows if row["source"] == "consolidated"]
    for bar in bars:
        mine = {
            name: parts[name, bar["timeframe"], bar["timestamp"]]
            for name in EXCHANGES
            if (name, bar["timeframe"], bar["timestamp"]) in parts
        }
        where = f"{bar}\n{mine}"
        assert mine, where
        assert bar["exchange"] == "consolidated"
        # Bars without trades only repeat the price before them.
        priced = [part for part in mine.values() if part["volume"]]
        priced = priced or list(mine.values())[:1]
        assert bar["high"] == max(part["high"] for part in priced), where
        assert bar["low"] == min(part["low"] for part in priced), where
        assert bar["low"] <= min(bar["open"], bar["close"]), where
        assert bar["high"] >= max(bar["open"], bar["close"]), where
        for figure in ("volume", "quote_volume", "taker_buy_volume"):
            total = sum(part[figure] * contract[n] for n, part in mine.items())
            assert bar[figure] == total, where
        count = sum(part["trades_count"] for part in mine.values())
        assert bar["trades_count"] == count, where
        worst = max((part["state"] for part in mine.values()), key=WORST.index)
        if len(mine) == len(EXCHANGES):
            assert bar["state"] == worst, where
        else:
            # A venue without a bar: either it is proven that it did not trade, or
            # nobody can call the bar whole.
            assert WORST.index(bar["state"]) >= WORST.index(worst), where
    keys = {(bar["timeframe"], bar["timestamp"]) for bar in bars}
    wanted = {(tf, at) for _, tf, at in parts if tf in {key[0] for key in keys}}
    assert keys == wanted
    return bars


SPOT = dict.fromkeys(EXCHANGES, Decimal(1))


def test_stored_bars_are_the_sum_of_the_venues_bars(tmp_path: Path) -> None:
    run = collect(tmp_path / "a", 30.0)

    bars = check_bars(run, SPOT)
    states = [bar["state"] for bar in bars]
    assert states.count("complete") > 20
    assert {bar["timeframe"] for bar in bars} == {"1s", "5s"}


def test_callbacks_get_what_is_stored_and_the_shares_of_the_venues(
    tmp_path: Path,
) -> None:
    run = collect(tmp_path / "a", 30.0)

    newest = {(c.timeframe, c.open_ns): c for c in run.candles}
    stored = {
        (row["timeframe"], row["timestamp"]): row
        for row in run.rows("market_data")
        if row["source"] == "consolidated"
    }
    assert len(newest) == len(stored)
    for candle in newest.values():
        row = stored[candle.timeframe, candle.timestamp]
        assert (candle.open, candle.close) == (row["open"], row["close"])
        assert (candle.volume, candle.state) == (row["volume"], row["state"])
        assert candle.revision == row["revision"]
        assert sum(candle.volumes.values()) == candle.volume
        assert set(candle.shares) == set(EXCHANGES)
        total = sum(candle.shares.values(), Decimal(0))
        assert abs(total - 1) < Decimal("0.00001")
        assert candle.vwap is not None
        assert candle.low <= candle.vwap <= candle.high


def test_the_trade_stream_is_all_venues_trades_in_order_of_arrival(
    tmp_path: Path,
) -> None:
    run = collect(tmp_path / "a", 20.0)

    stored = {
        (row["exchange"], row["last_id"]): row["size"] for row in run.rows("trades")
    }
    heard = {(trade.venue, trade.last_id): trade.size for trade in run.trades}
    assert heard == stored
    assert len(run.trades) == len(stored)
    assert {trade.exchange for trade in run.trades} == {"consolidated"}
    assert {row["exchange"] for row in run.rows("trades")} == set(EXCHANGES)
    arrivals = [trade.received_ns for trade in run.trades]
    assert arrivals == sorted(arrivals)


def test_contracts_become_base_units(tmp_path: Path) -> None:
    run = collect(tmp_path / "a", 30.0, market="swap")

    bars = check_bars(run, CONTRACT)
    assert any(bar["state"] == "complete" for bar in bars)
    for trade in run.trades:
        assert trade.original is not None
        assert trade.size == trade.original.size * CONTRACT[trade.venue]
        assert trade.quote_size == trade.price * trade.size


def test_a_venue_that_is_away_makes_bars_partial_until_it_is_back(
    tmp_path: Path,
) -> None:
    outage = [
        Fault(kind="abort", at_s=12.0),
        Fault(kind="refuse", at_s=12.0, for_s=20.0, status=503),
    ]
    run = collect(tmp_path / "a", 60.0, faults={"binance": outage})

    bars = check_bars(run, SPOT)
    first_said: dict[tuple[str, int], ConsolidatedCandle] = {}
    for candle in run.candles:
        first_said.setdefault((candle.timeframe, candle.open_ns), candle)
    alone = [c for c in first_said.values() if c.states["binance"] == "missing"]
    assert len(alone) > 10
    assert {candle.state for candle in alone} == {"partial"}
    final = {(bar["timeframe"], bar["timestamp"]): bar for bar in bars}
    healed = [final[c.timeframe, c.timestamp] for c in alone]
    assert all(bar["state"] in ("complete", "repaired") for bar in healed)
    assert all(bar["revision"] > 0 for bar in healed)


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "killed"])
def test_a_restart_goes_on_with_the_same_bars(tmp_path: Path, crash: bool) -> None:
    run = collect(tmp_path / "a", 12.3, 14.9, 20.0, crash=crash)

    bars = check_bars(run, SPOT)
    times = sorted(bar["timestamp"] for bar in bars if bar["timeframe"] == "5s")
    assert len(times) >= 9
    # The first bars began, and the last two ended, inside an interval.
    inner = [bar for bar in bars if times[1] <= bar["timestamp"] < times[-2]]
    not_whole = [b for b in inner if b["state"] not in ("complete", "repaired")]
    assert not_whole == []


def test_the_status_tells_share_and_staleness_of_each_venue(tmp_path: Path) -> None:
    async def silence(venues: Venues, manager: CollectorManager) -> None:
        venues.by_name["okx"].exchange.market.halt(  # type: ignore[attr-defined]
            "spot", SYMBOL, venues.clock.wall_ns()
        )
        await anyio.sleep(70.0)

    run = collect(tmp_path / "a", 20.0, during=silence)

    parts = run.status["parts"]
    assert parts["okx"]["stale"] is True
    assert parts["okx"]["last_trade_age_s"] > 60
    assert parts["binance"]["stale"] is False
    assert parts["binance"]["last_trade_age_s"] < 10
    assert sum(part["share"] for part in parts.values()) == pytest.approx(1.0)
    last = run.status["timeframes"]["5s"]["last"]
    assert last["states"]["okx"] == "missing"
    assert last["state"] == "partial"
    assert last["shares"] == {"okx": 0.0, "binance": 1.0}
