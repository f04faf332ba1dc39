"""Candles of recorded trades against official klines and the truth."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tapeline.candles import CandleAggregator
from tapeline.model import TIMEFRAMES, Candle, Subscription, Trade

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real"


def names(pattern: str) -> list[str]:
    if not REAL.is_dir():
        return []
    return sorted(path.relative_to(REAL).as_posix() for path in REAL.glob(pattern))


BINANCE = names("binance/*/hft_*_trade.jsonl.gz")
OKX = names("okx/*.jsonl.gz")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not BINANCE, reason="the recordings are not in this checkout"),
]

Latest = Callable[[Iterable[Candle]], dict[tuple[str, int], Candle]]


def frames(name: str, word: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with gzip.open(REAL / name, "rt") as lines:
        for line in lines:
            record = json.loads(line)
            if record.get("dir", "in") == "in" and word in record["raw"]:
                yield record["t"] or 0, json.loads(record["raw"])


def binance_trades(name: str) -> Iterator[Trade]:
    stream = Subscription("binance", "spot", "X", "trade", "trade", "fill")
    for received_ns, frame in frames(name, '"trade"'):
        row = frame["data"]
        yield Trade(
            stream,
            str(row["t"]),
            row["t"],
            row["t"],
            1,
            "sell" if row["m"] else "buy",
            Decimal(row["p"]),
            Decimal(row["q"]),
            row["T"] * 10**6,
            received_ns,
        )


def okx_trades(name: str) -> dict[str, list[Trade]]:
    found: dict[str, list[Trade]] = {}
    for received_ns, frame in frames(name, '"trades"'):
        for row in frame.get("data", ()):
            stream = Subscription("okx", "spot", row["instId"], "trade", "trades")
            count = int(row.get("count", "1"))
            last = int(row["tradeId"])
            found.setdefault(f"trades|{row['instId']}", []).append(
                Trade(
                    stream,
                    row["tradeId"],
                    last - count + 1,
                    last,
                    count,
                    row["side"],
                    Decimal(row["px"]),
                    Decimal(row["sz"]),
                    int(row["ts"]) * 10**6,
                    received_ns,
                )
            )
    return found


def minutes(trades: Iterable[Trade], latest: Latest) -> list[dict[str, Any]]:
    """Our 1m bars in the form of the truth."""
    trades = list(trades)
    aggregator = CandleAggregator(trades[0].stream, list(TIMEFRAMES))
    out: list[Candle] = []
    for one in trades:
        aggregator.add(one, out)
    aggregator.flush(out)
    return [
        {
            "open_time": open_ns // 10**6,
            "o": candle.open,
            "h": candle.high,
            "l": candle.low,
            "c": candle.close,
            "v": candle.volume,
            "quote_v": candle.quote_volume,
            "taker_buy_v": candle.taker_buy_volume,
            "trades": candle.trades_count,
            "whole": candle.state == "complete",
        }
        for (name, open_ns), candle in sorted(latest(out).items())
        if name == "1m"
    ]


def expected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The truth in our words: where collection stops, nothing is claimed whole."""
    numbers = ("o", "h", "l", "c", "v", "quote_v", "taker_buy_v")
    return [
        {
            "open_time": row["open_time"],
            **{key: Decimal(row[key]) for key in numbers},
            "trades": row.get("trades", row["records"]),
            "whole": row["whole"] and row is not rows[-1],
        }
        for row in rows
    ]


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((REAL / "truth.json").read_text())
    return loaded


@pytest.mark.parametrize("name", BINANCE)
def test_minutes_of_recorded_binance_trades_equal_the_truth(
    name: str, truth: dict[str, Any], latest: Latest
) -> None:
    (want,) = truth["files"][name]["trades"].values()
    found = minutes(binance_trades(name), latest)
    assert found == expected(want["candles_1m"])


@pytest.mark.parametrize("name", OKX)
def test_minutes_of_recorded_okx_trades_equal_the_truth(
    name: str, truth: dict[str, Any], latest: Latest
) -> None:
    want = truth["files"][name].get("trades", {})
    found = okx_trades(name)
    assert set(found) == set(want)
    for key, trades in found.items():
        assert minutes(trades, latest) == expected(want[key]["candles_1m"]), key


def test_whole_intervals_equal_the_official_klines_in_nine_fields(
    truth: dict[str, Any], latest: Latest
) -> None:
    compared = 0
    for pair in truth["kline_pairs"]:
        if pair["trades"] not in BINANCE:
            continue
        trades = list(binance_trades(pair["trades"]))
        timeframe = "5m" if "5m" in pair["official"] else "1m"
        aggregator = CandleAggregator(trades[0].stream, [timeframe])
        out: list[Candle] = []
        for one in trades:
            aggregator.add(one, out)
        aggregator.flush(out)
        bars = latest(out)
        for interval in pair["intervals"]:
            row = interval["official"]
            bar = bars[timeframe, int(row[0]) * 10**6]
            at_the_end = bar is max(bars.values(), key=lambda one: one.open_ns)
            assert bar.state == ("partial" if at_the_end else "complete")
            assert [
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.volume,
                bar.quote_volume,
                bar.trades_count,
                bar.taker_buy_volume,
            ] == [Decimal(row[at]) for at in (1, 2, 3, 4, 5, 7, 8, 9)]
            compared += 1
    assert compared >= 6
