"""A manager with two collectors and a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
from addresses import custom_params, parse

from tapeline import CollectorConfig, CollectorManager, DataType, StatusChange
from tapeline_okx import create_okx_collector
from tapeline_sqlite import SqliteConfig


async def main() -> dict[str, Any]:
    """Collect for a while, restart one by hand; the last status."""
    options = parse("Collect two symbols into market.db.")
    manager = CollectorManager(
        "example",
        global_health_check_interval=30.0,
        restart_delay=0.5,
        sinks=[SqliteConfig(Path("market.db"))],
    )

    def on_change(change: StatusChange) -> None:
        print(f"{change.component}: {change.before} -> {change.after} {change.reason}")

    manager.add_observer(on_change)
    for symbol in ("BTC-USDT", "ETH-USDT"):
        collector = create_okx_collector(
            symbol,
            data_types=[DataType.TRADE, DataType.CANDLE],
            custom_params={**custom_params(options), "timeframes": ["1s", "1m"]},
        )
        name = symbol.partition("-")[0].lower()
        manager.add_collector(
            collector, CollectorConfig(name, "okx", [symbol], ["trade", "candle"])
        )
    await manager.start()
    await anyio.sleep(options.seconds / 2)
    print("restarted:", await manager.restart_collector("btc"))
    await anyio.sleep(options.seconds / 2)
    status = manager.get_status()
    await manager.stop()

    print("running:", status["statistics"]["running_collectors"])
    print("failed:", status["statistics"]["failed_collectors"])
    print("memory:", status["resources"]["rss_bytes"])
    return status


if __name__ == "__main__":
    anyio.run(main)
