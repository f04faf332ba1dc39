"""Streams that fall silent: asked about, told apart, and only the stalled acted on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import attrs
import pytest

from tapeline.collectors import CollectorManager
from tapeline.model import DataType, Trade, width_ns
from tapeline.runtime import EngineSettings
from tapeline.testing import Fault, MemoryVenue

Tell = Callable[..., Any]

ALL = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)
SYMBOLS = ("BTC-USDT", "ETH-USDT")


def link_of(manager: CollectorManager) -> dict[str, Any]:
    (link,) = manager.get_status()["engine"]["feeds"].values()
    return dict(link)


def states_of(manager: CollectorManager) -> dict[tuple[str, str], str]:
    return {
        (one["symbol"], one["data_type"]): one["state"]
        for one in link_of(manager)["subscriptions"]
    }


def watch_of(manager: CollectorManager) -> dict[str, int]:
    (care,) = manager.get_status()["engine"]["care"].values()
    return dict(care["watch"])


async def until(
    manager: CollectorManager, key: tuple[str, str], wanted: set[str], within_s: float
) -> float:
    """Seconds until the state of a stream is among *wanted*."""
    for step in range(int(within_s * 10)):
        if states_of(manager)[key] in wanted:
            return step / 10
        await anyio.sleep(0.1)
    raise AssertionError(f"{states_of(manager)[key]} after {within_s} s")


@pytest.mark.parametrize("data_type", ["trade", "orderbook"])
def test_a_muted_stream_is_found_and_only_it_is_subscribed_anew(
    tell: Tell, venue: Any, data_type: str
) -> None:
    channel = venue.trades if data_type == "trade" else venue.book
    symbol = venue.spelled("BTC-USDT")
    mute = Fault(kind="mute", channel=channel, symbol=symbol, at_s=30.0, for_s=4.5)

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(30.0)
        await until(manager, ("BTC-USDT", data_type), {"stalled"}, 5.0)
        assert watch_of(manager)["resubscribed"] == 1
        await anyio.sleep(20.0)
        assert set(states_of(manager).values()) == {"live"}
        assert watch_of(manager)["dropped"] == 0
        assert link_of(manager)["reconnects"] == 0

    told = tell(act, faults=[mute], data_types=ALL)

    told.check_whole()
    stalls = {
        (gap["symbol"], gap["data_type"])
        for gap in told.gaps
        if gap["cause"] == "stall"
    }
    assert stalls == {("BTC-USDT", data_type)}


def test_a_stream_that_is_acked_and_never_flows_loses_its_socket(
    tell: Tell, venue: Any
) -> None:
    faults = [
        Fault(kind="abort", at_s=30.0),
        Fault(
            kind="ack-and-mute",
            channel=venue.trades,
            symbol=venue.spelled("ETH-USDT"),
            at_s=29.0,
            for_s=6.0,
        ),
    ]

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(60.0)
        assert set(states_of(manager).values()) == {"live"}
        watch = watch_of(manager)
        assert watch["resubscribed"] >= 1
        assert link_of(manager)["reconnects"] == 1 + watch["dropped"]

    told = tell(act, faults=faults)

    told.check_whole()


def test_a_stream_that_stays_dead_is_not_hammered(tell: Tell, venue: Any) -> None:
    symbol = venue.spelled("ETH-USDT")
    dead = Fault(kind="mute", channel=venue.trades, symbol=symbol, at_s=20.0)

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(620.0)
        watch = watch_of(manager)
        assert watch["resubscribed"] + watch["dropped"] <= 8
        assert watch["probes"] < 60
        assert states_of(manager)["BTC-USDT", "trade"] == "live"

    told = tell(act, faults=[dead], rate_hz=2.5)

    assert told.accounts.ok
    assert told.simulator.police.total == 0


def test_a_half_open_socket_is_found_within_ten_seconds(tell: Tell) -> None:
    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(40.0)
        assert link_of(manager)["reconnects"] == 1
        assert watch_of(manager)["dropped"] == 1
        assert set(states_of(manager).values()) == {"live"}

    told = tell(act, faults=[Fault(kind="half-open", at_s=30.0)], data_types=ALL)

    told.check_whole()


def test_an_idle_market_is_quiet_and_never_reconnected(tell: Tell) -> None:
    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(3_600.0)
        watch = watch_of(manager)
        assert link_of(manager)["reconnects"] == 0
        assert (watch["stalled"], watch["resubscribed"], watch["dropped"]) == (0, 0, 0)
        # Each of about three trades a symbol makes a quiet stream speak again.
        assert 0 < watch["probes"] < 6 * (3_600 / 300 + 10 + 3 * 3)
        assert set(states_of(manager).values()) <= {"quiet", "live"}

    told = tell(act, rate_hz=1 / 1_200, data_types=ALL)

    assert told.accounts.ok
    assert told.simulator.police.total == 0


def test_a_market_that_slows_down_is_not_taken_for_a_dead_one(tell: Tell) -> None:
    """Trading stops for minutes and goes on: quiet, then live, without an action."""

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(600.0)
        watch = watch_of(manager)
        assert link_of(manager)["reconnects"] == 0
        assert watch["resubscribed"] == 0
        assert watch["quiet"] > 0

    told = tell(act, rate_hz=0.2)

    told.check_whole()


def test_empty_seconds_have_flat_candles_once_it_is_known_that_nobody_traded(
    tell: Tell,
) -> None:
    """Silence is asked about; until then it makes no candle, and completes none."""

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(400.0)

    told = tell(
        act,
        rate_hz=0.2,
        symbols=("BTC-USDT",),
        timeframes=("1s", "5s", "1m"),
        settings=EngineSettings(empty_candles=True),
    )

    told.check_whole()
    bars = {
        (row["timeframe"], int(row["timestamp"].timestamp())): row
        for row in told.candles
    }
    flat = {key: row for key, row in bars.items() if row["trades_count"] == 0}
    for (timeframe, second), row in flat.items():
        before = bars[timeframe, second - width_ns(timeframe) // 10**9]
        assert row["state"] == "complete"
        assert (row["volume"], row["first_id"]) == (0, None)
        prices = {row[name] for name in ("open", "high", "low", "close")}
        assert prices == {before["close"]}
    seconds = sorted(second for timeframe, second in bars if timeframe == "1s")
    assert seconds == list(range(seconds[0], seconds[-1] + 1))
    assert len(flat) > 200
    assert told.streams()["BTC-USDT", "trade"] in ("quiet", "live")


def test_the_venues_word_completes_the_last_candle_of_a_market_that_went_quiet(
    tell: Tell,
) -> None:
    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(120.0)
        assert watch_of(manager)["quiet"] > 0

    told = tell(
        act,
        faults=[Fault(kind="halt", symbol="BTC-USDT", at_s=30.0)],
        rate_hz=2.0,
        symbols=("BTC-USDT",),
        timeframes=("1s",),
        settings=EngineSettings(empty_candles=True),
    )

    rows = sorted(told.candles, key=lambda row: row["timestamp"])
    assert {row["state"] for row in rows[1:]} == {"complete"}
    traded = [row for row in rows if row["trades_count"]]
    silent = rows[rows.index(traded[-1]) + 1 :]
    assert traded[-1]["revision"] > 0, "it was partial until the venue was asked"
    assert len(silent) > 20
    assert told.accounts.ok


@pytest.mark.parametrize("kind", ["halt", "delist"])
def test_an_instrument_that_is_not_traded_any_more_is_halted(
    tell: Tell, kind: str
) -> None:
    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(30.0)
        await until(manager, ("ETH-USDT", "trade"), {"halted"}, 120.0)
        await anyio.sleep(60.0)
        assert states_of(manager) == {
            ("BTC-USDT", "trade"): "live",
            ("ETH-USDT", "trade"): "halted",
        }
        assert link_of(manager)["reconnects"] == 0

    told = tell(act, faults=[Fault(kind=kind, symbol="ETH-USDT", at_s=30.0)])

    assert told.accounts.ok


def test_a_rest_side_that_does_not_answer_leaves_a_stream_suspect(tell: Tell) -> None:
    faults = [
        Fault(kind="halt", symbol="ETH-USDT", at_s=30.0),
        Fault(kind="rest-status", at_s=29.0, status=503),
    ]

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(90.0)
        assert states_of(manager)["ETH-USDT", "trade"] == "suspect"
        watch = watch_of(manager)
        assert (watch["resubscribed"], watch["dropped"]) == (0, 0)
        assert 0 < watch["unanswered"] < 10

    told = tell(act, faults=faults)

    assert told.accounts.ok


@pytest.mark.parametrize(
    ("data_type", "lag_s"), [("trade", 40.0), ("trade", 3_000.0), ("orderbook", 40.0)]
)
def test_a_rest_side_that_knows_less_than_we_do_makes_no_stream_quiet(
    tell: Tell, venue: Any, data_type: str, lag_s: float
) -> None:
    """An old cache, or an empty one, proves nothing: health says so meanwhile."""
    channel = venue.trades if data_type == "trade" else venue.book
    symbol = venue.spelled("BTC-USDT")
    faults = [
        Fault(kind="mute", channel=channel, symbol=symbol, at_s=30.0, for_s=60.0),
        Fault(kind="stale", at_s=25.0, for_s=45.0, lag_s=lag_s),
    ]

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(60.0)
        assert states_of(manager)["BTC-USDT", data_type] == "suspect"
        assert manager.engine is not None
        assert not manager.engine.health().ready
        await anyio.sleep(40.0)
        assert set(states_of(manager).values()) == {"live"}

    wanted = dict.fromkeys((DataType.TRADE, DataType(data_type)))
    told = tell(act, faults=faults, data_types=tuple(wanted), rate_hz=10.0)

    told.check_whole()
    gaps = [gap for gap in told.gaps if gap["data_type"] == data_type]
    if data_type == "trade":
        assert {gap["cause"] for gap in gaps} <= {"stall", "id-hole"}
        assert gaps


def test_a_venue_that_numbers_its_trades_afresh_is_told_by_health(tell: Tell) -> None:
    """Whatever else looks well: none of its trades is stored any more."""

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(120.0)
        engine = manager.engine
        assert engine is not None
        (last,) = (state.last for state in engine.pipeline.streams.values())
        assert isinstance(last, Trade)
        assert engine.health().ready
        for number in range(1, 4):
            at_ns = last.exchange_ns + (60 + number) * 10**9
            afresh = attrs.evolve(
                last, first_id=number, last_id=number, exchange_ns=at_ns
            )
            engine.inbox.put(afresh)
        await anyio.sleep(0.5)
        health = engine.health()
        assert not health.ready
        assert "is numbered afresh by the venue" in health.issues[0]
        await anyio.sleep(300.0)
        assert engine.health().ready, "its old numbers go on"

    told = tell(act, symbols=("BTC-USDT",), rate_hz=0.2)

    (gap,) = told.trade_gaps
    assert (gap["cause"], gap["state"], gap["to_ns"]) == (
        "id-reset",
        "unrecoverable",
        None,
    )
