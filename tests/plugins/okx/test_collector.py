"""``OKXCollector`` as a user holds it, against the simulator in virtual time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tapeline import (
    CollectorManager,
    ConfigError,
    DataType,
    ExchangeCollectorConfig,
    ExchangeFactory,
    MarketDataPoint,
    Trade,
    create_collector,
    get_exchange_info,
    get_supported_exchanges,
    refresh_instruments,
)
from tapeline.runtime import use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    Fault,
    InlineExecutor,
    Market,
    MemoryVenue,
    VirtualClock,
    run_virtual,
)
from tapeline_okx import OKXCollector, create_okx_collector
from tapeline_okx.simulator import OkxSimulator

Body = Callable[[OkxSimulator], Awaitable[None]]


def simulate(body: Body, faults: Sequence[Fault] = (), rate_hz: float = 10.0) -> None:
    """Run *body* with OKX simulated in this process."""

    async def inside() -> None:
        clock = VirtualClock()
        market = Market(4, rate_hz=rate_hz, start_ns=clock.wall_ns())
        simulator = OkxSimulator(market, faults=faults)
        async with MemoryVenue(simulator, clock) as venue:
            seams = Seams(
                clock, venue.dialer, venue.http, InlineExecutor(), random.Random(1)
            )
            with use_seams(seams):
                await body(simulator)
        assert simulator.police.violations == {}

    run_virtual(inside)


def test_trades_reach_a_callback_once_and_in_order() -> None:
    async def body(simulator: OkxSimulator) -> None:
        collector = OKXCollector(["BTC-USDT"], [DataType.TRADE])
        trades: list[Trade] = []
        collector.add_data_callback(DataType.TRADE, trades.append)
        assert await collector.start() is True
        await anyio.sleep(30)
        status = collector.get_status()
        await collector.stop()

        assert len(trades) > 50
        for before, after in itertools.pairwise(trades):
            assert after.first_id == before.last_id + 1
        first = trades[0]
        assert isinstance(first, MarketDataPoint)
        assert isinstance(first.price, Decimal)
        assert first.data["side"] in ("buy", "sell")
        assert (first.exchange, first.symbol) == ("okx", "BTC-USDT")
        assert status["status"] == "running"
        assert status["statistics"]["messages_processed"] == len(trades)

    simulate(body)


def test_async_callbacks_and_an_overridden_notify_get_everything_too() -> None:
    class Monitored(OKXCollector):
        seen = 0

        async def _notify_callbacks(self, data_point: MarketDataPoint) -> None:
            type(self).seen += 1
            await super()._notify_callbacks(data_point)

    async def body(simulator: OkxSimulator) -> None:
        points: list[MarketDataPoint] = []

        async def later(point: MarketDataPoint) -> None:
            await anyio.lowlevel.checkpoint()
            points.append(point)

        collector = Monitored("BTC-USDT", [DataType.TICKER, DataType.TRADE])
        collector.add_data_callback(DataType.TRADE, later)
        await collector.start()
        await anyio.sleep(20)
        await collector.stop()

        assert len(points) > 30
        assert Monitored.seen > len(points)

    simulate(body)


def test_a_callback_that_raises_hurts_nobody_else() -> None:
    async def body(simulator: OkxSimulator) -> None:
        collector = OKXCollector("BTC-USDT", [DataType.TRADE])
        good: list[object] = []

        def bad(point: object) -> None:
            raise RuntimeError("no")

        collector.add_data_callback(DataType.TRADE, bad)
        collector.add_data_callback(DataType.TRADE, good.append)
        await collector.start()
        await anyio.sleep(20)
        status = collector.get_status()
        await collector.stop()

        assert len(good) > 20
        assert status["statistics"]["errors"] == len(good)
        assert status["statistics"]["restarts"] == 0

    simulate(body)


def test_a_symbol_is_added_and_removed_without_touching_the_others() -> None:
    async def body(simulator: OkxSimulator) -> None:
        collector = OKXCollector("BTC-USDT", [DataType.TRADE])
        seen: dict[str, int] = {}

        def note(point: MarketDataPoint) -> None:
            seen[point.symbol] = seen.get(point.symbol, 0) + 1

        collector.add_data_callback(DataType.TRADE, note)
        await collector.start()
        await anyio.sleep(10)
        collector.add_symbol("ETH-USDT")
        await anyio.sleep(10)
        assert seen["ETH-USDT"] > 20
        collector.remove_symbol("ETH-USDT")
        await anyio.sleep(2)
        eth, btc = seen["ETH-USDT"], seen["BTC-USDT"]
        await anyio.sleep(10)
        await collector.stop()

        assert seen["ETH-USDT"] == eth
        assert seen["BTC-USDT"] > btc
        assert simulator.opened == 1

    simulate(body)


def test_candles_of_several_timeframes_come_from_trades() -> None:
    async def body(simulator: OkxSimulator) -> None:
        collector = OKXCollector(
            "BTC-USDT",
            [DataType.TRADE],
            custom_params={"timeframes": ["1s", "10s"]},
        )
        bars: dict[str, int] = {}

        def note(bar: Any) -> None:
            bars[bar.timeframe] = bars.get(bar.timeframe, 0) + 1

        collector.add_data_callback(DataType.CANDLE, note)
        await collector.start()
        await anyio.sleep(65)
        await collector.stop()

        assert bars["1s"] > 50
        assert 6 <= bars["10s"] <= 8

    simulate(body)


def test_a_swap_is_another_market_of_the_same_symbol() -> None:
    async def body(simulator: OkxSimulator) -> None:
        collector = OKXCollector(
            "BTC-USDT", [DataType.TRADE], custom_params={"market": "swap"}
        )
        trades: list[Trade] = []
        collector.add_data_callback(DataType.TRADE, trades.append)
        await collector.start()
        await anyio.sleep(20)
        await collector.stop()

        assert len(trades) > 20
        assert {trade.market for trade in trades} == {"swap"}

    simulate(body)


def test_an_unknown_symbol_is_an_issue_and_the_known_one_flows() -> None:
    async def body(simulator: OkxSimulator) -> None:
        collector = OKXCollector(["BTC-USDT", "NOPE-USDT"], [DataType.TRADE])
        trades: list[Trade] = []
        collector.add_data_callback(DataType.TRADE, trades.append)
        await collector.start()
        await anyio.sleep(10)
        health = collector.get_health_status()
        await collector.stop()

        assert len(trades) > 10
        assert any("NOPE-USDT" in issue for issue in health["issues"])

    simulate(body)


def test_collectors_of_one_manager_share_an_engine_and_stop_alone() -> None:
    async def body(simulator: OkxSimulator) -> None:
        manager = CollectorManager()
        seen: dict[str, int] = {"BTC-USDT": 0, "ETH-USDT": 0}

        def note(point: MarketDataPoint) -> None:
            seen[point.symbol] += 1

        for symbol in seen:
            collector = create_okx_collector(symbol, [DataType.TRADE])
            collector.add_data_callback(DataType.TRADE, note)
            manager.add_collector(collector)
        assert await manager.start() is True
        await anyio.sleep(10)
        assert manager.disable_collector("okx_btc_usdt") is True
        await anyio.sleep(2)
        btc, eth = seen["BTC-USDT"], seen["ETH-USDT"]
        await anyio.sleep(10)
        assert seen["BTC-USDT"] == btc
        assert seen["ETH-USDT"] > eth
        assert manager.enable_collector("okx_btc_usdt") is True
        await anyio.sleep(10)
        assert seen["BTC-USDT"] > btc
        assert manager.get_status()["statistics"]["failed_collectors"] == 0
        await manager.stop()

    simulate(body)


def test_a_venue_that_refuses_shows_error_and_recovers() -> None:
    async def body(simulator: OkxSimulator) -> None:
        collector = OKXCollector(
            "BTC-USDT", [DataType.TRADE], custom_params={"max_reconnect_attempts": 2}
        )
        await collector.start()
        await anyio.sleep(60)
        during = collector.get_status()
        await anyio.sleep(200)
        after = collector.get_status()
        await collector.stop()

        assert during["status"] == "error"
        assert during["statistics"]["last_error"]
        assert after["status"] == "running"
        assert after["statistics"]["messages_processed"] > 0

    simulate(body, [Fault(kind="refuse", for_s=90.0, status=503)])


def test_the_factory_makes_okx_collectors_and_knows_what_okx_supports() -> None:
    async def body(simulator: OkxSimulator) -> None:
        assert "okx" in get_supported_exchanges()
        info = get_exchange_info("okx")
        assert {"trade", "ticker", "orderbook", "balance"} <= set(
            info["supported_data_types"]
        )
        config = ExchangeCollectorConfig("okx", "BTC-USDT", [DataType.TRADE])
        assert ExchangeFactory.validate_config(config) is True
        collector = ExchangeFactory.create_collector(config)
        assert isinstance(collector, OKXCollector)
        assert isinstance(create_collector("okx", ["BTC-USDT"]), OKXCollector)

        symbols = await refresh_instruments("okx")
        assert "BTC-USDT" in symbols == ExchangeFactory.get_supported_pairs("okx")
        unknown = ExchangeCollectorConfig("okx", "NOPE-USDT", [DataType.TRADE])
        assert ExchangeFactory.validate_config(unknown) is False

    simulate(body)


@pytest.mark.parametrize(
    "config",
    [
        ExchangeCollectorConfig("nope", "BTC-USDT", [DataType.TRADE]),
        ExchangeCollectorConfig("okx", "btcusdt", [DataType.TRADE]),
        ExchangeCollectorConfig("okx", [], [DataType.TRADE]),
        ExchangeCollectorConfig("okx", "BTC-USDT", ["moon"]),
        ExchangeCollectorConfig("okx", "BTC-USDT", ["trade"], health_check_interval=0),
        ExchangeCollectorConfig(
            "okx", "BTC-USDT", ["trade"], custom_params={"depht": "books"}
        ),
        ExchangeCollectorConfig(
            "okx", "BTC-USDT", ["trade"], custom_params={"timeframes": ["7m"]}
        ),
        ExchangeCollectorConfig(
            "okx", "BTC-USDT", ["trade"], custom_params={"market": "moon"}
        ),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_with_sentences(
    config: ExchangeCollectorConfig,
) -> None:
    assert ExchangeFactory.validate_config(config) is False
    with pytest.raises(ConfigError, match="expected"):
        ExchangeFactory.create_collector(config)
