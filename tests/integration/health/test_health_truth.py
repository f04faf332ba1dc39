"""Ready exactly while all that is required comes, within the time it takes to tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager
from tapeline.errors import SinkUnavailable
from tapeline.model import DataType, HealthLevel
from tapeline.testing import Fault, MemorySink, MemorySinkAdapter, MemoryVenue

Watch = Callable[..., Any]

STALL_S = 5.0
HALF_OPEN_S = 10.0
DISCONNECT_S = 2.0
ALL = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)


def test_a_market_that_flows_is_ready_soon_and_stays_so(watch: Watch) -> None:
    told = watch(60.0, data_types=ALL)

    told.check(STALL_S)
    told.check_always_ready()
    assert told.ready_after_s <= 3.0
    assert told.levels() == {HealthLevel.HEALTHY}


def test_thirty_minutes_without_a_trade_are_ready_throughout(watch: Watch) -> None:
    told = watch(1_800.0, rate_hz=1 / 100_000, data_types=(DataType.TRADE,))

    told.check_always_ready()
    assert told.levels() == {HealthLevel.HEALTHY}


def test_a_market_with_pauses_of_minutes_is_ready_throughout(watch: Watch) -> None:
    told = watch(1_800.0, rate_hz=0.02)

    told.check_always_ready()


@pytest.mark.parametrize("kind", ["trade", "book"])
def test_a_muted_stream_is_told_within_five_seconds(
    watch: Watch, venue: Any, kind: str
) -> None:
    channel = venue.trades if kind == "trade" else venue.book
    mute = Fault(
        kind="mute", channel=channel, symbol=venue.symbol, at_s=30.0, for_s=40.0
    )

    told = watch(120.0, faults=[mute], data_types=ALL)

    told.check(STALL_S, well_s=5.0)
    assert told.red_s


def test_a_half_open_socket_is_told_within_ten_seconds(watch: Watch) -> None:
    told = watch(60.0, faults=[Fault(kind="half-open", at_s=30.0)], data_types=ALL)

    told.check(HALF_OPEN_S)


@pytest.mark.parametrize("kind", ["abort", "close"])
def test_a_lost_connection_is_told_at_once(watch: Watch, kind: str) -> None:
    faults = [
        Fault(kind=kind, at_s=30.0),
        Fault(kind="refuse", at_s=29.0, for_s=30.0),
    ]

    told = watch(130.0, faults=faults, data_types=ALL)

    told.check(DISCONNECT_S)
    assert len(told.red_s) >= 25


def test_a_venue_that_is_away_is_told_at_once_also_when_nobody_trades(
    watch: Watch,
) -> None:
    async def act(manager: CollectorManager, line: MemoryVenue, changes: Any) -> None:
        await anyio.sleep(400.0)
        line.set_reachable(False)
        await anyio.sleep(60.0)
        assert not manager.health().ready
        line.set_reachable(True)
        await anyio.sleep(120.0)
        assert manager.health().ready

    told = watch(act, rate_hz=1 / 100_000)

    assert min(told.red_s) <= 403.0


def test_rest_and_socket_mute_at_once_are_told(watch: Watch, venue: Any) -> None:
    """Without an answer nobody can tell; a liquid stream that stops is not well."""
    faults = [
        Fault(kind="mute", at_s=60.0, for_s=60.0),
        Fault(kind="rest-status", at_s=59.0, for_s=61.0, status=503),
    ]

    told = watch(150.0, faults=faults, data_types=ALL)

    told.check(STALL_S, well_s=5.0)
    assert len(told.red_s) >= 50


def test_a_stream_that_is_acked_and_never_flows_is_told(
    watch: Watch, venue: Any
) -> None:
    mute = Fault(
        kind="ack-and-mute", channel=venue.trades, symbol=venue.symbol, for_s=60.0
    )

    async def act(manager: CollectorManager, line: MemoryVenue, changes: Any) -> None:
        await anyio.sleep(30.0)
        assert not manager.health().ready
        await anyio.sleep(120.0)
        assert manager.health().ready

    told = watch(act, faults=[mute])

    told.check(STALL_S, well_s=5.0)


def test_a_stream_without_an_ack_is_told(watch: Watch, venue: Any) -> None:
    faults = [
        Fault(kind="abort", at_s=30.0),
        Fault(
            kind="no-ack",
            channel=venue.trades,
            symbol=venue.symbol,
            at_s=29.0,
            for_s=30.0,
        ),
    ]

    told = watch(150.0, faults=faults)

    told.check(DISCONNECT_S, well_s=5.0)


def test_a_rotation_is_not_seen(watch: Watch) -> None:
    notice = Fault(kind="notice", at_s=30.0, deadline_s=30.0)

    told = watch(100.0, faults=[notice], data_types=ALL)

    told.check_always_ready()
    (link,) = told.status["engine"]["feeds"].values()
    assert link["sockets"][0]["counters"]["rotations"] >= 1


def test_a_backfill_that_takes_long_is_ready_while_data_flows(
    watch: Watch, venue: Any
) -> None:
    faults = [
        Fault(kind="abort", at_s=30.0),
        Fault(kind="refuse", at_s=29.0, for_s=6.0),
        Fault(
            kind="rest-status", path=venue.history, at_s=29.0, for_s=150.0, status=503
        ),
    ]

    told = watch(240.0, faults=faults)

    told.check(DISCONNECT_S, well_s=5.0)
    late = [one for one in told.samples if one.at_s > 45.0]
    assert all(one.health.ready for one in late)
    degraded = [one for one in late if one.health.level is HealthLevel.DEGRADED]
    assert degraded, "a gap that stays open is told"
    assert late[-1].health.level is HealthLevel.HEALTHY


@pytest.mark.parametrize("kind", ["halt", "delist"])
def test_one_symbol_that_is_traded_no_more_degrades(watch: Watch, kind: str) -> None:
    told = watch(
        240.0,
        faults=[Fault(kind=kind, symbol="ETH-USDT", at_s=30.0)],
        required=[("BTC-USDT", "trade")],
    )

    told.check_always_ready()
    assert told.samples[-1].health.level is HealthLevel.DEGRADED
    assert any("is not traded any more" in text for text in told.warnings())


def test_a_symbol_that_nobody_lists_is_told_from_the_start(watch: Watch) -> None:
    async def act(manager: CollectorManager, line: MemoryVenue, changes: Any) -> None:
        collector = manager.collector(manager.list_collectors()[0])
        assert collector is not None
        await anyio.sleep(20.0)
        assert manager.health().ready
        collector.add_symbol("BTC-UDST")
        await anyio.sleep(5.0)
        health = manager.health()
        assert not health.ready
        assert "BTC-UDST" in health.issues[0]
        collector.remove_symbol("BTC-UDST")
        await anyio.sleep(2.0)
        assert manager.health().ready

    watch(act)


def test_a_book_that_is_not_valid_is_told_until_it_is(watch: Watch, venue: Any) -> None:
    """Its trades go on; one venue starts books over REST, the other on the socket."""
    faults = [
        Fault(kind="drop", channel=venue.deep_book, at_s=30.0, for_s=1.0),
        Fault(kind="no-ack", channel=venue.deep_book, at_s=30.0, for_s=9.0),
        Fault(kind="mute", channel=venue.deep_book, at_s=31.2, for_s=9.0),
        Fault(kind="rest-status", path="/api/v3/depth", at_s=30.0, for_s=9.0),
        Fault(kind="reset-sequence", channel=venue.deep_book, at_s=60.0),
        Fault(kind="crossed-book", channel=venue.deep_book, at_s=80.0),
    ]

    told = watch(
        100.0,
        faults=faults,
        data_types=(DataType.TRADE, DataType.ORDERBOOK),
        options={"depth": venue.deep_book},
        required=[("BTC-USDT", "trade"), ("ETH-USDT", "trade")],
        books=True,
    )

    told.check(0.0)
    assert any("is not valid" in text for text in told.issues())


def test_a_ban_with_live_streams_degrades(watch: Watch, venue: Any) -> None:
    body = '{"code":-1003,"msg":"Way too many requests; IP banned."}'
    faults = [
        Fault(kind="abort", at_s=30.0),
        Fault(kind="refuse", at_s=29.0, for_s=6.0),
        Fault(
            kind="rest-status",
            path=venue.history,
            at_s=29.0,
            for_s=60.0,
            status=418,
            retry_after_s=60,
            body=body,
        ),
    ]

    told = watch(150.0, faults=faults)

    told.check(DISCONNECT_S, well_s=5.0)
    warned = any("answers no request" in text for text in told.warnings())
    # OKX limits one kind of request; Binance bans the address.
    assert warned == (venue.name == "binance")


def test_a_sink_that_is_away_degrades_and_is_told_when_it_stays_away(
    watch: Watch,
) -> None:
    memory = MemorySinkAdapter()

    async def act(manager: CollectorManager, line: MemoryVenue, changes: Any) -> None:
        await anyio.sleep(20.0)
        sink: MemorySink = memory.sinks[0]
        sink.write_error = SinkUnavailable("expected the database, found it down")
        for _ in range(28):
            await anyio.sleep(1.0)
            assert manager.health().ready
        assert manager.health().level is HealthLevel.DEGRADED
        await anyio.sleep(10.0)
        assert not manager.health().ready
        for each in memory.sinks:
            each.write_error = None
        await anyio.sleep(30.0)
        assert manager.health().ready
        assert manager.health().level is HealthLevel.HEALTHY

    watch(act, memory=memory)


def test_a_sink_that_hangs_is_told_when_it_blocks(watch: Watch) -> None:
    memory = MemorySinkAdapter()

    async def act(manager: CollectorManager, line: MemoryVenue, changes: Any) -> None:
        await anyio.sleep(20.0)
        memory.sinks[0].hang()
        await anyio.sleep(25.0)
        assert manager.health().ready
        await anyio.sleep(15.0)
        assert not manager.health().ready
        for sink in memory.sinks:
            sink.release()
        await anyio.sleep(40.0)
        assert manager.health().ready

    watch(act, memory=memory)
