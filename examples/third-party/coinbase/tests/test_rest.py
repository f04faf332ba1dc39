"""Products, probes, the clock and pages of trades, as the documentation shows them."""

from __future__ import annotations

import json
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from tapeline_coinbase import CoinbaseAdapter, CoinbaseConfig

from tapeline.errors import DataValidationError
from tapeline.model import Gap, OutcomeKind, Request, Response, Subscription

ADAPTER = CoinbaseAdapter()
CONFIG = CoinbaseConfig(trade_ids="contiguous", rest_url="https://venue.test/")
STREAM = Subscription(
    "coinbase", "spot", "BTC-USD", "trade", "market_trades-by-id", "fill"
)
S = 10**9
AT_S = 1_767_323_045


def answer(body: object, status: int = 200, **headers: str) -> Response:
    """An answer of the venue."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(Request("GET", "https://venue.test"), status, headers, data, 1)


def row(number: int, second: int = 5) -> dict[str, str]:
    """One trade of REST."""
    return {
        "trade_id": str(number),
        "product_id": "BTC-USD",
        "price": "100.5",
        "size": "0.01",
        "time": f"2026-01-02T03:04:{second:02d}.25Z",
        "side": "BUY",
        "bid": "",
        "ask": "",
    }


def test_products_become_instruments_and_futures_are_left_out() -> None:
    product = {
        "product_id": "BTC-USD", "base_increment": "0.00000001",
        "quote_increment": "0.01", "price_increment": "0.01",
        "base_min_size": "0.00000001", "base_currency_id": "BTC",
        "quote_currency_id": "USD", "status": "online", "product_type": "SPOT",
    }  # fmt: skip
    future = {"product_id": "BIT-28JUL23-CDE", "product_type": "FUTURE"}
    closed = {**product, "product_id": "OLD-USD", "trading_disabled": True}

    found = ADAPTER.read_instruments(
        answer({"products": [product, future, closed, 7, {}]})
    )

    assert [one.symbol for one in found] == ["BTC-USD", "OLD-USD"]
    assert found[0].tick_size == Decimal("0.01")
    assert (found[0].base, found[0].quote, found[0].state) == ("BTC", "USD", "live")
    assert found[1].state == "disabled"


@pytest.mark.parametrize("body", [b"", b"<html>", {"error": 1}, [], {"products": 3}])
def test_an_answer_without_products_is_an_error(body: object) -> None:
    with pytest.raises(DataValidationError):
        ADAPTER.read_instruments(answer(body))


def test_a_probe_shows_the_newest_trade() -> None:
    fetch = ADAPTER.probe(CONFIG, STREAM)
    assert fetch is not None
    assert urlsplit(fetch.request.url).path.endswith("/market/products/BTC-USD/ticker")

    newest = ADAPTER.read_probe(answer({"trades": [row(9), row(8)]}))

    assert newest == (9, AT_S * S + 250_000_000)
    assert ADAPTER.read_probe(answer({"trades": []})) == (None, None)


def test_the_clock_is_read_in_milliseconds() -> None:
    body = {"iso": "", "epochSeconds": "1767323045", "epochMillis": "1767323045250"}

    assert ADAPTER.read_server_time(answer(body)) == AT_S * S + 250_000_000
    with pytest.raises(DataValidationError):
        ADAPTER.read_server_time(answer({}))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, OutcomeKind.OK),
        (400, OutcomeKind.FATAL),
        (401, OutcomeKind.AUTH),
        (403, OutcomeKind.BANNED),
        (404, OutcomeKind.FATAL),
        (429, OutcomeKind.LIMITED),
        (503, OutcomeKind.RETRY),
    ],
)
def test_answers_are_classified_by_status(status: int, kind: OutcomeKind) -> None:
    assert ADAPTER.classify(answer(b"?", status)).kind is kind


def test_a_wait_that_the_venue_names_is_kept() -> None:
    outcome = ADAPTER.classify(answer(b"", 429, **{"retry-after": "7"}))

    assert outcome.wait_s == 7.0


def gap(first: int, last: int, stream: Subscription = STREAM) -> Gap:
    """A hole between two seconds."""
    return Gap(stream, 1, 0, first, last, AT_S * S, (AT_S + 4) * S, "id-hole", 1)


def test_only_streams_whose_ids_are_counted_are_filled() -> None:
    rising = Subscription("coinbase", "spot", "BTC-USD", "trade", "market_trades")

    assert ADAPTER.backfill(CONFIG, gap(3, 5, rising)) is None
    assert ADAPTER.backfill(CONFIG, gap(3, 5)) is not None


def test_a_page_that_shows_both_neighbors_proves_what_is_between() -> None:
    pages = ADAPTER.backfill(CONFIG, gap(3, 6))
    assert pages is not None
    fetch = pages.next()
    assert fetch is not None
    query = parse_qs(urlsplit(fetch.request.url).query)
    assert query["end"] == [str(AT_S + 4 + 2)]

    page = pages.read(answer({"trades": [row(7, 9), row(5, 6), row(2, 5)]}))

    assert [trade.first_id for trade in page.trades] == [5]
    assert page.trades[0].source == "backfill"
    assert (page.proven_from_id, page.proven_to_id) == (3, 6)
    assert pages.next() is None


def test_a_page_without_the_upper_neighbor_is_stale() -> None:
    pages = ADAPTER.backfill(CONFIG, gap(3, 6))
    assert pages is not None

    assert pages.read(answer({"trades": [row(5), row(2)]})).stale
    assert pages.read(answer(b"<html>", 503)).stale
    assert pages.next() is not None


def test_a_row_that_cannot_be_used_leaves_a_page_without_proof() -> None:
    pages = ADAPTER.backfill(CONFIG, gap(3, 6))
    assert pages is not None

    page = pages.read(answer({"trades": [row(7), {"trade_id": "5"}, row(2)]}))

    assert page.proven_from_id is None


def test_full_pages_are_walked_backward_by_seconds() -> None:
    pages = ADAPTER.backfill(CONFIG, gap(3, 1_500))
    assert pages is not None
    first = [row(number, 8) for number in range(1_501, 501, -1)]

    page = pages.read(answer({"trades": first}))
    fetch = pages.next()

    assert (page.proven_from_id, page.proven_to_id) == (502, 1_500)
    assert fetch is not None
    assert parse_qs(urlsplit(fetch.request.url).query)["end"] == [str(AT_S + 4)]
    second = [row(number, 7) for number in range(502, 1, -1)]
    page = pages.read(answer({"trades": second}))
    assert (page.proven_from_id, page.proven_to_id) == (3, 502)
    assert pages.next() is None
