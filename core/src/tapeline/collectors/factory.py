"""One factory for the collectors of all exchanges."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from tapeline.collectors.configs import ExchangeCollectorConfig
from tapeline.collectors.exchange import ExchangeCollector
from tapeline.collectors.options import split_custom_params
from tapeline.collectors.registry import (
    is_symbol,
    plugins,
    supported_pairs,
)
from tapeline.errors import ConfigError, TapelineError, did_you_mean
from tapeline.model import DataType


class ExchangeFactory:
    """Makes collectors, and answers what exchanges support; never blocks."""

    @staticmethod
    def create_collector(
        config: ExchangeCollectorConfig,
        logger: logging.Logger | None = None,
        log_errors_only: bool = False,
    ) -> ExchangeCollector:
        """A collector for *config*.

        Raises:
            ConfigError: every problem, with its key.
        """
        problems = _problems(config)
        if problems:
            raise ConfigError(problems, f"collector of {config.exchange}")
        adapter = plugins().exchange(config.exchange)
        make: Any = adapter.collector_class() or ExchangeCollector
        leading = () if make is not ExchangeCollector else (config.exchange,)
        collector: ExchangeCollector = make(
            *leading,
            config.symbols,
            data_types=list(config.data_types),
            auto_restart=config.auto_restart,
            health_check_interval=config.health_check_interval,
            store_raw_data=config.store_raw_data,
            custom_params=config.custom_params,
            logger=logger,
            log_errors_only=log_errors_only,
        )
        return collector

    @staticmethod
    def validate_config(config: ExchangeCollectorConfig) -> bool:
        """True when ``create_collector`` would take *config*."""
        return not _problems(config)

    @staticmethod
    def get_supported_pairs(exchange: str) -> list[str]:
        """Symbols in the cached instrument list; see ``refresh_instruments``."""
        return supported_pairs(exchange)

    @staticmethod
    def get_supported_data_types(exchange: str) -> list[str]:
        """Data types that *exchange* offers, candles from trades included."""
        types = set(plugins().exchange(exchange).capabilities.data_types)
        if DataType.TRADE.value in types:
            types.add(DataType.CANDLE.value)
        return sorted(types)


def create_collector(
    exchange: str,
    symbols: str | Sequence[str],
    logger: logging.Logger | None = None,
    **settings: Any,
) -> ExchangeCollector:
    """A collector of *exchange* for *symbols*.

    Args:
        settings: as in ``ExchangeCollectorConfig``, plus ``log_errors_only``.

    Raises:
        ConfigError: every problem, with its key.
    """
    log_errors_only = bool(settings.pop("log_errors_only", False))
    settings.setdefault("data_types", [DataType.TRADE, DataType.ORDERBOOK])
    config = ExchangeCollectorConfig(exchange, symbols, **settings)
    return ExchangeFactory.create_collector(config, logger, log_errors_only)


def _problems(config: ExchangeCollectorConfig) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    try:
        adapter = plugins().exchange(config.exchange)
    except TapelineError as error:
        return [("exchange", str(error))]
    if not config.symbols:
        problems.append(("symbol", "expected at least one symbol, found none"))
    known = supported_pairs(config.exchange)
    for symbol in config.symbols:
        if not is_symbol(symbol):
            problems.append(
                ("symbol", f"expected a symbol like BTC-USDT, found {symbol!r}")
            )
        elif known and symbol not in known:
            problems.append(
                (
                    "symbol",
                    (
                        f"expected a symbol that {config.exchange} lists, found "
                        f"{symbol!r}{did_you_mean(symbol, known)}"
                    ),
                )
            )
    offered = ExchangeFactory.get_supported_data_types(config.exchange)
    problems += [
        ("data_types", _not_offered(str(data_type), offered))
        for data_type in config.data_types
        if str(data_type) not in offered
    ]
    if config.health_check_interval <= 0:
        problems.append(
            (
                "health_check_interval",
                f"expected seconds above 0, found {config.health_check_interval!r}",
            )
        )
    try:
        split_custom_params(adapter, config.custom_params or {})
    except ConfigError as error:
        problems += error.problems
    return problems


def _not_offered(data_type: str, offered: Sequence[str]) -> str:
    return (
        f"expected data types out of {', '.join(offered)}, found {data_type!r}"
        f"{did_you_mean(data_type, offered)}"
    )
