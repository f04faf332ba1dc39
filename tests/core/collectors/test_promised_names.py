"""Names, parameters, defaults and keys are those that users were promised.

What is compared here is the order of positional parameters with their defaults; what
was added since may only be given by keyword.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest

import tapeline
from tapeline import (
    BaseDataCollector,
    CollectorConfig,
    CollectorManager,
    CollectorStatus,
    DatabaseOperationError,
    DataType,
    ExchangeCollectorConfig,
    ExchangeFactory,
    MarketDataPoint,
    OHLCVData,
    RateLimiter,
    TapelineError,
    get_logger,
)
from tapeline.config import Defaults

REQUIRED = inspect.Parameter.empty
Simulate = Callable[..., Any]


def parameters(function: Callable[..., object]) -> dict[str, object]:
    """Positional parameters of *function* in order, with their defaults."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }


def must(*names: str, **defaults: object) -> dict[str, object]:
    """What ``parameters`` gives for a promise."""
    return {**dict.fromkeys(names, REQUIRED), **defaults}


CONSTRUCTORS: dict[str, tuple[Callable[..., object], dict[str, object]]] = {
    "BaseDataCollector": (
        BaseDataCollector,
        must(
            "exchange_name",
            "symbols",
            data_types=None,
            component_name=None,
            auto_restart=True,
            health_check_interval=30.0,
            logger=None,
            log_errors_only=False,
        ),
    ),
    "CollectorManager": (
        CollectorManager,
        {
            "manager_name": "collector_manager",
            "global_health_check_interval": 60.0,
            "restart_delay": 5.0,
            "logger": None,
            "log_errors_only": False,
            "sinks": (),
        },
    ),
    "CollectorConfig": (
        CollectorConfig,
        must(
            "name",
            "exchange",
            "symbols",
            "data_types",
            auto_restart=True,
            health_check_interval=30.0,
            enabled=True,
        ),
    ),
    "ExchangeCollectorConfig": (
        ExchangeCollectorConfig,
        must(
            "exchange",
            "symbol",
            "data_types",
            auto_restart=True,
            health_check_interval=30.0,
            store_raw_data=False,
            custom_params=None,
        ),
    ),
    "OHLCVData": (
        OHLCVData,
        must(
            "symbol",
            "timeframe",
            "timestamp",
            "open",
            "high",
            "low",
            "close",
            "volume",
            trades_count=None,
        ),
    ),
    "RateLimiter": (RateLimiter, must("count", "seconds")),
    "get_logger": (get_logger, must("name", verbose=None, log_errors_only=False)),
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_parameters_and_defaults_are_as_promised(name: str) -> None:
    function, promised = CONSTRUCTORS[name]
    found = parameters(function)
    assert list(found.items()) == list(promised.items())


def test_a_data_point_takes_five_values_and_keeps_the_raw_object() -> None:
    found = list(parameters(MarketDataPoint))
    assert found == ["exchange", "symbol", "timestamp", "data_type", "data", "raw"]
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    point = MarketDataPoint("okx", "BTC-USDT", moment, DataType.TRADE, {"price": 1})
    assert (point.exchange, point.symbol, point.timestamp) == (
        "okx",
        "BTC-USDT",
        moment,
    )
    assert (point.data_type.value, point.data, point.raw) == (  # type: ignore[attr-defined]
        "trade",
        {"price": 1},
        None,
    )
    with pytest.raises(ValueError, match="aware"):
        MarketDataPoint("okx", "X-Y", datetime(2026, 1, 1), DataType.TRADE, {})


METHODS: dict[type, dict[str, dict[str, object]]] = {
    BaseDataCollector: {
        "async connect": {},
        "async disconnect": {},
        "async subscribe_to_data": must("symbols", "data_types"),
        "async unsubscribe_from_data": must("symbols", "data_types"),
        "async _process_message": must("message"),
        "async _handle_messages": {},
        "async start": {},
        "async stop": {"force": False},
        "async restart": {},
        "add_data_callback": must("data_type", "callback"),
        "remove_data_callback": must("data_type", "callback"),
        "add_symbol": must("symbol"),
        "remove_symbol": must("symbol"),
        "add_sink": must("sink"),
        "get_status": {},
        "get_health_status": {},
        "validate_ohlcv_data": must("data", "symbol", "timeframe"),
        "_log_debug": must("message"),
        "_log_info": must("message"),
        "_log_warning": must("message"),
        "_log_error": must("message", exc_info=False),
        "_log_critical": must("message", exc_info=False),
        "async _notify_callbacks": must("data_point"),
        "async _handle_connection_error": {},
        "async _check_connection_health": {},
    },
    CollectorManager: {
        "add_collector": must("collector", config=None),
        "remove_collector": must("name"),
        "enable_collector": must("name"),
        "disable_collector": must("name"),
        "async start": {},
        "async stop": {},
        "async restart_collector": must("name"),
        "async restart_all_collectors": {},
        "get_status": {},
        "get_collector_status": must("name"),
        "list_collectors": {},
        "get_running_collectors": {},
        "get_failed_collectors": {},
    },
    ExchangeFactory: {
        "create_collector": must("config", logger=None, log_errors_only=False),
        "validate_config": must("config"),
        "get_supported_pairs": must("exchange"),
        "get_supported_data_types": must("exchange"),
    },
    RateLimiter: {"async acquire": {}},
}


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner, names in METHODS.items() for name in names],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_methods_take_what_they_were_promised_to_take(owner: type, name: str) -> None:
    word = name.removeprefix("async ")
    method = getattr(owner, word)
    assert inspect.iscoroutinefunction(method) is name.startswith("async ")
    assert list(parameters(method).items()) == list(METHODS[owner][name].items())


def test_functions_of_the_registry_are_synchronous_but_the_refresh() -> None:
    assert parameters(tapeline.get_supported_exchanges) == {}
    assert list(parameters(tapeline.get_exchange_info)) == ["exchange"]
    created = list(parameters(tapeline.create_collector))
    assert created[:3] == ["exchange", "symbols", "logger"]
    assert next(iter(parameters(tapeline.refresh_instruments))) == "exchange"
    assert inspect.iscoroutinefunction(tapeline.refresh_instruments)
    for name in ("get_supported_exchanges", "get_exchange_info", "create_collector"):
        assert not inspect.iscoroutinefunction(getattr(tapeline, name))


def test_exactly_the_six_methods_are_abstract() -> None:
    assert BaseDataCollector.__abstractmethods__ == {
        "connect",
        "disconnect",
        "subscribe_to_data",
        "unsubscribe_from_data",
        "_process_message",
        "_handle_messages",
    }


def test_the_enumerations_have_the_promised_values() -> None:
    assert {each.name: each.value for each in DataType} == {
        "TICKER": "ticker",
        "TRADE": "trade",
        "ORDERBOOK": "orderbook",
        "CANDLE": "candle",
        "BALANCE": "balance",
    }
    assert [each.value for each in CollectorStatus] == [
        "stopped",
        "starting",
        "running",
        "stopping",
        "restarting",
        "error",
        "unhealthy",
    ]


def test_timeframes_are_the_eleven() -> None:
    promised = "1s 5s 10s 15s 30s 1m 5m 15m 1h 4h 1d"
    assert " ".join(tapeline.TIMEFRAMES) == promised


def test_database_errors_are_errors_of_tapeline() -> None:
    assert issubclass(DatabaseOperationError, TapelineError)


def test_a_collector_has_the_promised_defaults(make: Any) -> None:
    class Plain(make):  # type: ignore[misc]
        def __init__(self) -> None:
            BaseDataCollector.__init__(self, "ticks", ["A-B"])

    collector = Plain()
    assert collector.data_types == [DataType.CANDLE]
    assert collector.component_name == "ticks_collector"
    assert collector.auto_restart is True
    assert collector.health_check_interval == 30.0
    assert collector.websocket is None
    assert collector._data_callbacks == {each: [] for each in DataType}


MANAGER_STATISTICS = {"failed_collectors", "messages_received", "messages_per_second"}
RESOURCES = {"cpu_seconds", "rss_bytes", "sockets", "queue_bytes"}


def test_the_manager_s_status_has_its_parts_and_is_json_ready(
    make: Any, simulate: Simulate
) -> None:
    async def body() -> None:
        manager = CollectorManager()
        manager.add_collector(make(["A-B"]))
        await manager.start()
        await anyio.sleep(3)
        status = manager.get_status()
        await manager.stop()

        assert status["manager_name"] == "collector_manager"
        assert status["status"] == "running"
        assert status["collectors"].keys() == {"ticks_collector"}
        assert status["statistics"].keys() >= MANAGER_STATISTICS
        assert status["resources"].keys() >= RESOURCES
        json.dumps(status, allow_nan=False)

    simulate(body)


@pytest.mark.parametrize(
    ("variable", "text", "field", "default", "value"),
    [
        ("DEFAULT_HEALTH_CHECK_INTERVAL", "7", "health_check_interval_s", 30.0, 7.0),
        ("MAX_SILENCE_DURATION", "40", "max_silence_duration_s", 300.0, 40.0),
        ("MAX_RECONNECT_ATTEMPTS", "2", "max_reconnect_attempts", 5, 2),
        ("RECONNECT_DELAY", "0.5", "reconnect_delay_s", 5.0, 0.5),
        ("VERBOSE_LOGGING", "true", "verbose", False, True),
        ("LOG_TO_CONSOLE", "1", "log_to_console", False, True),
    ],
)
def test_every_variable_has_its_default_and_is_read(
    variable: str, text: str, field: str, default: object, value: object
) -> None:
    assert getattr(Defaults.from_environ({}), field) == default
    assert getattr(Defaults.from_environ({variable: text}), field) == value


def test_the_health_check_interval_comes_from_the_environment_unless_given(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_HEALTH_CHECK_INTERVAL", "7")
    assert make(["A-B"]).health_check_interval == 7.0
    assert make(["A-B"], health_check_interval=30.0).health_check_interval == 30.0

    manager = CollectorManager()
    named, given = make(["A-B"]), make(["A-B"])
    manager.add_collector(named, CollectorConfig("a", "ticks", ["A-B"], ["ticker"]))
    manager.add_collector(
        given,
        CollectorConfig("b", "ticks", ["A-B"], ["ticker"], health_check_interval=30.0),
    )
    assert named.health_check_interval == 7.0
    assert given.health_check_interval == 30.0


def test_the_longest_silence_comes_from_the_environment(
    make: Any, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_SILENCE_DURATION", "40")

    class Silent(make):  # type: ignore[misc]
        async def _process_message(self, message: Any) -> Any:
            return None

    async def body() -> None:
        collector = Silent(["A-B"])
        await collector.start()
        await anyio.sleep(45)
        status = collector.get_status()
        await collector.stop()
        assert status["health"]["max_silence_duration"] == 40.0
        assert status["statistics"]["restarts"] == 1

    simulate(body)


def test_after_max_reconnect_attempts_it_is_in_error_and_listed_as_failed(
    make: Any, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_RECONNECT_ATTEMPTS", "3")

    async def body() -> None:
        manager = CollectorManager()
        collector = make(["A-B"])
        told: list[str] = []
        manager.add_observer(lambda change: told.append(change.after))
        manager.add_collector(collector)
        await manager.start()
        seen: list[tuple[int, str, list[str]]] = []

        async def connect() -> bool:
            seen.append(
                (
                    collector.get_status()["statistics"]["reconnect_attempts"],
                    collector.get_status()["status"],
                    manager.get_failed_collectors(),
                )
            )
            return False

        collector.connect = connect
        collector.script = [ConnectionError("reset")]
        await anyio.sleep(600)
        after = list(told)
        await manager.stop()

        name = ["ticks_collector"]
        assert seen[:3] == [(n, "restarting", []) for n in (1, 2, 3)]
        assert all(one[1:] == ("error", name) for one in seen[3:])
        assert len(seen) > 8, "it goes on"
        assert "error" in after

    simulate(body)


def test_the_reconnect_delay_bounds_the_first_pause(
    make: Any, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONNECT_DELAY", "0.001")

    async def body() -> None:
        collector = make(["A-B"])
        await collector.start()
        collector.script = [ConnectionError("reset")]
        await anyio.sleep(1.01)
        status = collector.status
        await collector.stop()
        assert status is CollectorStatus.RUNNING
        assert collector.calls.count("connect") == 2

    simulate(body)


def test_each_return_of_the_handler_is_a_heartbeat(
    make: Any, simulate: Simulate
) -> None:
    """Each return of ``_handle_messages`` is a heartbeat, told as an age and a time."""

    async def body() -> None:
        collector = make(["A-B"])
        await collector.start()
        await anyio.sleep(2.5)
        status, health = collector.get_status(), collector.get_health_status()
        await collector.stop()
        assert status["health"]["time_since_heartbeat"] == pytest.approx(0.5)
        assert status["health"]["time_since_data"] == pytest.approx(0.5)
        beat = datetime.fromisoformat(health["last_heartbeat"])
        assert beat.utcoffset() == timedelta(0)
        assert health["last_heartbeat"] == health["last_data_received"]

    simulate(body)


@pytest.mark.parametrize("errors_only", [False, True])
def test_the_log_methods_of_a_subclass_go_to_its_logger(
    make: Any, caplog: pytest.LogCaptureFixture, errors_only: bool
) -> None:
    log = logging.getLogger("test.promised")
    collector = make(["A-B"], logger=log, log_errors_only=errors_only)
    silent = make(["A-B"])
    with caplog.at_level(logging.DEBUG):
        for one in (collector, silent):
            one._log_debug("m")
            one._log_info("m")
            one._log_warning("m")
            try:
                raise KeyError("why")
            except KeyError:
                one._log_error("m", exc_info=True)
            one._log_critical("m", exc_info=False)
    levels = [record.levelname for record in caplog.records]
    quiet = [] if errors_only else ["DEBUG", "INFO", "WARNING"]
    assert levels == [*quiet, "ERROR", "CRITICAL"]
    assert caplog.records[-2].exc_info
    assert not caplog.records[-1].exc_info


def test_a_bar_is_exact_and_a_data_point(make: Any) -> None:
    bar = make(["A-B"]).validate_ohlcv_data(
        {
            "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
            "open": 1,
            "high": "2.5",
            "low": 1,
            "close": 2,
            "volume": Decimal(9),
        },
        "A-B",
        "1m",
    )
    assert isinstance(bar, OHLCVData)
    assert isinstance(bar, MarketDataPoint)
    assert (bar.high, bar.volume, bar.trades_count) == (
        Decimal("2.5"),
        Decimal(9),
        None,
    )
    assert bar.data_type is DataType.CANDLE
