"""Print trades of a simulated OKX for two seconds; nothing is written to disk."""

import time

import anyio

from tapeline import DataType, create_collector
from tapeline.testing import LoopbackServer, Market
from tapeline_okx import OkxAdapter


def show(trade):
    print(trade.timestamp.time(), trade.symbol, trade.side, trade.price, trade.size)


async def main(seconds: float = 2.0) -> None:
    simulator = OkxAdapter().simulator(Market(seed=1, start_ns=time.time_ns()))
    async with LoopbackServer(simulator) as server:
        collector = create_collector(
            "okx",
            "BTC-USDT",
            data_types=[DataType.TRADE],
            # Without these two it collects from OKX itself.
            custom_params={"ws_url": server.ws_base, "rest_url": server.rest_base},
        )
        collector.add_data_callback(DataType.TRADE, show)
        await collector.start()
        await anyio.sleep(seconds)
        await collector.stop()


if __name__ == "__main__":
    anyio.run(main)
