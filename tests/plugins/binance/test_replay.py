"""How recorded REST answers find the requests that they belong to."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from tapeline.runtime.recordings import RecordedFrame
from tapeline.runtime.replay import Replayer
from tapeline_binance import BinanceAdapter, BinanceConfig

SECOND = 10**9
SNAPSHOT = {"lastUpdateId": 160, "bids": [["1", "2"]], "asks": [["2", "3"]]}
Line = Callable[..., RecordedFrame]


@pytest.fixture
def line() -> Line:
    """Makes lines of a recording, a second apart."""
    places = itertools.count(1)

    def make(
        raw: object, direction: str = "in", url: str = "", connection: str = "1"
    ) -> RecordedFrame:
        place = next(places)
        text = raw if isinstance(raw, str) else json.dumps(raw, separators=(",", ":"))
        return RecordedFrame(place * SECOND, place, connection, direction, url, text)

    return make


@pytest.fixture
def change(depth: Any, wrap: Any) -> Callable[..., Any]:
    """Makes frames with a change of a book."""

    def make(first: int, last: int, symbol: str = "btcusdt") -> Any:
        data = depth(U=first, u=last, s=symbol.upper(), b=[["1", "5"]], a=[])
        return wrap(f"{symbol}@depth@100ms", data)

    return make


def books(*lines: RecordedFrame) -> dict[str, Any]:
    replayer = Replayer(BinanceAdapter(), BinanceConfig())
    for each in lines:
        replayer.feed(each)
    replayer.finish()
    assert replayer.report.malformed == {}
    return replayer.report.books


BOOK = "binance:spot:BTC-USDT:depth@100ms"
URL = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://127.0.0.1:8080/api/v3/depth?limit=1000&symbol=BTCUSDT",
        "https://www.binance.com/api/v1/depth?symbol=BTCUSDT&limit=5000",
        "a snapshot, taken by hand",
    ],
)
def test_answers_match_by_what_they_are_about(
    line: Line, change: Any, url: str
) -> None:
    found = books(
        line(change(156, 160)),
        line(SNAPSHOT, "http", url),
        line(change(161, 165)),
    )
    assert found[BOOK]["valid"]
    assert found[BOOK]["updates"] == 1


@pytest.mark.parametrize("connection", ["1", "http"])
def test_an_answer_before_the_first_change_is_kept(
    line: Line, change: Any, connection: str
) -> None:
    found = books(
        line(SNAPSHOT, "http", URL, connection),
        line(change(156, 160)),
        line(change(161, 165)),
    )
    assert found[BOOK]["valid"]


def test_an_answer_without_an_address_stays_on_its_connection(
    line: Line, change: Any
) -> None:
    found = books(
        line(change(156, 160)),
        line(SNAPSHOT, "http", "by hand", "2"),
        line(change(161, 165)),
    )
    assert not found[BOOK]["valid"]


def test_an_answer_about_another_symbol_is_not_taken(line: Line, change: Any) -> None:
    url = URL.replace("BTCUSDT", "ETHUSDT")
    found = books(
        line(change(156, 160)),
        line(SNAPSHOT, "http", url),
        line(change(156, 160, "ethusdt")),
    )
    assert not found[BOOK]["valid"]
    assert found["binance:spot:ETH-USDT:depth@100ms"]["valid"]


def test_a_book_that_breaks_takes_the_next_answer(line: Line, change: Any) -> None:
    """A session asks again by itself when a snapshot was too old."""
    old = {**SNAPSHOT, "lastUpdateId": 100}
    found = books(
        line(change(156, 160)),
        line(old, "http", URL),
        line(change(161, 165)),
        line(change(166, 170)),
        line(SNAPSHOT, "http", URL),
        line(change(171, 175)),
    )
    assert found[BOOK]["valid"]
    assert found[BOOK]["updates"] == 3


def test_pages_of_trades_fill_their_stream(
    line: Line, wrap: Any, agg_trade: Any
) -> None:
    url = "https://api.binance.com/api/v3/aggTrades?symbol=BTCUSDT&fromId={}&limit=1000"
    replayer = Replayer(BinanceAdapter(), BinanceConfig())
    rows = [agg_trade(a=number, f=number, l=number) for number in range(100, 112)]
    for each in (
        line(wrap("btcusdt@aggTrade", rows[0])),
        line(wrap("btcusdt@aggTrade", rows[11])),
        line(rows[:6], "http", url.format(100)),
        line(rows[5:], "http", url.format(105)),
        line([agg_trade(a=500)], "http", url.format(1) + "&limit=1"),
    ):
        replayer.feed(each)
    replayer.finish()
    (totals,) = replayer.report.trades.values()
    assert (totals.first_id, totals.last_id, totals.trades) == (100, 111, 12)


def test_a_connection_shows_its_streams_by_its_address(
    line: Line, kline: Any, wrap: Any
) -> None:
    """A kline alone would not tell that it is of a futures market."""
    replayer = Replayer(BinanceAdapter(), BinanceConfig())
    replayer.feed(line("", "connect", "wss://fstream.binance.com/market/stream"))
    replayer.feed(line(wrap("btcusdt@kline_1m", kline())))
    replayer.finish()
    assert [str(s) for s in replayer.pipeline.streams] == [
        "binance:swap:BTC-USDT:kline_1m"
    ]
