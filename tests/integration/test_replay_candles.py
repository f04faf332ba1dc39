"""``tapeline replay`` gives the candles that the truth has, in every field."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

TRUTH = Path(__file__).parents[3] / "shared" / "data" / "real" / "truth.json"
FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume")

pytestmark = pytest.mark.real


def recordings_with_minutes() -> list[str]:
    """The recordings that hold whole minutes, and one of the other exchange."""
    if not TRUTH.is_file():
        return []
    files = json.loads(TRUTH.read_text())["files"]
    return [
        name
        for name, found in sorted(files.items())
        if "_rest_" not in name
        and any(
            minute["whole"]
            for trades in found.get("trades", {}).values()
            for minute in trades.get("candles_1m", ())
        )
    ] + ["okx/cf_20220513_books_trades_tickers.jsonl.gz"]


FILES = recordings_with_minutes()


@pytest.fixture(scope="module", params=FILES or ["absent"])
def case(
    request: pytest.FixtureRequest,
    tapeline_in: Any,
    recordings: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, list[dict[str, Any]]]:
    """The name of a recording, and the bars that its replay stored."""
    name = request.param
    folder = tmp_path_factory.mktemp("replay")
    words: list[object] = [
        "replay", recordings / name, "--exchange", name.partition("/")[0],
        "--database", "market.db", "--timeframes", "1m,5m",
    ]  # fmt: skip
    if name.startswith("okx/"):
        listed = recordings / "okx/cf_20220513_rest_instruments.jsonl.gz"
        words += ["--instruments", listed]
    done = tapeline_in(folder)(*words)
    assert done.returncode == 0, done.stderr
    connection = sqlite3.connect(folder / "market.db")
    connection.row_factory = sqlite3.Row
    rows = connection.execute(
        "SELECT * FROM market_data WHERE source = 'trades' ORDER BY timestamp"
    ).fetchall()
    connection.close()
    return name, [dict(row) for row in rows]


def values(row: dict[str, Any]) -> tuple[Any, ...]:
    opened = datetime.fromisoformat(row["timestamp"]).timestamp() * 1000
    exact = (Decimal(row[field]) for field in FIELDS)
    return (round(opened), *exact, row["trades_count"])


def test_minutes_equal_the_truth_in_every_field(
    case: tuple[str, list[dict[str, Any]]], truth: dict[str, Any]
) -> None:
    name, rows = case
    streams: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["timeframe"] == "1m":
            streams.setdefault((row["market"], row["symbol"]), []).append(row)
    found = sorted([values(row) for row in bars] for bars in streams.values())
    columns = ("o", "h", "l", "c", "v", "quote_v", "taker_buy_v")
    expected = sorted(
        [
            (
                minute["open_time"],
                *(Decimal(minute[column]) for column in columns),
                minute.get("trades", minute["records"]),
            )
            for minute in trades["candles_1m"]
        ]
        for trades in truth["files"][name]["trades"].values()
    )

    assert found == expected
    for bars in streams.values():
        assert bars[0]["state"] == bars[-1]["state"] == "partial"
        assert {bar["state"] for bar in bars[1:-1]} <= {"complete"}


def test_whole_intervals_equal_the_official_klines_in_every_field(
    case: tuple[str, list[dict[str, Any]]], truth: dict[str, Any], recordings: Path
) -> None:
    name, rows = case
    pairs = [
        pair
        for pair in truth["kline_pairs"]
        if pair["trades"] == name and "official" in pair
    ]
    if not pairs:
        pytest.skip("no official klines were recorded beside it")
    for pair in pairs:
        timeframe = "5m" if "5m" in pair["official"] else "1m"
        bars = {values(row)[0]: row for row in rows if row["timeframe"] == timeframe}
        official = {
            int(fields[0]): fields
            for line in (recordings / pair["official"]).read_text().splitlines()
            if (fields := line.split(","))[0].isdigit()
        }
        compared = 0
        for interval in pair["intervals"]:
            fields = official[interval["open_time"]]
            bar = bars[interval["open_time"]]
            assert list(values(bar)[1:]) == [
                Decimal(fields[at]) for at in (1, 2, 3, 4, 5, 7, 9, 8)
            ]
            # What the sellers took is the rest.
            sold = bar["taker_buy_volume"]
            assert Decimal(fields[5]) - Decimal(sold) >= 0
            compared += bar["state"] == "complete"
        assert compared >= pair["of"] - 1
