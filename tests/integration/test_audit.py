"""Own bars against the candles of both simulated exchanges, on the virtual clock."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tapeline import CollectorManager, DataType
from tapeline.collectors import ExchangeCollector
from tapeline.plugins import PluginRegistry
from tapeline.runtime import (
    CandleAccounts,
    EngineSettings,
    compare_with_venue,
    use_seams,
)
from tapeline.seams import Seams
from tapeline.testing import (
    DEFAULT_INSTRUMENTS,
    Fault,
    InlineExecutor,
    Market,
    MemoryVenue,
    VirtualClock,
    run_virtual,
)

BOTH = pytest.mark.parametrize("exchange", ["okx", "binance"])
SYMBOL = "BTC-USDT"
INSTRUMENTS = [one for one in DEFAULT_INSTRUMENTS if one.symbol == SYMBOL]


@attrs.define
class Audited:
    """What a run found."""

    accounts: CandleAccounts
    status: dict[str, Any]

    @property
    def streams(self) -> dict[str, Any]:
        """Name of a comparison → its figures while running."""
        streams: dict[str, Any] = self.status["engine"]["audit"]
        return streams


async def _collect(
    folder: Path,
    exchange: str,
    duration: float,
    *,
    faults: Sequence[Fault] = (),
    market: str = "spot",
    params: dict[str, Any] | None = None,
    rate_hz: float = 1.5,
) -> dict[str, Any]:
    clock = VirtualClock()
    simulator = (
        PluginRegistry()
        .exchange(exchange)
        .simulator(Market(3, INSTRUMENTS, rate_hz, clock.wall_ns()), faults=faults)
    )
    assert simulator is not None
    async with MemoryVenue(simulator, clock) as venue:
        seams = Seams(
            clock, venue.dialer, venue.http, InlineExecutor(), random.Random(1)
        )
        with use_seams(seams):
            manager = CollectorManager(
                sinks=[{"use": "sqlite", "path": str(folder / "market.db")}],
                settings=EngineSettings(data_dir=folder),
            )
            manager.add_collector(
                ExchangeCollector(
                    exchange,
                    SYMBOL,
                    [DataType.TRADE],
                    custom_params={
                        "market": market,
                        **(params if params is not None else {"audit": True}),
                    },
                )
            )
        assert await manager.start()
        await anyio.sleep(duration)
        status = manager.get_status()
        await manager.stop()
    return status


def collect(folder: Path, exchange: str, duration: float, **options: Any) -> Audited:
    """Collect for *duration* virtual seconds, then compare what is stored."""
    status = run_virtual(partial(_collect, **options), folder, exchange, duration)
    return Audited(compare(folder), status)


def compare(folder: Path) -> CandleAccounts:
    """What a database says."""
    reader = PluginRegistry().open_reader(str(folder / "market.db"))
    try:
        return compare_with_venue(reader)
    finally:
        reader.close()


@BOTH
def test_every_whole_minute_equals_the_venues(exchange: str, tmp_path: Path) -> None:
    run = collect(tmp_path, exchange, 200.0)

    assert (run.accounts.compared, run.accounts.match_rate) == (2, 1.0)
    figures = run.streams[f"{exchange}:spot:{SYMBOL}:1m"]
    assert (figures["compared"], figures["matched"]) == (2, 2)
    assert figures["match_rate"] == 1.0
    assert figures["causes"] == {}
    # The first minute began before us.
    assert figures["not_judged"] == {"partial": 1}
    # A final candle a minute is no silence.
    (care,) = run.status["engine"]["care"].values()
    (feed,) = run.status["engine"]["feeds"].values()
    states = {one["data_type"]: one["state"] for one in feed["subscriptions"]}
    assert states["candle"] == "live"
    assert care["watch"]["stalled"] == 0
    assert feed["reconnects"] == 0


@BOTH
def test_perpetuals_are_compared_too(exchange: str, tmp_path: Path) -> None:
    run = collect(tmp_path, exchange, 140.0, market="swap")

    assert run.accounts.compared == 1
    assert run.accounts.match_rate == 1.0


@BOTH
def test_closes_that_were_missed_are_asked_over_rest(
    exchange: str, tmp_path: Path
) -> None:
    faults = [
        Fault(kind="abort", at_s=100.0),
        Fault(kind="refuse", at_s=100.0, for_s=25.0, status=503),
    ]
    run = collect(tmp_path, exchange, 200.0, faults=faults)

    (stream,) = run.accounts.streams
    (care,) = run.status["engine"]["care"].values()
    assert (stream.compared, stream.matched, stream.venue_missing) == (2, 2, 0)
    # Binance's session asks for the newest two by itself; OKX's cannot.
    assert care["audit"]["recovered"] == (1 if exchange == "okx" else 0)


@BOTH
def test_bars_with_a_hole_are_explained_by_their_state(
    exchange: str, tmp_path: Path
) -> None:
    channel = {"okx": "trades", "binance": "aggTrade"}[exchange]
    faults = [
        Fault(kind="drop", channel=channel, probability=0.3, at_s=70.0, for_s=40.0),
        Fault(kind="rest-status", at_s=65.0, for_s=1000.0, status=503),
    ]
    run = collect(tmp_path, exchange, 260.0, faults=faults)

    (stream,) = run.accounts.streams
    assert stream.not_judged == {"partial": 1, "gap": 1}
    assert (stream.compared, stream.matched) == (2, 2)


def test_more_timeframes_are_compared_where_both_have_them(tmp_path: Path) -> None:
    params = {"timeframes": ["1s", "5s", "1m"], "venue_timeframes": ["1s", "1m", "5m"]}
    run = collect(tmp_path, "okx", 70.0, params=params, rate_hz=8.0)

    assert {s.name.timeframe for s in run.accounts.streams} == {"1s", "1m"}
    assert run.accounts.compared > 40
    assert run.accounts.match_rate == 1.0


def test_a_changed_bar_is_reported_with_its_figures(
    tmp_path: Path, tapeline: Any
) -> None:
    collect(tmp_path, "binance", 140.0)
    with sqlite3.connect(tmp_path / "market.db") as connection:
        connection.execute(
            "UPDATE market_data SET high = '99999', trades_count = 1 "
            "WHERE source = 'trades' AND state = 'complete' AND timestamp = ("
            "SELECT min(timestamp) FROM market_data "
            "WHERE source = 'trades' AND state = 'complete')"
        )
    connection.close()

    accounts = compare(tmp_path)
    shown = tapeline("verify", "--database", tmp_path / "market.db")
    told = tapeline("verify", "--database", tmp_path / "market.db", "--json")

    assert accounts.compared - accounts.matched == 1
    (stream,) = [one for one in accounts.streams if one.mismatched]
    assert stream.causes == {"unexplained": 1}
    assert "high 99999 instead of" in stream.examples[0]
    assert "trades_count 1 instead of" in stream.examples[0]
    assert shown.returncode == 0
    assert "high 99999 instead of" in shown.stdout
    assert json.loads(told.stdout)["candles"]["match_rate"] == 0.0
