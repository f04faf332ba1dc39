import sys
from datetime import UTC, datetime, timedelta

import anyio

from tapeline import Database, DatabaseOperationError, MarketDataRepository


async def main(url: str) -> None:
    async with Database(url) as database:
        candles = MarketDataRepository(database)
        minutes = candles.select(
            "okx", "BTC-USDT", "1m", start=datetime(2026, 1, 1, tzinfo=UTC)
        )
        latest = await minutes.latest()
        if latest is not None:
            print(latest.timestamp, latest.close, latest.state)
        async for candle in minutes.iterate():
            print(candle.timestamp, candle.open, candle.close)
        month = datetime.now(UTC) - timedelta(days=30)
        print(await candles.delete_before(month), "old candles deleted")


try:
    anyio.run(main, sys.argv[1])
except DatabaseOperationError as error:
    print(error)
