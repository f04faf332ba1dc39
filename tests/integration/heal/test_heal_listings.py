"""Instruments that venues take off the list, put back, or spell anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager
from tapeline.model import DataType, StatusChange
from tapeline.testing import Fault, MemoryVenue

Tell = Callable[..., Any]

ALL = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)
GONE = Fault(kind="delist", symbol="ETH-USDT", at_s=30.0)


def link_of(manager: CollectorManager) -> dict[str, Any]:
    (link,) = manager.get_status()["engine"]["feeds"].values()
    return dict(link)


def states_of(manager: CollectorManager, symbol: str) -> set[str]:
    return {
        one["state"]
        for one in link_of(manager)["subscriptions"]
        if one["symbol"] == symbol
    }


def watch(manager: CollectorManager) -> list[StatusChange]:
    """Every change of an instrument that observers are told of from now on."""
    changes: list[StatusChange] = []

    def note(change: StatusChange) -> None:
        if change.component.startswith("instrument "):
            changes.append(change)

    manager.add_observer(note)
    return changes


async def until(
    manager: CollectorManager, symbol: str, wanted: str, within_s: float
) -> None:
    for _ in range(int(within_s)):
        if states_of(manager, symbol) == {wanted}:
            return
        await anyio.sleep(1.0)
    raise AssertionError(f"{states_of(manager, symbol)} after {within_s} s")


def test_a_delisted_symbol_is_halted_told_once_and_let_go(tell: Tell) -> None:
    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        changes = watch(manager)
        await anyio.sleep(30.0)
        assert states_of(manager, "ETH-USDT") == {"live"}
        await until(manager, "ETH-USDT", "halted", 120.0)
        await anyio.sleep(600.0)
        link = link_of(manager)
        assert {one["subscriptions"] for one in link["sockets"]} == {3}
        assert link["reconnects"] == 0
        assert states_of(manager, "BTC-USDT") == {"live"}
        reasons = {
            one["reason"]
            for one in link["subscriptions"]
            if one["symbol"] == "ETH-USDT"
        }
        assert len(reasons) == 1
        assert "not listed any more" in reasons.pop()
        assert [(one.before, one.after) for one in changes] == [("live", "halted")]
        assert "ETH-USDT" in changes[0].component
        (collector,) = manager.get_status()["collectors"].values()
        assert collector["status"] == "running"
        assert manager.health().ready

    told = tell(act, faults=[GONE], data_types=ALL, rate_hz=3.0)

    assert told.accounts.ok, told.accounts.as_dict()
    assert told.open_gaps == []
    assert told.simulator.police.total == 0, told.simulator.police.violations
    assert {gap["symbol"] for gap in told.gaps} <= {"ETH-USDT"}
    ends = {
        one["data_type"]: one["ended_ns"]
        for one in told.coverage
        if one["symbol"] == "ETH-USDT"
    }
    halted_ns = told.simulator.market.feed("spot", "ETH-USDT").halted_ns
    assert set(ends) == {"trade", "orderbook", "ticker"}
    assert max(ends.values()) < halted_ns + 120 * 10**9


def test_a_symbol_that_is_listed_again_goes_on_with_a_gap(tell: Tell) -> None:
    faults = [GONE, Fault(kind="relist", symbol="ETH-USDT", at_s=400.0)]

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        changes = watch(manager)
        await anyio.sleep(30.0)
        await until(manager, "ETH-USDT", "halted", 120.0)
        await until(manager, "ETH-USDT", "live", 1_300.0)
        await anyio.sleep(60.0)
        assert [one.after for one in changes] == ["halted", "live"]
        assert link_of(manager)["reconnects"] == 0

    told = tell(act, faults=faults, data_types=ALL, rate_hz=1.0)

    told.check_whole()
    causes = {
        (gap["data_type"], gap["state"])
        for gap in told.gaps
        if gap["cause"] == "delisted"
    }
    assert causes == {
        ("trade", "closed"),
        ("orderbook", "unrecoverable"),
        ("ticker", "unrecoverable"),
    }
    assert {gap["symbol"] for gap in told.gaps} == {"ETH-USDT"}


def test_a_symbol_delisted_over_a_restart_is_not_forgotten(tell: Tell) -> None:
    faults = [GONE, Fault(kind="relist", symbol="ETH-USDT", at_s=900.0)]

    async def first(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(30.0)
        await until(manager, "ETH-USDT", "halted", 120.0)

    async def second(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(400.0)
        assert states_of(manager, "ETH-USDT") == set()

    async def third(manager: CollectorManager, line: MemoryVenue) -> None:
        await until(manager, "ETH-USDT", "live", 1_500.0)
        await anyio.sleep(30.0)

    told = tell(first, second, third, faults=faults, rate_hz=1.0)

    told.check_whole()
    eth = [gap for gap in told.trade_gaps if gap["symbol"] == "ETH-USDT"]
    assert len(eth) == 1
    assert (eth[0]["cause"], eth[0]["state"]) == ("delisted", "closed")


@pytest.mark.parametrize("venue", ["binance"], indirect=True)
def test_a_new_spelling_of_a_symbol_is_followed(tell: Tell) -> None:
    rename = Fault(
        kind="rename", market="spot", symbol="ETH-USDT", to="ETH2USDT", at_s=30.0
    )

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        changes = watch(manager)
        await anyio.sleep(30.0)
        await anyio.sleep(150.0)
        assert states_of(manager, "ETH-USDT") == {"live"}
        assert states_of(manager, "BTC-USDT") == {"live"}
        assert changes == []

    told = tell(act, faults=[rename], data_types=ALL, rate_hz=3.0)

    assert told.accounts.ok, told.accounts.as_dict()
    assert told.accounts.total("lost") == 0
    assert {gap["symbol"] for gap in told.gaps} <= {"ETH-USDT"}
    newest = told.simulator.market.feed("spot", "ETH-USDT").executions[-1]
    stored = [row for row in told.trades if row["symbol"] == "ETH-USDT"]
    assert max(row["exchange_ns"] for row in stored) > newest.exchange_ns - 20 * 10**9


@pytest.mark.parametrize("venue", ["okx"], indirect=True)
def test_a_symbol_that_became_another_is_halted_with_a_sentence(tell: Tell) -> None:
    rename = Fault(
        kind="rename", market="spot", symbol="ETH-USDT", to="ETHX-USDT", at_s=30.0
    )

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        changes = watch(manager)
        await anyio.sleep(30.0)
        await until(manager, "ETH-USDT", "halted", 120.0)
        assert "new since the last look: ETHX-USDT" in changes[0].reason
        await anyio.sleep(30.0)
        assert states_of(manager, "BTC-USDT") == {"live"}
        assert link_of(manager)["reconnects"] == 0

    told = tell(act, faults=[rename], rate_hz=3.0)

    # The fills of the new name are nobody's; those before are all accounted for.
    assert told.accounts.ok, told.accounts.as_dict()


def test_a_removed_symbol_claims_no_downtime_when_it_comes_back(tell: Tell) -> None:
    """Nobody wanted it in between, so nothing is missing: coverage begins anew."""

    async def remove(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(20.0)
        (name,) = manager.list_collectors()
        collector = manager.collector(name)
        assert collector is not None
        collector.remove_symbol("ETH-USDT")
        await anyio.sleep(10.0)
        engine = manager.engine
        assert engine is not None
        assert engine.pipeline.later == {}
        # Also a kill from here on finds nothing that could claim a downtime.
        assert engine.journal is not None
        _, saved = engine.journal.checkpoints()["pipeline"]
        assert b"BTC-USDT" in saved
        assert b"ETH-USDT" not in saved

    async def again(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(20.0)

    told = tell(remove, again, rate_hz=5.0)

    told.check_whole()
    assert {gap["symbol"] for gap in told.gaps} == {"BTC-USDT"}
    spans = [
        (one["first_id"], one["last_id"])
        for one in told.coverage
        if one["symbol"] == "ETH-USDT" and one["data_type"] == "trade"
    ]
    assert len(spans) == 2
    (_, end), (start, _) = sorted(spans)
    assert start > end + 1


def test_a_symbol_out_of_the_configuration_is_forgotten(tell: Tell) -> None:
    """First kept, as its collector may be late; then given up, with what it misses."""
    beyond = Fault(kind="drop", channel="trades", symbol="ETH-USDT", at_s=19.9)

    async def with_both(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(20.0)

    async def with_one(manager: CollectorManager, line: MemoryVenue) -> None:
        engine = manager.engine
        assert engine is not None
        await anyio.sleep(30.0)
        assert "ETH-USDT" in {stream.symbol for stream in engine.ledger.streams()}
        await anyio.sleep(60.0)
        assert {stream.symbol for stream in engine.ledger.streams()} == {"BTC-USDT"}
        assert not engine.pipeline.saved_candles
        assert not engine.pipeline.later

    told = tell(
        with_both,
        with_one,
        with_both,
        faults=[beyond],
        symbols_then=["BTC-USDT"],
        rate_hz=5.0,
    )

    assert told.accounts.ok, told.accounts.as_dict()
    assert told.open_gaps == []
    assert [gap for gap in told.trade_gaps if gap["cause"] == "downtime"]
    assert {gap["symbol"] for gap in told.trade_gaps if gap["cause"] == "downtime"} == {
        "BTC-USDT"
    }
