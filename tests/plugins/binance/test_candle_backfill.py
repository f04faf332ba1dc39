"""Final candles over REST: bounded by both times, page by page."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from tapeline.model import Gap, Request, Response, Subscription
from tapeline_binance.adapter import BinanceAdapter
from tapeline_binance.config import BinanceConfig

MINUTE = 60 * 10**9
START = 1_767_225_600 * 10**9
STREAM = Subscription("binance", "spot", "BTC-USDT", "candle", "kline_1m", "", "1m")


def hole(first: int | None, last: int | None) -> Gap:
    def at_ns(minute: int | None) -> int | None:
        return None if minute is None else START + minute * MINUTE

    return Gap(STREAM, 0, 0, None, None, at_ns(first), at_ns(last), "audit", START)


def row(minute: int) -> list[object]:
    opened = (START + minute * MINUTE) // 10**6
    closed = opened + 59_999
    prices = ["100", "101", "99", "100.5", "2"]
    return [opened, *prices, closed, "200", 5, "1", "100", "0"]


def answer(*rows: object, now_minute: int = 10_000, status: int = 200) -> Response:
    received_ns = START + now_minute * MINUTE
    body = json.dumps(rows).encode()
    return Response(
        Request("GET", "http://x"), status, {}, body, received_ns, "candles"
    )


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_one_page_is_asked_for_by_the_times_of_opening() -> None:
    pages = BinanceAdapter().backfill(BinanceConfig(), hole(2, 4))
    assert pages is not None
    fetch = pages.next()
    assert fetch is not None

    asked = query(fetch.request.url)
    assert (asked["symbol"], asked["interval"]) == ("BTCUSDT", "1m")
    assert int(asked["startTime"]) == (START + 2 * MINUTE) // 10**6
    assert int(asked["endTime"]) == (START + 4 * MINUTE) // 10**6
    page = pages.read(answer(row(2), row(3), row(4)))
    assert [(c.open_ns - START) // MINUTE for c in page.candles] == [2, 3, 4]
    assert {candle.trades_count for candle in page.candles} == {5}
    assert pages.next() is None


def test_it_goes_on_behind_a_page_that_does_not_reach_the_last() -> None:
    pages = BinanceAdapter().backfill(BinanceConfig(), hole(0, 150))
    assert pages is not None
    pages.next()
    pages.read(answer(*[row(minute) for minute in range(100)]))
    second = pages.next()
    assert second is not None

    begins = int(query(second.request.url)["startTime"])
    assert begins == (START + 100 * MINUTE) // 10**6
    page = pages.read(answer(*[row(minute) for minute in range(100, 151)]))
    assert len(page.candles) == 51
    assert pages.next() is None


def test_what_is_forming_broken_or_not_asked_for_is_left_out() -> None:
    pages = BinanceAdapter().backfill(BinanceConfig(), hole(1, 3))
    assert pages is not None
    pages.next()

    rows = answer(row(0), row(2), ["x"], 5, row(3), now_minute=3)
    page = pages.read(rows)

    assert [(c.open_ns - START) // MINUTE for c in page.candles] == [2]


def test_an_answer_without_rows_or_with_an_error_ends_it() -> None:
    for response in (answer(), answer(status=500)):
        pages = BinanceAdapter().backfill(BinanceConfig(), hole(0, 500))
        assert pages is not None
        pages.next()
        assert pages.read(response).candles == []
        assert pages.next() is None


def test_without_both_times_there_are_no_pages() -> None:
    adapter, config = BinanceAdapter(), BinanceConfig()
    assert adapter.backfill(config, hole(None, 3)) is None
    assert adapter.backfill(config, hole(3, None)) is None
    assert adapter.backfill(config, hole(3, 2)) is None
