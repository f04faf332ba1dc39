"""Convenience: a collector for OKX without naming the exchange."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tapeline import DataType, ExchangeCollector
from tapeline.collectors import DEFAULT_HEALTH_CHECK_INTERVAL
from tapeline_okx.adapter import OkxAdapter


class OKXCollector(ExchangeCollector):
    """Collects from OKX.

    Args:
        symbol: one canonical symbol, or a list of them.
        data_types: default trades and order books.
        store_raw_data: keep OKX's own object of every event in the sinks;
            ``"files"`` records all frames to files in the data folder instead.
        custom_params: options of ``OkxConfig``, and ``market``, ``timeframes``,
            ``venue_timeframes``, ``ping_interval``, ``max_reconnect_attempts``.
    """

    def __init__(
        self,
        symbol: str | Sequence[str],
        data_types: Sequence[DataType | str] | None = None,
        auto_restart: bool = True,
        health_check_interval: float = DEFAULT_HEALTH_CHECK_INTERVAL,
        store_raw_data: bool | Literal["files"] = False,
        custom_params: Mapping[str, Any] | None = None,
        logger: logging.Logger | None = None,
        log_errors_only: bool = False,
        *,
        component_name: str | None = None,
    ) -> None:
        super().__init__(
            "okx",
            symbol,
            data_types,
            component_name,
            auto_restart,
            health_check_interval,
            store_raw_data,
            custom_params,
            logger,
            log_errors_only,
            adapter=OkxAdapter(),
        )


def create_okx_collector(
    symbol: str | Sequence[str],
    data_types: Sequence[DataType | str] | None = None,
    auto_restart: bool = True,
    health_check_interval: float = DEFAULT_HEALTH_CHECK_INTERVAL,
    store_raw_data: bool | Literal["files"] = False,
    custom_params: Mapping[str, Any] | None = None,
    logger: logging.Logger | None = None,
    log_errors_only: bool = False,
) -> OKXCollector:
    """An ``OKXCollector``, not started yet.

    Raises:
        ConfigError: *custom_params* cannot be used; every problem is named.
    """
    return OKXCollector(
        symbol,
        data_types,
        auto_restart=auto_restart,
        health_check_interval=health_check_interval,
        store_raw_data=store_raw_data,
        custom_params=custom_params,
        logger=logger,
        log_errors_only=log_errors_only,
    )
