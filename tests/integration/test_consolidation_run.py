"""``tapeline run`` with ``[consolidate]``: configured, killed and started again."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
EXCHANGES = ("okx", "binance")


def write(folder: Path, urls: dict[str, str]) -> Path:
    text = "".join(
        f"""
[collectors.{name}]
exchange = "{name}"
symbols = ["BTC-USDT"]
data_types = ["trade"]
venue_timeframes = ["1s"]
timeframes = ["1s"]
[collectors.{name}.options]
ws_url = "{url.replace("http", "ws")}"
rest_url = "{url}"
"""
        for name, url in urls.items()
    )
    path = folder / "tapeline.toml"
    path.write_text(
        text
        + """
[consolidate.btc]
symbol = "BTC-USDT"
exchanges = ["okx", "binance"]
timeframes = ["1s", "5s"]

[sinks.local]
use = "sqlite"
path = "data/market.db"
"""
    )
    return path


def rows_of(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by source: exchange, timeframe, timestamp, volume, high, low, state."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for source, *row in connection.execute(
            "SELECT source, exchange, timeframe, timestamp, volume, high, low, state "
            "FROM market_data"
        ):
            found.setdefault(source, []).append(tuple(row))
    return found


def wait_for_rows(database: Path, count: int, timeout_s: float = 60.0) -> None:
    """Until so many consolidated bars are stored."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if database.exists():
            try:
                if len(rows_of(database).get("consolidated", ())) >= count:
                    return
            except sqlite3.Error:
                pass
        time.sleep(0.2)
    raise AssertionError(f"fewer than {count} consolidated bars after {timeout_s} s")


@pytest.mark.slow
def test_bars_survive_a_kill_and_are_the_sum_of_the_venues(
    tmp_path: Path, background: Callable[..., Any], tapeline: Any
) -> None:
    urls = {}
    for name in EXCHANGES:
        simulator = background("simulate", name, "--port", 0, "--rate", 20)
        simulator.log = simulator.log.rename(tmp_path / f"simulate-{name}.log")
        line = simulator.wait_for("http")
        found = re.search(r"https?://[\w.]+:\d+", line)
        assert found, line
        urls[name] = found.group()
    config = write(tmp_path, urls)
    database = tmp_path / "data" / "market.db"

    first = background("run", config)
    wait_for_rows(database, 6)
    first.kill()
    second = background("run", config)
    wait_for_rows(database, len(rows_of(database)["consolidated"]) + 8)
    assert second.stop() == 0

    rows = rows_of(database)
    parts = {row[:3]: row for row in rows["trades"]}
    merged = rows["consolidated"]
    assert {row[0] for row in merged} == {"consolidated"}
    both = 0
    for _, timeframe, timestamp, volume, high, low, _state in merged:
        mine = [
            parts[name, timeframe, timestamp]
            for name in EXCHANGES
            if (name, timeframe, timestamp) in parts
        ]
        both += len(mine) == 2
        assert Decimal(volume) == sum(Decimal(part[3]) for part in mine)
        priced = [part for part in mine if Decimal(part[3])] or mine[:1]
        assert Decimal(high) == max(Decimal(part[4]) for part in priced)
        assert Decimal(low) == min(Decimal(part[5]) for part in priced)
    assert both > 8
    assert {row[1] for row in merged} == {"1s", "5s"}
    log = second.log.read_text()
    assert re.search(r"\d+ of \d+ bars equal the venues'", log)
    shares = (EXAMPLES / "shares.sql").read_text().replace("'1m'", "'1s'")
    with closing(sqlite3.connect(database)) as connection:
        found_shares = connection.execute(shares).fetchall()
    assert {row[2] for row in found_shares} == set(EXCHANGES)
    assert all(0 <= row[3] <= 1 for row in found_shares)
    verified = tapeline("verify", "--database", database, "--json")
    candles = json.loads(verified.stdout)["candles"]
    assert verified.returncode == 0, verified.stdout
    assert candles["compared"] > 10
    assert candles["match_rate"] == 1.0


def test_check_says_which_collector_is_missing(tmp_path: Path, tapeline: Any) -> None:
    config = write(tmp_path, {"okx": "http://localhost:1"})

    checked = tapeline("check", config)

    assert checked.returncode == 2
    assert "consolidate.btc.exchanges[1]" in checked.stderr
    assert "'binance' without one" in checked.stderr
