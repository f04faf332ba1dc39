"""Final candles over REST: bounded by both times, page by page."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from tapeline.model import Gap, Request, Response, Subscription
from tapeline_okx import OkxAdapter
from tapeline_okx.config import OkxConfig

MINUTE = 60 * 10**9
START = 1_767_225_600 * 10**9
STREAM = Subscription("okx", "spot", "BTC-USDT", "candle", "candle1m", "", "1m")


def hole(first: int | None, last: int | None) -> Gap:
    def at_ns(minute: int | None) -> int | None:
        return None if minute is None else START + minute * MINUTE

    return Gap(STREAM, 0, 0, None, None, at_ns(first), at_ns(last), "audit", START)


def row(minute: int, confirm: str = "1") -> list[str]:
    opened = str((START + minute * MINUTE) // 10**6)
    return [opened, "100", "101", "99", "100.5", "2", "200", "200", confirm]


def answer(*rows: object, code: str = "0") -> Response:
    body = json.dumps({"code": code, "msg": "", "data": rows}).encode()
    return Response(Request("GET", "http://x"), 200, {}, body, START, "candles")


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_one_page_is_asked_for_with_both_bounds_outside() -> None:
    pages = OkxAdapter().backfill(OkxConfig(), hole(2, 4))
    assert pages is not None
    fetch = pages.next()
    assert fetch is not None

    asked = query(fetch.request.url)
    assert (asked["instId"], asked["bar"]) == ("BTC-USDT", "1m")
    assert int(asked["before"]) == (START + 2 * MINUTE) // 10**6 - 1
    assert int(asked["after"]) == (START + 4 * MINUTE) // 10**6 + 1
    page = pages.read(answer(row(4), row(3), row(2)))
    assert [(c.open_ns - START) // MINUTE for c in page.candles] == [4, 3, 2]
    assert {candle.state for candle in page.candles} == {"complete"}
    assert pages.next() is None


def test_it_goes_on_below_a_page_that_does_not_reach_the_first() -> None:
    pages = OkxAdapter().backfill(OkxConfig(), hole(0, 150))
    assert pages is not None
    pages.next()
    pages.read(answer(*[row(minute) for minute in range(150, 50, -1)]))
    second = pages.next()
    assert second is not None

    assert int(query(second.request.url)["after"]) == (START + 51 * MINUTE) // 10**6
    page = pages.read(answer(*[row(minute) for minute in range(50, -1, -1)]))
    assert len(page.candles) == 51
    assert pages.next() is None


def test_what_is_forming_broken_or_not_asked_for_is_left_out() -> None:
    pages = OkxAdapter().backfill(OkxConfig(), hole(1, 3))
    assert pages is not None
    pages.next()

    page = pages.read(answer(row(9), row(3, "0"), ["x"], 5, [1, 2], row(2), row(0)))

    assert [(c.open_ns - START) // MINUTE for c in page.candles] == [2]
    assert pages.next() is None


def test_an_answer_without_rows_or_with_an_error_ends_it() -> None:
    for response in (answer(), answer(code="51000")):
        pages = OkxAdapter().backfill(OkxConfig(), hole(0, 500))
        assert pages is not None
        pages.next()
        assert pages.read(response).candles == []
        assert pages.next() is None


def test_without_both_times_there_are_no_pages() -> None:
    adapter, config = OkxAdapter(), OkxConfig()
    assert adapter.backfill(config, hole(None, 3)) is None
    assert adapter.backfill(config, hole(3, None)) is None
    assert adapter.backfill(config, hole(3, 2)) is None
