"""Gaps heal: what was lost on the way is fetched, and only proof closes a gap."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager
from tapeline.hookspecs import SimResponse
from tapeline.testing import Fault, MemoryVenue

Tell = Callable[..., Any]

WITH_HOLES = pytest.mark.parametrize("venue", ["okx", "binance-fills"], indirect=True)
"""Venues whose ids may be skipped; aggregates are counted without holes."""

EVERY = pytest.mark.parametrize(
    "venue", ["okx", "binance", "binance-fills", "binance-swap"], indirect=True
)


def away(at_s: float, for_s: float = 3.0) -> list[Fault]:
    """The venue drops everybody and lets nobody in for a while."""
    return [
        Fault(kind="abort", at_s=at_s),
        Fault(kind="refuse", at_s=at_s, for_s=for_s, status=503),
    ]


async def forty_seconds(manager: CollectorManager, line: MemoryVenue) -> None:
    """Collect for a while."""
    await anyio.sleep(40.0)


async def twelve_seconds(manager: CollectorManager, line: MemoryVenue) -> None:
    """Collect for a short while."""
    await anyio.sleep(12.0)


@pytest.mark.parametrize(
    ("venue", "seed"),
    [
        *(("okx", seed) for seed in range(3)),
        *(("binance", seed) for seed in range(3)),
        ("binance-fills", 1),
        ("binance-swap", 1),
    ],
    indirect=["venue"],
)
def test_random_drops_and_disconnects_heal_to_the_last_fill(
    tell: Tell, venue: Any, seed: int
) -> None:
    chance = random.Random(seed)
    pool = [
        Fault(kind="abort", mean_s=chance.uniform(4, 15)),
        Fault(
            kind="drop", channel=venue.trades, probability=chance.uniform(0.005, 0.2)
        ),
        Fault(
            kind="permute", channel=venue.trades, probability=chance.uniform(0.01, 0.2)
        ),
        Fault(kind="duplicate", probability=chance.uniform(0.01, 0.5)),
        Fault(kind="half-open", at_s=chance.uniform(5, 20)),
        Fault(kind="notice", at_s=chance.uniform(5, 20), deadline_s=5.0),
    ]

    told = tell(forty_seconds, seed=seed, faults=chance.sample(pool, 3))

    told.check_whole()
    assert told.check_candles() > 10


@EVERY
def test_a_gap_is_filled_while_live_data_flows(tell: Tell) -> None:
    told = tell(forty_seconds, faults=away(10.0))

    told.check_whole()
    closed = [gap for gap in told.trade_gaps if gap["cause"] == "disconnect"]
    assert len(closed) == 2
    assert all(gap["state"] == "closed" for gap in closed)
    sources = {trade["source"] for trade in told.trades}
    assert sources == {"live", "backfill"}
    fetched = [trade for trade in told.trades if trade["source"] == "backfill"]
    ids = sum(trade["last_id"] - trade["first_id"] + 1 for trade in fetched)
    assert ids == sum(gap["recovered_count"] for gap in closed)


@WITH_HOLES
def test_ids_that_the_venue_skipped_end_never_issued(tell: Tell) -> None:
    told = tell(forty_seconds, hole_probability=0.05)

    told.check_whole()
    assert len(told.trade_gaps) > 10
    assert {gap["cause"] for gap in told.trade_gaps} == {"never-issued"}
    assert {gap["state"] for gap in told.trade_gaps} == {"closed"}
    assert told.check_candles() > 10


@WITH_HOLES
def test_drops_among_skipped_ids_are_told_apart(tell: Tell, venue: Any) -> None:
    faults = [
        Fault(kind="drop", channel=venue.trades, probability=0.1),
        *away(12.0),
    ]

    told = tell(forty_seconds, faults=faults, hole_probability=0.1)

    told.check_whole()
    assert {gap["state"] for gap in told.trade_gaps} == {"closed"}
    assert told.check_candles() > 10


TROUBLES: dict[str, dict[str, Any]] = {
    "503": {"kind": "rest-status", "for_s": 20.0, "status": 503},
    "429": {"kind": "rest-status", "for_s": 20.0, "status": 429},
    "flaky": {"kind": "rest-status", "for_s": 60.0, "probability": 0.6, "status": 500},
    "lagging": {"kind": "stale", "for_s": 30.0, "lag_s": 4.0},
    "ancient": {"kind": "stale", "for_s": 25.0, "lag_s": 3_600.0},
    "now-and-then": {"kind": "stale", "for_s": 60.0, "probability": 0.5, "lag_s": 5.0},
    "empty-pages": {"kind": "empty", "for_s": 25.0},
    "expired": {"kind": "expired", "for_s": 25.0},
    "nonsense": {"kind": "nonsense", "for_s": 25.0},
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_rest_side_in_trouble_closes_nothing_wrongly(
    tell: Tell, venue: Any, trouble: str
) -> None:
    wish: dict[str, Any] = {"at_s": 3.0, **TROUBLES[trouble]}
    status, body = venue.expired
    answers = {
        "empty": {"status": 200, "body": venue.empty},
        "expired": {"status": status, "body": body},
        "nonsense": {"status": 200, "body": '{"code":"0","data":[{"tradeId":{}}]}'},
    }
    if wish["kind"] in answers:
        fault = venue.refusing(**wish | answers[wish.pop("kind")])
    else:
        fault = Fault(**wish)
    faults = [
        fault,
        Fault(kind="drop", channel=venue.trades, probability=0.05, for_s=20.0),
        *away(8.0),
    ]

    async def watch(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(90.0)

    told = tell(watch, faults=faults, rate_hz=10.0, hole_probability=0.02)

    told.check_whole()
    assert told.check_candles() > 10


def test_gaps_stay_open_while_nothing_is_proven(tell: Tell, venue: Any) -> None:
    faults = [venue.refusing(status=200, body=venue.empty), *away(8.0)]

    told = tell(forty_seconds, faults=faults, rate_hz=5.0)

    assert told.accounts.ok
    assert {gap["state"] for gap in told.trade_gaps} == {"open"}
    assert told.accounts.total("in_gaps") > 0


def test_the_downtime_between_two_runs_is_filled(tell: Tell) -> None:
    told = tell(twelve_seconds, twelve_seconds, twelve_seconds, pause_s=30.0)

    told.check_whole()
    causes = [gap["cause"] for gap in told.trade_gaps]
    assert causes == ["downtime"] * 4
    assert told.check_candles() > 40


def test_a_gap_that_one_run_could_not_fill_is_filled_by_the_next(
    tell: Tell, venue: Any
) -> None:
    faults = [venue.refusing(for_s=20.0, status=503), *away(5.0)]

    told = tell(twelve_seconds, forty_seconds, faults=faults)

    told.check_whole()
    assert {gap["cause"] for gap in told.trade_gaps} == {"disconnect", "downtime"}


def test_a_long_downtime_takes_many_pages(tell: Tell, venue: Any) -> None:
    told = tell(twelve_seconds, twelve_seconds, pause_s=300.0, symbols=["BTC-USDT"])

    told.check_whole()
    assert len(told.trade_gaps) == 1, told.trade_gaps
    (gap,) = told.trade_gaps
    assert gap["recovered_count"] > 2 * venue.page
    assert told.check_candles() > 300


def test_a_downtime_of_a_night_leaves_no_candle_incomplete(tell: Tell) -> None:
    async def ten_minutes(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(600.0)

    told = tell(
        ten_minutes,
        ten_minutes,
        pause_s=8 * 3_600.0,
        rate_hz=0.1,
        symbols=["BTC-USDT"],
    )

    told.check_whole()
    assert told.check_candles() > 1_000


def test_what_the_venue_no_longer_has_is_given_up_with_its_cause(tell: Tell) -> None:
    async def long(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(900.0)

    told = tell(
        twelve_seconds,
        long,
        pause_s=2_400.0,
        rate_hz=2.0,
        symbols=["BTC-USDT"],
        max_fills=500,
    )

    assert told.accounts.ok
    (gap,) = told.trade_gaps
    assert (gap["state"], gap["cause"]) == ("unrecoverable", "beyond-reach")
    assert 0 < gap["recovered_count"] <= 1_000
    assert told.accounts.total("in_gaps") == gap["to_id"] - gap["from_id"] + 1


def test_a_symbol_that_is_not_wanted_any_more_is_not_filled(
    tell: Tell, venue: Any
) -> None:
    faults = [
        venue.refusing(for_s=27.0, status=503),
        *away(6.0),
    ]
    asked: list[str] = []

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(25.0)
        (name,) = manager.list_collectors()
        collector = manager.collector(name)
        assert collector is not None
        collector.remove_symbol("ETH-USDT")
        await anyio.sleep(1.0)
        answer = line.exchange.request

        def listen(
            method: str, target: str, headers: Mapping[str, str], now_ns: int
        ) -> SimResponse:
            asked.append(target)
            return answer(method, target, headers, now_ns)

        line.exchange.request = listen  # type: ignore[method-assign]
        await anyio.sleep(60.0)

    told = tell(act, faults=faults)

    assert told.accounts.ok
    states = {gap["symbol"]: gap["state"] for gap in told.trade_gaps}
    assert states == {"BTC-USDT": "closed", "ETH-USDT": "open"}
    history = [target for target in asked if target.startswith(venue.history)]
    assert any("BTC" in target for target in history)
    assert not any("ETH" in target for target in history)
