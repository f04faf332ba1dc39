"""How many connections a collector wants, from code and from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tapeline.collectors import ExchangeCollector, create_collector
from tapeline.collectors.configured import build_manager
from tapeline.config import load_config
from tapeline.errors import ConfigError
from tapeline.plugins import PluginRegistry


@pytest.mark.parametrize("exchange", ["okx", "binance"])
def test_custom_params_ask_for_two_connections(exchange: str) -> None:
    one = create_collector(exchange, "BTC-USDT")
    two = create_collector(exchange, "BTC-USDT", custom_params={"redundancy": 2})

    assert one.feed_settings().redundancy == 1
    assert two.feed_settings().redundancy == 2


@pytest.mark.parametrize("found", [0, 3, True, "2", 2.0])
def test_other_numbers_of_connections_are_told(found: Any) -> None:
    with pytest.raises(ConfigError, match="redundancy: expected 1 or 2, found"):
        ExchangeCollector("okx", "BTC-USDT", custom_params={"redundancy": found})


def test_the_configuration_key_reaches_the_collector(tmp_path: Path) -> None:
    path = tmp_path / "tapeline.toml"
    path.write_text(
        """
        [collectors.both]
        exchange = "okx"
        symbols = ["BTC-USDT"]
        redundancy = 2

        [collectors.one]
        exchange = "binance"
        symbols = ["BTC-USDT"]
        """
    )
    registry = PluginRegistry()

    manager = build_manager(load_config(path, registry, {}), registry)

    wanted = {
        name: collector.feed_settings().redundancy
        for name in manager.list_collectors()
        if isinstance(collector := manager.collector(name), ExchangeCollector)
    }
    assert wanted == {"both": 2, "one": 1}
