"""What users were promised of collectors of installed exchanges, done as they would.

Both exchanges are simulated in this process, on the virtual clock.
"""

from __future__ import annotations

import inspect
import json
import logging
import random
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

import tapeline_binance
import tapeline_okx
from tapeline import (
    BaseDataCollector,
    Candle,
    CollectorConfig,
    CollectorManager,
    CollectorStatus,
    ConfigError,
    DataType,
    EngineSettings,
    ExchangeCollector,
    ExchangeCollectorConfig,
    ExchangeFactory,
    MarketDataPoint,
    OHLCVData,
    RateLimiter,
    UnknownExchange,
    create_collector,
    get_exchange_info,
    get_supported_exchanges,
    refresh_instruments,
)
from tapeline.plugins import PluginRegistry
from tapeline.runtime import use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    InlineExecutor,
    Market,
    MemoryVenue,
    VirtualClock,
    run_virtual,
)

Body = Callable[[MemoryVenue], Awaitable[Any]]

CLASSES = {
    "okx": tapeline_okx.OKXCollector,
    "binance": tapeline_binance.BinanceCollector,
}
CREATORS = {
    "okx": tapeline_okx.create_okx_collector,
    "binance": tapeline_binance.create_binance_collector,
}
both = pytest.mark.parametrize("exchange", ["okx", "binance"])


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def simulate(exchange: str, body: Body) -> Any:
    """Run *body* with *exchange* simulated in this process."""

    async def inside() -> Any:
        clock = VirtualClock()
        adapter = PluginRegistry().exchange(exchange)
        simulator = adapter.simulator(Market(4, rate_hz=10.0, start_ns=clock.wall_ns()))
        assert simulator is not None
        async with MemoryVenue(simulator, clock) as venue:
            seams = Seams(
                clock, venue.dialer, venue.http, InlineExecutor(), random.Random(1)
            )
            with use_seams(seams):
                return await body(venue)

    return run_virtual(inside)


def stored(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of a database."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


# -- making collectors ------------------------------------------------------------


@both
def test_constructors_of_both_exchanges_have_the_promised_parameters(
    exchange: str,
) -> None:
    promised = {
        "symbol": inspect.Parameter.empty,
        "data_types": None,
        "auto_restart": True,
        "health_check_interval": 30.0,
        "store_raw_data": False,
        "custom_params": None,
        "logger": None,
        "log_errors_only": False,
    }
    for make in (CLASSES[exchange], CREATORS[exchange]):
        found = {
            name: parameter.default
            for name, parameter in inspect.signature(make).parameters.items()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        }
        assert list(found.items()) == list(promised.items())


@both
def test_the_symbol_is_positional_or_keyword_one_or_a_list(exchange: str) -> None:
    for make in (CLASSES[exchange], CREATORS[exchange]):
        assert make(["BTC-USDT"]).symbols == ["BTC-USDT"]
        assert make("BTC-USDT").symbols == ["BTC-USDT"]
        assert make(symbol="BTC-USDT").symbols == ["BTC-USDT"]
        several = make(symbol=["BTC-USDT", "ETH-USDT"])
        assert several.symbols == ["BTC-USDT", "ETH-USDT"]
        assert several.data_types == [DataType.TRADE, DataType.ORDERBOOK]
        assert isinstance(several, CLASSES[exchange])


@both
def test_the_factory_the_registry_and_the_convenience_agree(exchange: str) -> None:
    config = ExchangeCollectorConfig(
        exchange=exchange,
        symbol="BTC-USDT",
        data_types=[DataType.TRADE, DataType.ORDERBOOK],
        auto_restart=True,
        health_check_interval=30.0,
        store_raw_data=True,
        custom_params={"ping_interval": 25.0, "max_reconnect_attempts": 5},
    )
    assert exchange in get_supported_exchanges()
    assert ExchangeFactory.validate_config(config) is True
    made = ExchangeFactory.create_collector(config, logger=None, log_errors_only=True)
    assert isinstance(made, CLASSES[exchange])
    assert (made.store_raw_data, made.log_errors_only) == (True, True)
    assert made.config.ping_interval_s == 25.0
    assert isinstance(create_collector(exchange, ["BTC-USDT"]), CLASSES[exchange])

    info = get_exchange_info(exchange)
    offered = ExchangeFactory.get_supported_data_types(exchange)
    assert sorted(info["supported_data_types"]) == offered
    assert set(offered) == {"trade", "orderbook", "ticker", "candle", "balance"}


def test_an_exchange_that_is_not_there_is_named() -> None:
    nowhere = ExchangeCollectorConfig("okxx", "BTC-USDT", [DataType.TRADE])
    assert ExchangeFactory.validate_config(nowhere) is False
    with pytest.raises(ConfigError, match="did you mean 'okx'"):
        ExchangeFactory.create_collector(nowhere)
    for ask in (get_exchange_info, ExchangeFactory.get_supported_pairs):
        with pytest.raises(UnknownExchange, match="okxx"):
            ask("okxx")


@both
def test_a_cache_that_was_refreshed_validates_symbols_without_the_network(
    exchange: str,
) -> None:
    async def body(venue: MemoryVenue) -> None:
        made_up = ExchangeCollectorConfig(exchange, "NOPE-USDT", [DataType.TRADE])
        await refresh_instruments(exchange, markets=())
        assert ExchangeFactory.get_supported_pairs(exchange) == []
        assert ExchangeFactory.validate_config(made_up) is True, "its form is good"

        pairs = await refresh_instruments(exchange)
        asked = venue.requests
        assert "BTC-USDT" in pairs == ExchangeFactory.get_supported_pairs(exchange)
        assert get_exchange_info(exchange)["supported_pairs"] == pairs
        assert ExchangeFactory.validate_config(made_up) is False
        good = ExchangeCollectorConfig(exchange, "BTC-USDT", [DataType.TRADE])
        assert ExchangeFactory.validate_config(good) is True
        assert venue.requests == asked
        await refresh_instruments(exchange, markets=())

    simulate(exchange, body)


# -- data -------------------------------------------------------------------------


@both
def test_each_data_type_comes_normalized_to_its_callbacks(exchange: str) -> None:
    types = [DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLE]

    async def body(venue: MemoryVenue) -> None:
        collector = CREATORS[exchange](
            "BTC-USDT", types, custom_params={"timeframes": ["1s", "5s"]}
        )
        seen: dict[DataType, list[Any]] = {each: [] for each in types}
        for each in types:
            collector.add_data_callback(each, seen[each].append)
        assert await collector.start()
        await anyio.sleep(20)
        await collector.stop()

        for each in types:
            assert seen[each], each
            for point in seen[each]:
                assert isinstance(point, MarketDataPoint)
                assert (point.exchange, point.symbol) == (exchange, "BTC-USDT")
                assert point.data_type.value == each.value  # type: ignore[attr-defined]
                assert point.timestamp.utcoffset() == timedelta(0)
                assert point.data
        assert {type(t.data["price"]) for t in seen[DataType.TRADE]} == {Decimal}
        bars = seen[DataType.CANDLE]
        assert {bar.timeframe for bar in bars} == {"1s", "5s"}
        assert all(isinstance(bar, OHLCVData | Candle) for bar in bars)
        assert all(bar.low <= bar.close <= bar.high for bar in bars)

    simulate(exchange, body)


@both
def test_without_a_sink_candles_and_raw_messages_go_to_the_embedded_database(
    exchange: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("test.promised.embedded")

    async def body(venue: MemoryVenue) -> None:
        collector = CREATORS[exchange](
            "BTC-USDT",
            [DataType.TRADE, DataType.CANDLE],
            store_raw_data=True,
            custom_params={"timeframes": ["1s"]},
            logger=log,
        )
        assert await collector.start()
        await anyio.sleep(10)
        await collector.stop()

    with caplog.at_level(logging.INFO, logger=log.name):
        simulate(exchange, body)
    database = tmp_path / "data" / "market.db"
    bars = stored(database, "SELECT DISTINCT timeframe FROM market_data")
    (raw,) = stored(database, "SELECT count(*) FROM raw_trades")
    (trades,) = stored(database, "SELECT count(*) FROM trades")
    assert bars == [("1s",)]
    assert raw >= trades > (50,)
    told = [record.getMessage() for record in caplog.records]
    assert any("storing to the embedded database" in line for line in told)


def test_without_need_and_sink_nothing_is_written(tmp_path: Path) -> None:
    async def body(venue: MemoryVenue) -> None:
        collector = CREATORS["okx"]("BTC-USDT", [DataType.TRADE])
        assert await collector.start()
        await anyio.sleep(5)
        await collector.stop()

    simulate("okx", body)
    assert list(tmp_path.iterdir()) == []


def test_sinks_of_a_manager_and_of_one_collector_are_given_without_a_file(
    tmp_path: Path,
) -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager(sinks=[{"use": "sqlite", "path": "all.db"}])
        btc = CREATORS["okx"]("BTC-USDT", [DataType.TRADE])
        btc.add_sink({"use": "sqlite", "path": "btc.db"})
        manager.add_collector(btc)
        manager.add_collector(CREATORS["okx"]("ETH-USDT", [DataType.TRADE]))
        assert await manager.start()
        await anyio.sleep(10)
        await manager.stop()

    simulate("okx", body)
    query = "SELECT DISTINCT symbol FROM trades ORDER BY symbol"
    assert stored(tmp_path / "all.db", query) == [("BTC-USDT",), ("ETH-USDT",)]
    assert stored(tmp_path / "btc.db", query) == [("BTC-USDT",)]


# -- callbacks --------------------------------------------------------------------


def test_a_callback_that_never_returns_holds_back_neither_others_nor_a_stop() -> None:
    async def body(venue: MemoryVenue) -> None:
        collector = CREATORS["okx"]("BTC-USDT", [DataType.TRADE])
        sync: list[Any] = []
        later: list[Any] = []
        stuck: list[Any] = []

        async def hang(point: object) -> None:
            stuck.append(point)
            await anyio.sleep_forever()

        async def remember(point: object) -> None:
            later.append(point)

        for callback in (hang, sync.append, remember):
            collector.add_data_callback(DataType.TRADE, callback)
        await collector.start()
        await anyio.sleep(20)
        status = collector.get_status()
        healthy = collector.get_health_status()["is_healthy"]
        before = anyio.current_time()
        await collector.stop()

        assert anyio.current_time() - before < 15
        assert len(stuck) == 1
        assert len(sync) > 100
        assert later == sync[: len(later)]
        assert len(later) >= len(sync) - 5
        assert healthy
        assert status["statistics"]["restarts"] == 0

    simulate("okx", body)


def test_a_callback_may_end_its_own_collector() -> None:
    async def body(venue: MemoryVenue) -> None:
        collector = CREATORS["okx"]("BTC-USDT", [DataType.TRADE])
        seen: list[Any] = []

        async def five(point: object) -> None:
            seen.append(point)
            if len(seen) == 5:
                await collector.stop()

        collector.add_data_callback(DataType.TRADE, five)
        await collector.start()
        with anyio.fail_after(60):
            while collector.status is not CollectorStatus.STOPPED:  # noqa: ASYNC110
                await anyio.sleep(0.1)
        assert collector.engine is None
        assert await collector.start(), "and it can be started again"
        await collector.stop()

    simulate("okx", body)


def test_a_lambda_around_an_async_function_is_awaited() -> None:
    async def body(venue: MemoryVenue) -> None:
        collector = CREATORS["okx"]("BTC-USDT", [DataType.TRADE])
        seen: list[Any] = []

        async def remember(point: object) -> None:
            seen.append(point)

        collector.add_data_callback(DataType.TRADE, lambda point: remember(point))
        await collector.start()
        await anyio.sleep(5)
        await collector.stop()
        assert len(seen) > 20
        assert [t.first_id for t in seen] == sorted(t.first_id for t in seen)

    simulate("okx", body)


# -- environment and custom parameters --------------------------------------------


def test_max_reconnect_attempts_of_a_collector_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAX_RECONNECT_ATTEMPTS", "2")

    async def body(venue: MemoryVenue) -> None:
        quick = CREATORS["okx"]("BTC-USDT", [DataType.TRADE])
        patient = CREATORS["okx"](
            "BTC-USDT", [DataType.TRADE], custom_params={"max_reconnect_attempts": 1000}
        )
        manager = CollectorManager()
        told: list[str] = []
        manager.add_observer(lambda change: told.append(change.after))
        manager.add_collector(quick)
        manager.add_collector(patient)
        await manager.start()
        await anyio.sleep(10)
        venue.set_reachable(False)
        await anyio.sleep(300)
        failed = manager.get_failed_collectors()
        running = manager.get_running_collectors()
        after = list(told)
        venue.set_reachable(True)
        await anyio.sleep(120)
        recovered = manager.get_failed_collectors()
        await manager.stop()

        assert failed == ["okx_btc_usdt"]
        assert running == ["okx_btc_usdt_2"]
        assert "error" in after
        assert recovered == []

    simulate("okx", body)


def test_the_environment_sets_what_a_manager_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAX_SILENCE_DURATION", "77")
    monkeypatch.setenv("RECONNECT_DELAY", "0.25")
    monkeypatch.setenv("DEFAULT_HEALTH_CHECK_INTERVAL", "11")

    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager()
        given = CollectorManager(settings=EngineSettings(max_silence_s=200.0))
        for one in (manager, given):
            one.add_collector(CREATORS["okx"]("BTC-USDT", [DataType.TRADE]))
            await one.start()
        settings = [one.engine.settings for one in (manager, given) if one.engine]
        status = manager.get_collector_status("okx_btc_usdt")
        for one in (manager, given):
            await one.stop()

        assert [one.max_silence_s for one in settings] == [77.0, 200.0]
        assert settings[0].reconnect_delay_s == 0.25
        assert status is not None
        assert status["health"]["max_silence_duration"] == 77.0
        made = CREATORS["okx"]("BTC-USDT")
        assert made.health_check_interval == 11.0
        config = ExchangeCollectorConfig("okx", "BTC-USDT", [DataType.TRADE])
        assert ExchangeFactory.create_collector(config).health_check_interval == 11.0
        explicit = CREATORS["okx"]("BTC-USDT", health_check_interval=30.0)
        assert explicit.health_check_interval == 30.0

    simulate("okx", body)


# -- the manager ------------------------------------------------------------------


def test_the_synchronous_calls_work_before_start_while_running_and_from_a_thread() -> (
    None
):
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager()
        names = ("a", "b", "c")
        for name in names:
            manager.add_collector(
                CREATORS["okx"]("BTC-USDT", [DataType.TRADE]),
                CollectorConfig(name, "okx", ["BTC-USDT"], ["trade"]),
            )
        assert manager.disable_collector("a") is True
        assert manager.remove_collector("b") is True
        assert manager.enable_collector("nobody") is False
        assert await manager.start()
        assert manager.get_running_collectors() == ["c"]

        manager.enable_collector("a")
        manager.add_collector(
            CREATORS["okx"]("ETH-USDT", [DataType.TRADE]),
            CollectorConfig("d", "okx", ["ETH-USDT"], ["trade"]),
        )
        await anyio.sleep(5)
        assert set(manager.get_running_collectors()) == {"a", "c", "d"}

        thread = threading.Thread(target=manager.disable_collector, args=("c",))
        thread.start()
        thread.join(10)
        manager.remove_collector("d")
        await anyio.sleep(5)
        assert manager.get_running_collectors() == ["a"]
        assert manager.list_collectors() == ["a", "c"]
        await manager.stop()

    simulate("okx", body)


def test_disabling_keeps_the_counts_and_no_other_collector_notices() -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager(restart_delay=0.0)
        for name, symbol in (("a", "BTC-USDT"), ("b", "ETH-USDT")):
            manager.add_collector(
                CREATORS["okx"](symbol, [DataType.TRADE]),
                CollectorConfig(name, "okx", [symbol], ["trade"]),
            )
        neighbor = manager.collector("b")
        assert isinstance(neighbor, ExchangeCollector)
        trades: list[Any] = []
        neighbor.add_data_callback(DataType.TRADE, trades.append)
        await manager.start()
        await anyio.sleep(10)
        assert await manager.restart_collector("a")
        manager.disable_collector("a")
        await anyio.sleep(10)
        stopped = manager.get_collector_status("a")
        manager.enable_collector("a")
        await anyio.sleep(10)
        again = manager.get_collector_status("a")
        await manager.stop()

        assert stopped is not None
        assert again is not None
        assert (stopped["status"], stopped["statistics"]["restarts"]) == ("stopped", 1)
        assert stopped["statistics"]["last_restart_time"]
        assert (again["status"], again["statistics"]["restarts"]) == ("running", 1)
        ids = [trade.first_id for trade in trades]
        expected = ids[0]
        for trade in trades:
            assert trade.first_id == expected, "no trade is missing or twice"
            expected = trade.last_id + 1

    simulate("okx", body)


def test_a_forced_stop_has_a_deadline_when_the_venue_is_away(tmp_path: Path) -> None:
    async def body(venue: MemoryVenue) -> None:
        collector = CREATORS["okx"]("BTC-USDT", [DataType.TRADE, DataType.CANDLE])
        await collector.start()
        await anyio.sleep(5)
        venue.set_reachable(False)
        await anyio.sleep(5)
        before = anyio.current_time()
        await collector.stop(force=True)
        assert anyio.current_time() - before < 3
        assert collector.status is CollectorStatus.STOPPED
        assert collector.get_status()["should_be_running"] is False

    simulate("okx", body)


# -- status -----------------------------------------------------------------------


@both
def test_status_and_health_are_json_ready_at_every_moment(exchange: str) -> None:
    async def body(venue: MemoryVenue) -> None:
        collector = CREATORS[exchange]("BTC-USDT")
        documents = [(collector.get_status(), collector.get_health_status())]
        await collector.start()
        documents.append((collector.get_status(), collector.get_health_status()))
        await anyio.sleep(10)
        documents.append((collector.get_status(), collector.get_health_status()))
        venue.set_reachable(False)
        await anyio.sleep(60)
        documents.append((collector.get_status(), collector.get_health_status()))
        await collector.stop()
        documents.append((collector.get_status(), collector.get_health_status()))

        keys = {(frozenset(s), frozenset(s["statistics"])) for s, _ in documents}
        assert len(keys) == 1
        json.dumps(documents, allow_nan=False)
        running, health = documents[2]
        assert running["statistics"]["uptime_seconds"] == pytest.approx(10, abs=1)
        assert running["statistics"]["connection_uptime"] == pytest.approx(10, abs=1)
        assert health["is_healthy"]
        assert health["is_running"]
        assert documents[3][1]["issues"]
        assert not documents[3][1]["is_healthy"]

    simulate(exchange, body)


def test_a_start_that_fails_says_why_and_is_in_error(tmp_path: Path) -> None:
    async def body(venue: MemoryVenue) -> None:
        (tmp_path / "data").write_text("in the way")
        collector = CREATORS["okx"]("BTC-USDT", [DataType.CANDLE])
        assert await collector.start() is False
        status = collector.get_status()
        assert status["status"] == "error"
        assert "data" in status["statistics"]["last_error"]
        await collector.stop()

    simulate("okx", body)


def test_a_limiter_lets_only_so_many_through(tmp_path: Path) -> None:
    async def body(venue: MemoryVenue) -> None:
        limiter = RateLimiter(100, 60, clock=venue.clock)
        for _ in range(100):
            await limiter.acquire()
        before = anyio.current_time()
        await limiter.acquire()
        assert anyio.current_time() - before == pytest.approx(60, abs=0.01)

    simulate("okx", body)


# -- logging ----------------------------------------------------------------------


@pytest.mark.parametrize("given", ["none", "all", "errors"])
def test_a_collector_logs_to_its_logger_all_of_its_story_or_errors_or_nothing(
    caplog: pytest.LogCaptureFixture, given: str
) -> None:
    log = None if given == "none" else logging.getLogger("test.promised.story")

    async def body(venue: MemoryVenue) -> None:
        collector = CREATORS["okx"](
            "BTC-USDT",
            [DataType.TRADE],
            logger=log,
            log_errors_only=given == "errors",
        )
        await collector.start()
        await anyio.sleep(5)
        venue.set_reachable(False)
        await anyio.sleep(5)
        venue.set_reachable(True)
        await anyio.sleep(60)
        await collector.stop()

    with caplog.at_level(logging.DEBUG):
        simulate("okx", body)
    ours = [
        r
        for r in caplog.records
        if r.name.startswith(("test.", "tapeline")) and r.name != "tapeline.plugins"
    ]
    names = {record.name for record in ours}
    if given == "all":
        assert {"test.promised.story", "test.promised.story.link"} <= names
        assert {record.levelname for record in ours} >= {"INFO", "WARNING"}
    elif given == "errors":
        assert {r.levelname for r in ours} <= {"ERROR", "CRITICAL"}
    else:
        assert ours == []


# -- a collector of one's own -----------------------------------------------------


class Dice(BaseDataCollector):
    """Makes up a bar, a trade, a ticker and a book every second."""

    number = 0

    async def connect(self) -> bool:
        return True

    async def disconnect(self) -> None:
        await super().disconnect()

    async def subscribe_to_data(self, symbols: Any, data_types: Any) -> bool:
        return True

    async def unsubscribe_from_data(self, symbols: Any, data_types: Any) -> bool:
        return True

    async def _process_message(self, message: Any) -> MarketDataPoint | None:
        return None

    async def _handle_messages(self) -> None:
        await anyio.sleep(1)
        self.number += 1
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=self.number)
        texts = {"open": 1, "high": 2, "low": 1, "close": "1.5", "volume": 3}
        bar = self.validate_ohlcv_data({"timestamp": at, **texts}, "A-B", "1m")
        await self._notify_callbacks(bar)
        for data_type, data in (
            (DataType.TRADE, {"trade_id": self.number, "price": "1.5", "size": 2}),
            (DataType.TRADE, {"trade_id": "not-a-number", "price": 1, "size": 1}),
            (DataType.TICKER, {"last": 1.5, "bid": "1.4"}),
            (DataType.ORDERBOOK, {"bids": [["1.4", "3"]], "asks": [["1.6", 4]]}),
        ):
            point = MarketDataPoint("dice", "A-B", at, data_type, data)
            await self._notify_callbacks(point)


@pytest.mark.parametrize("managed", [True, False])
def test_what_a_collector_of_one_s_own_makes_is_stored(
    tmp_path: Path, managed: bool
) -> None:
    async def body(venue: MemoryVenue) -> None:
        collector = Dice("dice", ["A-B"])
        seen: list[Any] = []
        collector.add_data_callback(DataType.CANDLE, seen.append)
        sink = {"use": "sqlite", "path": "own.db"}
        if managed:
            manager = CollectorManager(sinks=[sink])
            manager.add_collector(collector)
            assert await manager.start()
            await anyio.sleep(10.5)
            await manager.stop()
        else:
            collector.add_sink(sink)
            assert await collector.start()
            await anyio.sleep(10.5)
            await collector.stop()
        assert len(seen) == 10

    simulate("okx", body)
    database = tmp_path / "own.db"
    bars = stored(database, "SELECT timeframe, close, state, source FROM market_data")
    assert bars == [("1m", "1.5", "complete", "venue")] * 10
    trades = stored(database, "SELECT last_id, price, size FROM trades ORDER BY 1")
    assert trades == [(number, "1.5", "2") for number in range(1, 11)]
    assert stored(database, "SELECT DISTINCT last, bid FROM tickers") == [
        ("1.5", "1.4")
    ]
    assert stored(database, "SELECT count(*) FROM order_books") != [(0,)]
    assert stored(database, "SELECT count(*) FROM gaps") == [(0,)]


def test_a_sink_that_cannot_be_opened_is_the_reason_of_a_failed_start(
    tmp_path: Path,
) -> None:
    async def body(venue: MemoryVenue) -> None:
        (tmp_path / "data").write_text("in the way")
        collector = Dice("dice", ["A-B"])
        collector.add_sink({"use": "sqlite", "path": "own.db"})
        assert await collector.start() is False
        assert collector.get_status()["status"] == "error"
        assert collector.get_status()["statistics"]["last_error"]
        (tmp_path / "data").unlink()
        assert await collector.start() is True
        await anyio.sleep(2.5)
        await collector.stop()

    simulate("okx", body)
    assert stored(tmp_path / "own.db", "SELECT count(*) FROM trades") == [(2,)]


@both
def test_keys_given_in_code_are_in_no_repr_error_status_or_log(
    exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    params = {"api_key": "c4n4ry-key-key", "api_secret": "c4n4ry-secret-secret"}
    if exchange == "okx":
        params["passphrase"] = "c4n4ry-phrase"
    log = logging.getLogger("test.promised.keys")
    told: list[str] = []

    async def body(venue: MemoryVenue) -> None:
        config = ExchangeCollectorConfig(
            exchange, "BTC-USDT", [DataType.BALANCE], custom_params=params
        )
        collector = ExchangeFactory.create_collector(config, logger=log)
        await collector.start()
        await anyio.sleep(30)
        told.extend(
            [
                repr(config),
                repr(collector),
                repr(collector.config),
                repr(collector.feed_settings()),
                json.dumps(collector.get_status()),
                json.dumps(collector.get_health_status()),
            ]
        )
        await collector.stop()
        wrong = ExchangeCollectorConfig(
            exchange, "BTC-USDT", ["trade"], custom_params={**params, "depht": 5}
        )
        with pytest.raises(ConfigError) as caught:
            ExchangeFactory.create_collector(wrong)
        told.extend([str(caught.value), repr(caught.value)])

    with caplog.at_level(logging.DEBUG):
        simulate(exchange, body)
    assert "login" in caplog.text or "key" in caplog.text.lower()
    assert "c4n4ry" not in "".join(told)
    assert "c4n4ry" not in caplog.text
