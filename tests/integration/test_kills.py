"""``kill -9`` against live simulators: a restart goes on as if nothing had been."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

EXCHANGES = ("okx", "binance")
SYMBOLS = ("BTC-USDT", "ETH-USDT")
RATE_HZ = 170
"""Fills a second of each symbol: about a hundred trades each, four hundred in all."""

Background = Callable[..., Any]


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    """What *query* gives; nothing while there is no such table."""
    if not database.exists():
        return []
    with closing(
        sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    ) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []


def newest(database: Path) -> Mapping[tuple[str, str], int]:
    """Newest id of each stream, cheap to ask for often."""
    found = {}
    for exchange, kind in zip(EXCHANGES, ("fill", "aggregate"), strict=True):
        for symbol in SYMBOLS:
            query = (
                f"SELECT max(last_id) FROM trades WHERE exchange = '{exchange}' AND "
                f"market = 'spot' AND id_kind = '{kind}' AND symbol = '{symbol}'"
            )
            for (number,) in rows(database, query):
                found[exchange, symbol] = number or 0
    return found


def wait_for(done: Callable[[], bool], what: str, timeout_s: float) -> float:
    """Seconds until *done*."""
    began_s = time.monotonic()
    while not done():
        if time.monotonic() - began_s > timeout_s:
            raise AssertionError(f"expected {what} within {timeout_s:.0f} s")
        time.sleep(0.005)
    return time.monotonic() - began_s


def wait_for_all_streams(database: Path, timeout_s: float = 60.0) -> None:
    """Every stream of both exchanges flows."""
    known = newest(database)

    def flows() -> bool:
        now = newest(database)
        return len(now) == len(EXCHANGES) * len(SYMBOLS) and all(
            number > known.get(stream, 0) for stream, number in now.items()
        )

    wait_for(flows, "new trades of every stream", timeout_s)


@pytest.fixture
def config(background: Background, tmp_path: Path) -> Path:
    """A configuration that collects from two simulators that run already."""
    path = tmp_path / "tapeline.toml"
    text = ['[runtime]\ndata_dir = "data"\n']
    for seed, exchange in enumerate(EXCHANGES):
        simulator = background(
            "simulate", exchange, "--rate", RATE_HZ, "--seed", seed,
            "--ledger", f"{exchange}.jsonl",
        )  # fmt: skip
        line = simulator.wait_for(f"{exchange} simulator: ws_url")
        found = re.search(r"ws_url = '(\S+)', rest_url = '(\S+)'", line)
        assert found is not None
        text.append(
            f"""
[collectors.{exchange}]
exchange = "{exchange}"
symbols = {list(SYMBOLS)!r}
data_types = ["trade", "orderbook", "ticker"]
timeframes = ["1s", "1m"]

[collectors.{exchange}.options]
ws_url = "{found[1]}"
rest_url = "{found[2]}"
"""
        )
    text.append('[sinks.local]\nuse = "sqlite"\npath = "data/market.db"\n')
    path.write_text("".join(text))
    return path


def check_against_ledgers(tapeline: Any, database: Path) -> dict[str, Any]:
    """Every fill inside coverage is stored once, or inside a recorded gap."""
    ledgers = [word for one in EXCHANGES for word in ("--ledger", f"{one}.jsonl")]
    done = tapeline("verify", "--database", database, *ledgers, "--json")
    accounts: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    streams = accounts["streams"]
    assert {(one["exchange"], one["symbol"]) for one in streams} == {
        (exchange, symbol) for exchange in EXCHANGES for symbol in SYMBOLS
    }
    for one in streams:
        assert one["emitted"] == one["fills_stored"] + one["fills_in_gaps"] > 0, one
        assert (one["lost"], one["stored_twice"]) == (0, 0), one
        assert (one["invented"], one["altered"]) == (0, 0), one
        # From the first stored fill to the last there is none that nobody followed.
        assert (one["outside"], one["uncovered"]) == (0, 0), one
    return accounts


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_kill_nine_loses_and_doubles_nothing_and_starts_again_at_once(
    background: Background,
    config: Path,
    tapeline: Any,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    kills = request.config.getoption("--kills")
    chance = random.Random(1)
    database = tmp_path / "data" / "market.db"
    waits = []

    for _ in range(kills):
        known = newest(database)
        collector = background("run", config)

        def moved(known: Mapping[tuple[str, str], int] = known) -> bool:
            return newest(database) != known

        waits.append(wait_for(moved, "a new trade", 120.0))
        time.sleep(chance.uniform(0.0, 1.2))
        collector.kill()
    collector = background("run", config)
    wait_for_all_streams(database)
    assert collector.stop(60) == 0, collector.log.read_text()

    accounts = check_against_ledgers(tapeline, database)
    emitted = sum(one["emitted"] for one in accounts["streams"])
    in_gaps = sum(one["fills_in_gaps"] for one in accounts["streams"])
    # For the report of a run that passes, too.
    sys.stdout.write(
        f"{kills} kills, {emitted} fills, {in_gaps} of them in recorded gaps, gaps "
        f"{accounts['gaps']}; start to first stored row: median "
        f"{sorted(waits)[len(waits) // 2]:.2f} s, longest {max(waits):.2f} s\n"
    )
    # Generous: other tests run on the same cores.
    assert sorted(waits)[len(waits) // 2] <= 20.0, waits


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_backfill_that_is_killed_goes_on_where_it_was(
    background: Background, config: Path, tapeline: Any, tmp_path: Path
) -> None:
    """Each run has a gap of some seconds to fill, and is killed while it does."""
    database = tmp_path / "data" / "market.db"
    open_gaps = (
        "SELECT count(*) FROM gaps WHERE data_type = 'trade' "
        "AND state IN ('open', 'backfilling')"
    )
    fetched = "SELECT count(*) FROM trades WHERE source = 'backfill'"
    collector = background("run", config)
    wait_for_all_streams(database)
    collector.kill()

    halfway = 0
    for _ in range(2):
        time.sleep(4.0)
        [(known,)] = rows(database, fetched)
        collector = background("run", config)

        def filling(known: int = known) -> bool:
            found = rows(database, fetched)
            return bool(found) and found[0][0] > known

        wait_for(filling, "the first fetched trades", 60.0)
        collector.kill()
        halfway += rows(database, open_gaps)[0][0] > 0
    assert halfway > 0

    collector = background("run", config)
    wait_for_all_streams(database)
    wait_for(lambda: rows(database, open_gaps) == [(0,)], "every gap closed", 120.0)
    assert collector.stop(60) == 0, collector.log.read_text()

    accounts = check_against_ledgers(tapeline, database)
    assert sum(one["fills_in_gaps"] for one in accounts["streams"]) == 0
    assert rows(database, fetched)[0][0] > 100
