"""Store trades and candles of two symbols, one collector each, for a few seconds."""

import time

import anyio

from tapeline import CollectorManager, DataType, create_collector
from tapeline.testing import LoopbackServer, Market
from tapeline_okx import OkxAdapter


async def main(seconds: float = 3.0, path: str = "data/market.db") -> None:
    market = Market(seed=1, rate_hz=20, start_ns=time.time_ns())
    async with LoopbackServer(OkxAdapter().simulator(market)) as server:
        manager = CollectorManager(sinks=[{"use": "sqlite", "path": path}])
        for symbol in ("BTC-USDT", "ETH-USDT"):
            collector = create_collector(
                "okx",
                symbol,
                data_types=[DataType.TRADE, DataType.CANDLE],
                custom_params={
                    "timeframes": ["1s"],
                    # Without these two it collects from OKX itself.
                    "ws_url": server.ws_base,
                    "rest_url": server.rest_base,
                },
            )
            manager.add_collector(collector)
        await manager.start()
        await anyio.sleep(seconds)
        manager.disable_collector("okx_eth_usdt")
        await anyio.sleep(0.5)
        print(manager.get_running_collectors())
        await manager.stop()


if __name__ == "__main__":
    anyio.run(main)
