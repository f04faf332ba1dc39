"""A collector of one's own: it makes up a price every tenth of a second."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import anyio

from tapeline import BaseDataCollector, DataType, MarketDataPoint


class DiceCollector(BaseDataCollector):
    """Rising prices of an exchange that does not exist."""

    async def connect(self) -> bool:
        self._messages = count(100)
        return True

    async def disconnect(self) -> None:
        await super().disconnect()

    async def subscribe_to_data(self, symbols, data_types) -> bool:
        return True

    async def unsubscribe_from_data(self, symbols, data_types) -> bool:
        return True

    async def _process_message(self, message: int) -> MarketDataPoint | None:
        return MarketDataPoint(
            self.exchange_name,
            self.symbols[0],
            datetime.now(UTC),
            DataType.TICKER,
            {"last": Decimal(message)},
        )

    async def _handle_messages(self) -> None:
        await anyio.sleep(0.1)
        point = await self._process_message(next(self._messages))
        if point is not None:
            await self._notify_callbacks(point)


async def main(seconds: float = 1.0) -> list[Decimal]:
    prices: list[Decimal] = []
    collector = DiceCollector("dice", ["BTC-USDT"], [DataType.TICKER])
    collector.add_data_callback(
        DataType.TICKER, lambda point: prices.append(point.data["last"])
    )
    await collector.start()
    await anyio.sleep(seconds)
    await collector.stop()
    return prices


if __name__ == "__main__":
    print(anyio.run(main))
