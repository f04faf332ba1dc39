"""Filling holes in trades from pages that come oldest first."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from tapeline.model import BackfillPage, Gap, Request, Response


@attrs.define
class History:
    """What the venue serves: rows from ``fromId`` on, oldest first."""

    ids: list[int]
    requests: list[Request] = attrs.field(factory=list)

    def answer(self, request: Request, newest: int | None = None) -> Response:
        """The answer; with *newest*, of a database that lags behind."""
        self.requests.append(request)
        url = urlsplit(request.url)
        query = parse_qs(url.query)
        first, limit = int(query["fromId"][0]), int(query["limit"][0])
        known = [i for i in self.ids if newest is None or i <= newest]
        rows = sorted(i for i in known if i >= first)[:limit]
        make = fill if url.path.endswith("historicalTrades") else aggregate
        return response(request, [make(i) for i in rows])


def aggregate(number: int, **changes: object) -> dict[str, object]:
    row = {"a": number, "p": "0.5", "q": "4.7", "f": number * 2, "l": number * 2 + 1}
    return {**row, "T": 1498793709153, "m": True, "M": True, **changes}


def fill(number: int) -> dict[str, object]:
    row = {"id": number, "price": "4.5", "qty": "12", "quoteQty": "48"}
    return {**row, "time": 1499865549590, "isBuyerMaker": False, "isBestMatch": True}


def response(request: Request, rows: Iterable[object]) -> Response:
    return Response(request, 200, {}, json.dumps(list(rows)).encode(), 777)


@pytest.fixture
def start(adapter: Any, streams: Any) -> Any:
    """Starts a backfill of ``from_id..to_id``."""

    def begin(
        from_id: int | None,
        to_id: int | None,
        channel: str = "aggTrade",
        market: str = "spot",
        **options: Any,
    ) -> Any:
        stream = streams(channel, "BTC-USDT", market)
        gap = Gap(stream, 1, 0, from_id, to_id, None, None, "disconnect", 0)
        return adapter.backfill(adapter.config(**options), gap)

    return begin


def run(backfill: Any, history: History, newest: int | None = None) -> list[Any]:
    pages: list[BackfillPage] = []
    while (fetch := backfill.next()) is not None:
        assert len(pages) < 100
        pages.append(backfill.read(history.answer(fetch.request, newest)))
    return pages


def ids(pages: Iterable[BackfillPage]) -> list[int]:
    return [trade.last_id for page in pages for trade in page.trades]


def proven(pages: Iterable[BackfillPage]) -> set[int]:
    found: set[int] = set()
    for page in pages:
        if page.proven_from_id is not None and page.proven_to_id is not None:
            found |= set(range(page.proven_from_id, page.proven_to_id + 1))
    return found


def test_a_page_begins_with_the_neighbor_below_the_gap(start: Any) -> None:
    fetch = start(101, 200).next()
    assert fetch.request.url == (
        "https://api.binance.com/api/v3/aggTrades?symbol=BTCUSDT&fromId=100&limit=1000"
    )
    assert fetch.costs == {"weight": 4}


def test_one_page_fills_and_proves_a_small_gap(start: Any) -> None:
    backfill = start(101, 200)
    history = History(list(range(300)))
    pages = run(backfill, history)
    assert ids(pages) == list(range(101, 201))
    assert proven(pages) == set(range(101, 201))
    (trade, *_) = pages[0].trades
    assert (trade.source, trade.fills, trade.side) == ("backfill", 2, "sell")
    assert trade.received_ns == 777


def test_pages_join_at_a_row_that_both_have(start: Any) -> None:
    history = History(list(range(5_000)))
    pages = run(start(101, 3_100), history)
    assert ids(pages) == list(range(101, 3_101))
    assert proven(pages) == set(range(101, 3_101))
    firsts = [parse_qs(urlsplit(r.url).query)["fromId"][0] for r in history.requests]
    assert firsts == ["100", "1099", "2098", "3097"]


def test_ids_that_were_never_issued_are_proven_by_their_neighbors(start: Any) -> None:
    pages = run(start(101, 110), History([100, 105, 111]))
    assert ids(pages) == [105]
    assert proven(pages) == set(range(101, 111))


def test_what_is_below_the_first_row_is_not_proven(start: Any) -> None:
    """The neighbor itself is gone, so nothing shows where the rows begin."""
    pages = run(start(101, 110), History([105, 111]))
    assert proven(pages) == set(range(105, 111))


def test_a_history_that_begins_inside_the_gap_is_exhausted_at_its_end(
    start: Any,
) -> None:
    history = History(list(range(1_500, 4_000)))

    pages = run(start(1_001, 3_600), history)

    assert [page.exhausted for page in pages] == [False, False, True]
    assert ids(pages) == list(range(1_500, 3_601))


def test_a_lagging_database_is_asked_again(start: Any) -> None:
    backfill, history = start(101, 110), History(list(range(200)))
    page = backfill.read(history.answer(backfill.next().request, 100))
    assert (page.stale, page.trades) == (True, [])
    page = backfill.read(history.answer(backfill.next().request, 104))
    assert ids([page]) == [101, 102, 103, 104]
    assert proven([page]) == {101, 102, 103, 104}
    page = backfill.read(history.answer(backfill.next().request, 104))
    assert page.stale
    page = backfill.read(history.answer(backfill.next().request))
    assert ids([page]) == list(range(105, 111))
    assert backfill.next() is None


def test_an_answer_that_never_grows_is_given_up(start: Any) -> None:
    pages = run(start(101, 110), History([]))
    assert len(pages) == 6
    assert [page.stale for page in pages] == [True] * 5 + [False]
    assert pages[-1].exhausted


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"code":-1121,"msg":"x"}'])
def test_an_unreadable_answer_proves_nothing(start: Any, body: bytes) -> None:
    backfill = start(1, 10)
    page = backfill.read(Response(backfill.next().request, 200, {}, body, 1))
    assert page.stale
    assert proven([page]) == set()


@pytest.mark.parametrize("bad", [None, {}, [], aggregate(5, p="x"), aggregate(5, f=-1)])
def test_a_bad_row_costs_itself_and_the_proof(start: Any, bad: Any) -> None:
    backfill = start(3, 8)
    rows = [aggregate(2), aggregate(3), bad, aggregate(9)]
    page = backfill.read(response(backfill.next().request, rows))
    assert ids([page]) == [3]
    assert proven([page]) == set()


def test_a_gap_at_the_first_id_has_no_neighbor_below(start: Any) -> None:
    pages = run(start(0, 3), History(list(range(10))))
    assert ids(pages) == [0, 1, 2, 3]
    assert proven(pages) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("market", "path", "limit", "weight"),
    [
        ("spot", "/api/v3/historicalTrades", "1000", {"weight": 25}),
        ("swap", "/fapi/v1/historicalTrades", "500", {"futures.weight": 20}),
    ],
)
def test_single_fills_come_from_historical_trades_with_the_key(
    start: Any, keys: Any, market: str, path: str, limit: str, weight: Any
) -> None:
    backfill = start(101, 104, "trade", market, **keys)
    fetch = backfill.next()
    url = urlsplit(fetch.request.url)
    assert url.path == path
    assert parse_qs(url.query)["limit"] == [limit]
    assert fetch.request.private
    assert fetch.costs == weight
    pages = run(backfill, History(list(range(200))))
    assert ids(pages) == [101, 102, 103, 104]
    assert {t.fills for page in pages for t in page.trades} == {1}
    assert {t.side for page in pages for t in page.trades} == {"buy"}


def test_single_fills_of_spot_are_tried_without_a_key(start: Any) -> None:
    """The guide does not ask for one any more."""
    assert not start(1, 2, "trade").next().request.private


def test_what_cannot_be_filled_has_no_backfill(start: Any, streams: Any) -> None:
    assert start(1, 2, "trade", "swap") is None
    assert start(1, 2, "trade", region="market-data-only") is None
    assert start(1, 2, "aggTrade", region="market-data-only") is not None
    assert start(None, 2) is None
    assert start(1, None) is None
    assert start(3, 2) is None
    assert start(1, 2, "ticker") is None
    assert start(1, 2, "depth@100ms") is None
