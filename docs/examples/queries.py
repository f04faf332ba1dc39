"""Stored trades in pandas, polars and DuckDB, beside a collection that writes."""

import sqlite3
import sys
from contextlib import closing

import duckdb
import pandas as pd
import polars as pl

QUERY = """
SELECT timestamp, side, price, size
FROM trades_real
WHERE exchange = 'okx' AND market = 'spot' AND symbol = 'BTC-USDT'
ORDER BY last_id
"""


def main(path: str) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        trades = pd.read_sql(QUERY, connection)
        frame = pl.read_database(QUERY, connection)

    trades["timestamp"] = pd.to_datetime(trades["timestamp"], utc=True)
    print(trades.set_index("timestamp")["price"].resample("1s").ohlc().tail(3))

    print(frame.group_by("side").agg(pl.col("size").sum()).sort("side"))

    sides = (
        "SELECT side, sum(price * size) AS quote FROM trades GROUP BY side ORDER BY 1"
    )
    print(duckdb.sql(sides).df())


if __name__ == "__main__":
    main(sys.argv[1])
