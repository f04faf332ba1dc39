"""Filling holes in trades from pages that come newest first."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from tapeline.model import BackfillPage, Gap, Request, Response, Trade


@attrs.define
class History:
    """What ``history-trades`` serves: the rows below ``after``, newest first."""

    ids: list[int]
    requests: list[Request] = attrs.field(factory=list)

    def answer(self, request: Request, newest: int | None = None) -> Response:
        """The answer; with *newest*, of a cache that knows nothing above it."""
        self.requests.append(request)
        query = parse_qs(urlsplit(request.url).query)
        after, limit = int(query["after"][0]), int(query["limit"][0])
        known = [i for i in self.ids if newest is None or i <= newest]
        rows = sorted((i for i in known if i < after), reverse=True)[:limit]
        return response(request, [row(i) for i in rows])


def row(trade_id: int, **changes: object) -> Mapping[str, object]:
    return {
        "instId": "BTC-USDT",
        "side": "sell",
        "sz": "0.00001",
        "source": "0",
        "px": "29963.2",
        "tradeId": str(trade_id),
        "ts": "1654161646974",
        **changes,
    }


def response(request: Request, rows: Iterable[object]) -> Response:
    body = json.dumps({"code": "0", "msg": "", "data": list(rows)}).encode()
    return Response(request, 200, {}, body, 777)


@pytest.fixture
def fill(adapter: Any, streams: Any) -> Any:
    """Starts a backfill of ``from_id..to_id``."""

    def start(from_id: int, to_id: int, inst_id: str = "BTC-USDT") -> Any:
        stream = streams("trades", inst_id)
        gap = Gap(stream, 1, 0, from_id, to_id, None, None, "disconnect", 0)
        return adapter.backfill(adapter.config(), gap)

    return start


def run(backfill: Any, history: History) -> list[BackfillPage]:
    pages: list[BackfillPage] = []
    while (fetch := backfill.next()) is not None:
        assert len(pages) < 100
        pages.append(backfill.read(history.answer(fetch.request)))
    return pages


def ids(pages: Iterable[BackfillPage]) -> list[int]:
    return sorted(trade.last_id for page in pages for trade in page.trades)


def test_a_page_asks_below_the_first_live_fill_and_includes_it(fill: Any) -> None:
    """The row of the first live fill shows that the answer is not too old."""
    fetch = fill(101, 200).next()
    assert fetch.request.url.endswith(
        "/api/v5/market/history-trades?instId=BTC-USDT&type=1&after=202&limit=100"
    )
    assert fetch.costs == {"rest.history-trades": 1}


def test_rows_are_single_fills_marked_as_backfill(fill: Any, streams: Any) -> None:
    history = History(list(range(1, 20)))
    (page,) = run(fill(10, 10), history)
    (trade,) = page.trades
    assert isinstance(trade, Trade)
    assert (trade.stream, trade.source) == (streams("trades"), "backfill")
    assert (trade.first_id, trade.last_id, trade.fills) == (10, 10, 1)
    assert (trade.exchange_ns, trade.received_ns) == (1654161646974000000, 777)


def test_a_large_gap_is_walked_backward_without_seams(fill: Any) -> None:
    history = History(list(range(1, 1_001)))
    pages = run(fill(301, 700), history)
    assert ids(pages) == list(range(301, 701))
    proven = [(page.proven_from_id, page.proven_to_id) for page in pages]
    assert proven[0][1] == 700
    assert proven[-1][0] == 301
    for (low, _), (_, high) in itertools.pairwise(proven):
        assert high == low
    assert not any(page.stale or page.exhausted for page in pages)


def test_ids_that_were_never_issued_are_proven_by_their_neighbors(fill: Any) -> None:
    history = History([*range(1, 101), *range(111, 300)])
    pages = run(fill(95, 120), history)
    assert ids(pages) == [*range(95, 101), *range(111, 121)]
    assert [(p.proven_from_id, p.proven_to_id) for p in pages] == [(95, 120)]


def test_a_gap_of_nothing_but_a_hole_is_proven_empty(fill: Any) -> None:
    history = History([*range(1, 101), *range(111, 300)])
    (page,) = run(fill(101, 110), history)
    assert (page.trades, page.proven_from_id, page.proven_to_id) == ([], 101, 110)


def test_an_old_cache_is_stale_and_asked_again(fill: Any) -> None:
    history = History(list(range(1, 1_001)))
    backfill = fill(401, 450)
    first = backfill.next()
    page = backfill.read(history.answer(first.request, newest=420))
    assert page.stale
    assert page.proven_from_id is None
    assert backfill.next() == first
    page = backfill.read(history.answer(first.request))
    assert ids([page]) == list(range(401, 451))
    assert backfill.next() is None


def test_a_neighbor_that_never_comes_does_not_keep_it_forever(fill: Any) -> None:
    history = History(list(range(1, 440)))
    backfill = fill(401, 450)
    pages = run(backfill, history)
    assert set(ids(pages)) == set(range(401, 440))
    assert len(pages) == 6
    assert (pages[-1].proven_from_id, pages[-1].proven_to_id) == (401, 439)


def test_the_end_of_the_venues_memory_is_told(fill: Any) -> None:
    history = History(list(range(150, 300)))
    pages = run(fill(101, 200), history)
    assert ids(pages) == list(range(150, 201))
    assert pages[-1].exhausted


def test_nothing_at_all_is_exhausted_after_a_few_tries(fill: Any) -> None:
    pages = run(fill(101, 200), History([]))
    assert [page.stale for page in pages] == [True] * 5 + [False]
    assert pages[-1].exhausted


def test_an_unusable_row_leaves_its_page_unproven(fill: Any) -> None:
    backfill = fill(5, 7)
    fetch = backfill.next()
    rows = [row(8), row(7), row(6, px="NaN"), row(5), None, row(4)]
    page = backfill.read(response(fetch.request, rows))
    assert ids([page]) == [5, 7]
    assert (page.proven_from_id, page.stale) == (None, False)
    assert backfill.next() is None


def test_a_page_of_another_instrument_is_asked_again_and_nothing_of_it_taken(
    fill: Any,
) -> None:
    backfill = fill(5, 7)
    fetch = backfill.next()
    others = [row(number, instId="ETH-USDT") for number in range(8, 3, -1)]
    page = backfill.read(response(fetch.request, others))
    assert page == BackfillPage((), stale=True)
    again = backfill.next()
    assert again.request == fetch.request
    page = backfill.read(response(again.request, [row(n) for n in range(8, 3, -1)]))
    assert ids([page]) == [5, 6, 7]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":"50011","data":[]}'])
def test_unreadable_answers_are_asked_again_a_few_times(fill: Any, body: bytes) -> None:
    backfill = fill(5, 7)
    tries = 0
    while (fetch := backfill.next()) is not None:
        tries += 1
        backfill.read(Response(fetch.request, 429, {}, body, 0))
    assert tries == 6


def test_a_swap_is_asked_for_by_its_own_name(fill: Any) -> None:
    fetch = fill(1, 2, "BTC-USDT-SWAP").next()
    assert "instId=BTC-USDT-SWAP&" in fetch.request.url


def test_only_trades_with_both_ends_can_be_filled(adapter: Any, streams: Any) -> None:
    config = adapter.config()
    for channel, low, high in (
        ("books", 1, 2),
        ("tickers", 1, 2),
        ("trades", None, 2),
        ("trades", 1, None),
        ("trades", 2, 1),
    ):
        gap = Gap(streams(channel), 1, 0, low, high, None, None, "stall", 0)
        assert adapter.backfill(config, gap) is None
