"""The simulator's REST side: paging, limits, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tapeline.testing import START_NS, Fault, Fill, Market
from tapeline_okx.simulator import OkxSimulator

SECOND = 10**9
NOW = START_NS + 200 * SECOND
TRADES = "/api/v5/market/history-trades?instId=BTC-USDT"


class Rest:
    """A simulator with 200 seconds of history, asked slowly enough."""

    def __init__(self, faults: tuple[Fault, ...] = (), rate_hz: float = 20.0) -> None:
        market = Market(1, rate_hz=rate_hz, hole_probability=0.1, faults=faults)
        self.venue = OkxSimulator(market)
        self.venue.advance(NOW)
        market.halt("spot", "BTC-USDT", NOW)
        self.now_ns = NOW
        self.fills: list[Fill] = market.feed("spot", "BTC-USDT").fills

    def get(self, target: str, status: int = 200) -> Any:
        """The decoded answer."""
        self.now_ns += SECOND
        answer = self.venue.request("GET", target, {}, self.now_ns)
        assert answer.status == status
        return json.loads(answer.body)

    def data(self, target: str) -> Any:
        """The data of a good answer."""
        body = self.get(target)
        assert (body["code"], body["msg"]) == ("0", "")
        return body["data"]

    def ids(self, target: str) -> list[int]:
        """Trade ids of an answer."""
        return [int(row["tradeId"]) for row in self.data(target)]


def test_a_trade_row_has_the_documented_shape() -> None:
    rest = Rest()
    newest = rest.fills[-1]

    assert rest.data(TRADES)[0] == {
        "instId": "BTC-USDT",
        "side": newest.side,
        "sz": newest.size,
        "source": "0",
        "px": newest.price,
        "tradeId": str(newest.id),
        "ts": str(newest.exchange_ns // 1_000_000),
    }


def test_trades_are_newest_first_and_limits_are_clamped() -> None:
    rest = Rest()
    ids = [fill.id for fill in rest.fills][::-1]
    assert len(ids) > 1_000

    assert rest.ids("/api/v5/market/trades?instId=BTC-USDT") == ids[:100]
    assert rest.ids("/api/v5/market/trades?instId=BTC-USDT&limit=900") == ids[:500]
    assert rest.ids(TRADES + "&limit=7") == ids[:7]
    assert rest.ids(TRADES + "&limit=500") == ids[:100]


def test_after_walks_back_through_every_fill() -> None:
    rest = Rest()
    seen: list[int] = []
    after = ""
    while page := rest.ids(f"{TRADES}&after={after}"):
        seen += page
        after = str(page[-1])

    assert seen == [fill.id for fill in rest.fills][::-1]


def test_before_alone_gives_the_newest_page_not_the_next_one() -> None:
    rest = Rest()
    ids = [fill.id for fill in rest.fills]

    assert rest.ids(f"{TRADES}&before={ids[10]}&limit=5") == ids[:-6:-1]
    assert rest.ids(f"{TRADES}&before={ids[-3]}") == ids[:-3:-1]
    both = f"{TRADES}&before={ids[10]}&after={ids[14]}"
    assert rest.ids(both) == [ids[13], ids[12], ids[11]]


def test_after_may_be_an_id_that_was_never_issued() -> None:
    rest = Rest()
    ids = {fill.id for fill in rest.fills}
    hole = next(i for i in range(min(ids), max(ids)) if i not in ids)

    assert rest.ids(f"{TRADES}&after={hole}&limit=1") == [
        max(i for i in ids if i < hole)
    ]


def test_trades_can_be_paged_by_time_but_not_forward() -> None:
    rest = Rest()
    moment = rest.fills[500].exchange_ns // 1_000_000
    rows = rest.data(f"{TRADES}&type=2&after={moment}&limit=20")

    assert len(rows) == 20
    assert all(int(row["ts"]) < moment for row in rows)
    refused = rest.get(f"{TRADES}&type=2&before={moment}")
    assert (refused["code"], refused["data"]) == ("50039", [])


def test_candles_page_both_ways_and_only_the_first_is_forming() -> None:
    rest = Rest()
    base = "/api/v5/market/candles?instId=BTC-USDT&bar=1s"
    rows = rest.data(base + "&limit=20")
    opens = [int(row[0]) for row in rows]

    assert opens == [opens[0] - 1_000 * n for n in range(20)]
    assert [row[8] for row in rows] == ["0"] + ["1"] * 19
    page = rest.data(f"{base}&after={opens[5]}&limit=3")
    assert [int(row[0]) for row in page] == opens[6:9]
    window = rest.data(f"{base}&after={opens[5]}&before={opens[9]}")
    assert [int(row[0]) for row in window] == opens[6:9]
    newest = rest.data(f"{base}&before={opens[15]}&limit=4")
    # Time has moved on by a second with each request.
    assert [int(row[0]) - opens[0] for row in newest] == [3_000, 2_000, 1_000, 0]
    history = rest.data(base.replace("candles", "history-candles") + "&limit=3")
    assert {row[8] for row in history} == {"1"}
    assert len(rest.data(base + "&limit=999")) <= 300


def test_candles_do_not_reach_behind_the_market() -> None:
    rest = Rest()
    rows = rest.data("/api/v5/market/candles?instId=BTC-USDT&bar=1m&limit=300")

    assert int(rows[-1][0]) == START_NS // 1_000_000


def test_a_book_has_one_level_unless_more_are_asked_for() -> None:
    rest = Rest()
    base = "/api/v5/market/books?instId=BTC-USDT"

    assert [len(rest.data(base)[0][side]) for side in ("asks", "bids")] == [1, 1]
    (book,) = rest.data(base + "&sz=400")
    assert [len(book[side]) for side in ("asks", "bids")] == [400, 400]
    assert rest.get(base + "&sz=401", 400)["code"] == "51000"


def test_instruments_describe_spot_and_swap() -> None:
    rest = Rest()
    base = "/api/v5/public/instruments?instType="
    spot = rest.data(base + "SPOT")
    (swap,) = rest.data(base + "SWAP&instId=BTC-USDT-SWAP")

    assert [row["instId"] for row in spot] == ["BTC-USDT", "ETH-USDT", "SOL-USDT"]
    assert (spot[0]["baseCcy"], spot[0]["quoteCcy"]) == ("BTC", "USDT")
    assert (spot[0]["tickSz"], spot[0]["lotSz"]) == ("0.1", "0.00000001")
    assert (swap["baseCcy"], swap["quoteCcy"]) == ("", "")
    assert (swap["ctVal"], swap["ctValCcy"], swap["ctType"]) == (
        "0.01",
        "BTC",
        "linear",
    )
    assert (swap["instFamily"], swap["settleCcy"]) == ("BTC-USDT", "USDT")
    assert isinstance(swap["instIdCode"], int)


def test_time_and_tickers_are_served() -> None:
    rest = Rest()

    assert rest.data("/api/v5/public/time") == [
        {"ts": str((NOW + SECOND) // 1_000_000)}
    ]
    ticker = rest.data("/api/v5/market/ticker?instId=BTC-USDT")[0]
    assert ticker["last"] == rest.fills[-1].price
    assert len(rest.data("/api/v5/market/tickers?instType=SPOT")) == 3


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/api/v5/market/trades", 400, "50014"),
        ("/api/v5/market/trades?instId=NOPE-USDT", 200, "51001"),
        ("/api/v5/market/trades?instId=BTC-USDT&limit=x", 400, "51000"),
        (TRADES + "&type=3", 400, "51000"),
        (TRADES + "&after=-4", 400, "51000"),
        ("/api/v5/market/candles?instId=BTC-USDT&bar=7m", 400, "51000"),
        ("/api/v5/public/instruments", 400, "50014"),
        ("/api/v5/public/instruments?instType=OPTION", 400, "50014"),
        ("/api/v5/public/instruments?instType=SPOT&instId=NOPE", 200, "51001"),
        ("/api/v5/market/nothing", 404, "404"),
    ],
)
def test_errors_carry_status_and_code(target: str, status: int, code: str) -> None:
    body = Rest(rate_hz=0).get(target, status)

    assert (body["code"], body["data"]) == (code, [])


def test_asking_too_often_is_429_with_code_50011_and_counted() -> None:
    venue = Rest().venue
    target = TRADES + "&limit=1"
    answers = [venue.request("GET", target, {}, NOW + n) for n in range(21)]

    assert [answer.status for answer in answers] == [200] * 20 + [429]
    assert json.loads(answers[-1].body)["code"] == "50011"
    assert venue.police.violations == {"rest.history-trades": 1}
    assert venue.request("GET", target, {}, NOW + 3 * SECOND).status == 200


def test_a_stale_cache_answers_from_the_past() -> None:
    rest = Rest((Fault(kind="stale", lag_s=30, for_s=300),))
    as_of_ns = NOW + SECOND - 30 * SECOND
    known = [fill.id for fill in rest.fills if fill.exchange_ns <= as_of_ns]

    assert rest.ids(TRADES + "&limit=3") == known[:-4:-1]
    assert known[-1] < rest.fills[-1].id


def test_a_block_page_is_html() -> None:
    fault = Fault(kind="rest-status", status=403, body="<html>no</html>")
    venue = Rest((fault,)).venue
    answer = venue.request("GET", TRADES, {}, NOW)

    assert (answer.status, answer.headers["content-type"]) == (403, "text/html")
