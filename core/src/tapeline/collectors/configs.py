"""Configurations that users of the library write by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from tapeline.collectors.defaults import DEFAULT_HEALTH_CHECK_INTERVAL
from tapeline.model import DataType


def _names(params: Mapping[str, Any] | None) -> str:
    """The names alone: a value may be a key of an account."""
    return repr(None if params is None else sorted(params))


@attrs.define
class CollectorConfig:
    """How a manager treats one collector; wins over the collector's own values.

    Args:
        name: of the collector, unique in its manager.
        data_types: values of ``DataType``.
        auto_restart: start again after failures.
        health_check_interval: seconds between health checks.
        enabled: False keeps it stopped.
    """

    name: str
    exchange: str
    symbols: list[str]
    data_types: list[str]
    auto_restart: bool = True
    health_check_interval: float = DEFAULT_HEALTH_CHECK_INTERVAL
    enabled: bool = True


@attrs.define
class ExchangeCollectorConfig:
    """What ``ExchangeFactory`` needs to make a collector.

    Args:
        data_types: what to collect; values of ``DataType``.
        auto_restart: start again after failures.
        health_check_interval: seconds between health checks.
        store_raw_data: keep the venue's own object of every event in the sinks;
            ``"files"`` records all frames to files instead.
        symbol: one canonical symbol, or a list of them.
        custom_params: the adapter's options, plus ``ping_interval``,
            ``max_reconnect_attempts``, ``reconnect_delay``, ``market``,
            ``timeframes``, ``venue_timeframes``.
    """

    exchange: str
    symbol: str | Sequence[str]
    data_types: Sequence[DataType | str]
    auto_restart: bool = True
    health_check_interval: float = DEFAULT_HEALTH_CHECK_INTERVAL
    store_raw_data: bool | Literal["files"] = False
    custom_params: Mapping[str, Any] | None = attrs.field(default=None, repr=_names)

    @property
    def symbols(self) -> list[str]:
        """The symbols as a list."""
        return [self.symbol] if isinstance(self.symbol, str) else list(self.symbol)
