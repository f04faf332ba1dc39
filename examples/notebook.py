"""As in a notebook: each ``# %%`` is a cell. Collect, then look at the data."""

from __future__ import annotations

# %% The collection runs beside the cells; ``await`` works at the top level there.
import anyio
from addresses import custom_params, parse

from tapeline import Candle, DataType, Trade
from tapeline_okx import OKXCollector

options = parse("Collect for a while, then look at what came.")
trades: list[Trade] = []
candles: list[Candle] = []


async def collect() -> None:
    """What would be three lines with ``await`` in a notebook."""
    collector = OKXCollector(
        ["BTC-USDT"],
        data_types=[DataType.TRADE, DataType.CANDLE],
        custom_params={**custom_params(options), "timeframes": ["1s"]},
    )
    collector.add_data_callback(DataType.TRADE, trades.append)
    collector.add_data_callback(DataType.CANDLE, candles.append)
    await collector.start()
    await anyio.sleep(options.seconds)
    await collector.stop()


anyio.run(collect)

# %% What came. Prices and sizes are ``Decimal``, exact.
volume = sum(trade.size for trade in trades)
print(f"{len(trades)} trades, {volume} BTC")

# %% Candles say whether they are whole.
for candle in candles[-5:]:
    print(f"{candle.timestamp:%H:%M:%S} close {candle.close} {candle.state}")
