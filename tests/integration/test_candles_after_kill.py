"""``kill -9`` under load: candles equal those that the ledger gives."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

SECONDS = {"1s": 1, "5s": 5, "10s": 10, "15s": 15, "30s": 30, "1m": 60, "5m": 300}
SYMBOLS = ("BTC-USDT", "ETH-USDT")
COLUMNS = (
    "open, high, low, close, volume, quote_volume, taker_buy_volume, trades_count, "
    "first_id, last_id"
)

Key = tuple[str, str, int]


def config(port: int, folder: Path) -> Path:
    path = folder / "tapeline.toml"
    path.write_text(
        f"""
[collectors.sim]
exchange = "okx"
symbols = {list(SYMBOLS)!r}
timeframes = {list(SECONDS)!r}

[collectors.sim.options]
ws_url = "ws://127.0.0.1:{port}"
rest_url = "http://127.0.0.1:{port}"

[sinks.local]
use = "sqlite"
path = "data/market.db"
"""
    )
    return path


def ledger_bars(path: Path) -> dict[Key, tuple[Any, ...]]:
    """Every bar of what was traded, in each timeframe."""
    groups: dict[Key, list[dict[str, Any]]] = {}
    for line in path.read_text().splitlines():
        fill = json.loads(line)
        if fill["data_type"] == "trade" and fill["market"] == "spot":
            second = fill["exchange_ns"] // 10**9
            for name, width in SECONDS.items():
                key = (fill["symbol"], name, second - second % width)
                groups.setdefault(key, []).append(fill)
    bars: dict[Key, tuple[Any, ...]] = {}
    for key, fills in groups.items():
        fills.sort(key=lambda fill: int(fill["id"]))
        prices = [Decimal(fill["price"]) for fill in fills]
        sizes = [Decimal(fill["size"]) for fill in fills]
        pairs = list(zip(fills, prices, sizes, strict=True))
        bars[key] = (
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            sum(sizes),
            sum(price * size for _, price, size in pairs),
            sum(size for fill, _, size in pairs if fill["side"] == "buy"),
            len(fills),
            int(fills[0]["id"]),
            int(fills[-1]["id"]),
        )
    return bars


def stored_bars(database: Path) -> dict[Key, tuple[str, tuple[Any, ...]]]:
    """State and values of every stored bar."""
    connection = sqlite3.connect(database)
    rows = connection.execute(
        f"SELECT symbol, timeframe, timestamp, state, {COLUMNS} FROM market_data "
        "WHERE source = 'trades'"
    ).fetchall()
    connection.close()
    return {
        (row[0], row[1], round(datetime.fromisoformat(row[2]).timestamp())): (
            row[3],
            (*(Decimal(text) for text in row[4:11]), *row[11:]),
        )
        for row in rows
    }


def ask(database: Path, text: str) -> int:
    """One number; -1 while there is no such table."""
    if not database.exists():
        return -1
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    try:
        (number,) = connection.execute(text).fetchone()
    except sqlite3.OperationalError:
        return -1
    finally:
        connection.close()
    return int(number)


def wait_for_new_bars(database: Path, known: int) -> None:
    wait(lambda: ask(database, "SELECT count(*) FROM market_data") > known, 30)


def wait_for_repair(database: Path) -> None:
    """What the kills cost is fetched within the venue's limits, which takes a while."""
    missing = "SELECT count(*) FROM gaps WHERE state IN ('open', 'backfilling')"
    wait(lambda: ask(database, missing) == 0, 120)


def wait(done: Callable[[], bool], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, f"not done after {timeout_s} s"
        time.sleep(0.1)


def check_kills(
    background: Callable[..., Any], port: int, folder: Path, seconds: float, seed: int
) -> dict[str, int]:
    """Kill the collector every few seconds; how many bars were whole at the end."""
    chance = random.Random(seed)
    simulator = background(
        "simulate", "okx", "--port", port, "--rate", 200, "--seed", seed,
        "--ledger", "ledger.jsonl",
    )  # fmt: skip
    simulator.wait_for("ws_url")
    path = config(port, folder)
    database = folder / "data" / "market.db"
    begin = time.monotonic()
    kills = 0
    while kills < 2 or time.monotonic() - begin < seconds:
        collector = background("run", path)
        known = len(stored_bars(database)) if kills else 0
        wait_for_new_bars(database, known)
        time.sleep(chance.uniform(0.5, 2.5))
        collector.kill()
        kills += 1
    collector = background("run", path)
    wait_for_new_bars(database, len(stored_bars(database)))
    wait_for_repair(database)
    time.sleep(3)
    assert collector.stop() == 0, collector.log.read_text()
    assert simulator.stop() == 0

    truth, stored = ledger_bars(folder / "ledger.jsonl"), stored_bars(database)
    # Collection began in the first of these and ended in the last one.
    ends = {
        symbol: sorted(key[2] for key in stored if key[:2] == (symbol, "1s"))
        for symbol in SYMBOLS
    }
    whole: dict[str, int] = dict.fromkeys(SECONDS, 0)
    for key, (state, values) in stored.items():
        assert state != "gap", f"{key} was never repaired"
        if state in ("complete", "repaired"):
            assert values == truth[key], key
            whole[key[1]] += 1
    for key in truth:
        symbol, name, second = key
        if symbol not in SYMBOLS:
            continue
        if ends[symbol][0] < second and second + SECONDS[name] <= ends[symbol][-1]:
            assert stored[key][0] in ("complete", "repaired"), key
    return whole


@pytest.mark.slow
def test_bars_of_killed_seconds_equal_those_of_the_ledger(
    background: Callable[..., Any], free_port: int, tmp_path: Path
) -> None:
    whole = check_kills(background, free_port, tmp_path, seconds=0, seed=3)
    assert whole["1s"] >= 10
    assert whole["5s"] >= 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_bars_of_killed_minutes_equal_those_of_the_ledger(
    background: Callable[..., Any],
    free_port: int,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    seconds = request.config.getoption("--run-seconds")
    if seconds <= 60:
        pytest.skip("whole minutes take longer: --run-seconds 150 or more")
    whole = check_kills(background, free_port, tmp_path, seconds, seed=4)
    assert whole["1m"] >= 2
