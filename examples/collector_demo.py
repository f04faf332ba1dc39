"""One collector, two callbacks, and what its status says."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
from addresses import custom_params, parse

from tapeline import DataType, Ticker, Trade
from tapeline_okx import OKXCollector


async def main() -> dict[str, Any]:
    """Collect for a while; the last status."""
    options = parse("Collect trades and tickers of BTC-USDT.")
    seen = {"trades": 0}

    def on_trade(trade: Trade) -> None:
        seen["trades"] += 1
        if seen["trades"] <= 5:
            print(
                f"{trade.timestamp:%H:%M:%S} {trade.side} {trade.size} @ {trade.price}"
            )

    async def on_ticker(ticker: Ticker) -> None:
        # A callback may wait; the others and the socket do not wait for it.
        await anyio.lowlevel.checkpoint()

    collector = OKXCollector(
        "BTC-USDT",
        data_types=[DataType.TRADE, DataType.TICKER],
        custom_params=custom_params(options),
    )
    collector.add_data_callback(DataType.TRADE, on_trade)
    collector.add_data_callback(DataType.TICKER, on_ticker)
    if not await collector.start():
        raise SystemExit(collector.get_status()["statistics"]["last_error"])
    await anyio.sleep(options.seconds)
    status, health = collector.get_status(), collector.get_health_status()
    await collector.stop()

    statistics = status["statistics"]
    print(f"{statistics['messages_received']} messages, {seen['trades']} trades")
    print("healthy" if health["is_healthy"] else "; ".join(health["issues"]))
    return status


if __name__ == "__main__":
    anyio.run(main)
