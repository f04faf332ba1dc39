"""The simulator's REST side: paging, weights, errors."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest

from tapeline.hookspecs import SimRefusal, SimResponse
from tapeline.testing import START_NS, Execution, Fault, Fill, Market
from tapeline_binance.simulator import BinanceSimulator
from tapeline_binance.simulator_account import DEFAULT_KEY
from tapeline_binance.simulator_habits import Habits

SECOND = 10**9
MINUTE = 60 * SECOND
# On a whole minute, where the used weight begins afresh.
NOW = START_NS + 300 * SECOND
SPOT, FUTURES = "/api/v3", "/fapi/v1"
KEY = {"X-MBX-APIKEY": DEFAULT_KEY.key}
FAMILIES = pytest.mark.parametrize("base", [SPOT, FUTURES])


class Rest:
    """A simulator with 300 seconds of history, that then stands still."""

    def __init__(
        self, *faults: Fault, rate_hz: float = 20.0, base: str = SPOT, **habits: Any
    ) -> None:
        market = Market(1, rate_hz=rate_hz, hole_probability=0.1)
        self.venue = BinanceSimulator(market, faults=faults, habits=Habits(**habits))
        self.venue.advance(NOW)
        kind = "spot" if base == SPOT else "swap"
        market.halt(kind, "BTC-USDT", NOW)
        feed = market.feed(kind, "BTC-USDT")
        self.base = base
        self.now_ns = NOW
        self.fills: list[Fill] = feed.fills
        self.executions: list[Execution] = feed.executions

    def ask(self, path: str, **headers: str) -> SimResponse:
        """The answer to a request for *path*, which may hold a query."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.venue.request("GET", self.base + path, names, self.now_ns)

    def get(self, path: str, status: int = 200, **headers: str) -> Any:
        """The decoded answer."""
        answer = self.ask(path, **headers)
        assert answer.status == status, answer.body
        return json.loads(answer.body)

    def ids(self, path: str) -> list[int]:
        """Ids of the rows of an answer."""
        answer = self.venue.request("GET", self.base + path, KEY, self.now_ns)
        assert answer.status == 200, answer.body
        return [row.get("id", row.get("a")) for row in json.loads(answer.body)]


def test_rows_have_the_documented_shapes() -> None:
    rest = Rest()
    fill, execution = rest.fills[-1], rest.executions[-1]
    (trade,) = rest.get("/trades?symbol=BTCUSDT&limit=1")
    (aggregate,) = rest.get("/aggTrades?symbol=BTCUSDT&limit=1")

    assert trade == {
        "id": fill.id,
        "price": f"{Decimal(fill.price):.8f}",
        "qty": f"{Decimal(fill.size):.8f}",
        "quoteQty": trade["quoteQty"],
        "time": fill.exchange_ns // 1_000_000,
        "isBuyerMaker": fill.side == "sell",
        "isBestMatch": True,
    }
    value = Decimal(fill.price) * Decimal(fill.size)
    assert Decimal(trade["quoteQty"]) == value
    assert aggregate == {
        "a": execution.aggregate_id,
        "p": f"{Decimal(execution.price):.8f}",
        "q": f"{Decimal(execution.size):.8f}",
        "f": execution.first_id,
        "l": execution.last_id,
        "T": execution.exchange_ns // 1_000_000,
        "m": execution.side == "sell",
        "M": True,
    }
    assert list(aggregate) == ["a", "p", "q", "f", "l", "T", "m", "M"]


@FAMILIES
def test_trades_are_the_newest_in_ascending_order(base: str) -> None:
    rest = Rest(base=base)
    ids = [fill.id for fill in rest.fills]
    assert len(ids) > 2_000

    assert rest.ids("/trades?symbol=BTCUSDT") == ids[-500:]
    assert rest.ids("/trades?symbol=BTCUSDT&limit=9999") == ids[-1_000:]
    assert rest.ids("/trades?symbol=BTCUSDT&limit=7") == ids[-7:]


@FAMILIES
def test_every_fill_can_be_walked_from_an_id(base: str) -> None:
    rest = Rest(base=base)
    ids = [fill.id for fill in rest.fills]
    pages, limit = 0, 1_000 if base == SPOT else 500
    seen: list[int] = []
    start = ids[0]
    while True:
        path = f"/historicalTrades?symbol=BTCUSDT&fromId={start}&limit={limit}"
        page = rest.ids(path)
        if not page:
            break
        pages += 1
        assert len(page) <= limit
        seen += page
        start = page[-1] + 1

    assert seen == ids
    assert pages == -(-len(ids) // limit)
    newest = 500 if base == SPOT else 100
    assert rest.ids("/historicalTrades?symbol=BTCUSDT") == ids[-newest:]


def test_from_id_is_inclusive_and_may_lie_in_a_hole() -> None:
    rest = Rest()
    ids = {fill.id for fill in rest.fills}
    hole = next(i for i in range(min(ids), max(ids)) if i not in ids)
    base = "/historicalTrades?symbol=BTCUSDT&limit=1"

    assert rest.ids(f"{base}&fromId={min(ids)}") == [min(ids)]
    assert rest.ids(f"{base}&fromId={hole}") == [min(i for i in ids if i > hole)]


def test_history_needs_a_known_key_unless_it_does_not() -> None:
    rest = Rest()
    path = "/historicalTrades?symbol=BTCUSDT&limit=1"

    assert rest.get(path, 401)["code"] == -2014
    answer = rest.venue.request("GET", SPOT + path, {"X-MBX-APIKEY": "no"}, NOW)
    assert (answer.status, json.loads(answer.body)["code"]) == (401, -2015)
    assert len(Rest(history_needs_key=False).get(path)) == 1


@FAMILIES
def test_aggregates_page_by_id(base: str) -> None:
    rest = Rest(base=base)
    ids = [execution.aggregate_id for execution in rest.executions]
    seen: list[int] = []
    start = ids[0]
    while page := rest.ids(f"/aggTrades?symbol=BTCUSDT&fromId={start}&limit=300"):
        seen += page
        start = page[-1] + 1

    assert seen == ids
    assert rest.ids("/aggTrades?symbol=BTCUSDT&limit=5") == ids[-5:]


def test_aggregates_page_by_time_and_both_ends_are_inclusive() -> None:
    rest = Rest()
    base = "/aggTrades?symbol=BTCUSDT"
    times = [execution.exchange_ns // 1_000_000 for execution in rest.executions]
    first, last = times[200], times[300]
    within = [
        execution.aggregate_id
        for execution, at in zip(rest.executions, times, strict=True)
        if first <= at <= last
    ]
    since = within[0]

    assert rest.ids(f"{base}&startTime={first}&endTime={last}&limit=1000") == within
    assert rest.ids(f"{base}&startTime={first}&limit=3") == [
        since,
        since + 1,
        since + 2,
    ]
    assert rest.ids(f"{base}&endTime={last}&limit=3") == within[-3:]
    micro = f"{base}&startTime={first}000&endTime={last}000&limit=1000"
    assert rest.ids(micro) == within
    mixed = rest.get(f"{base}&fromId=1&startTime={first}", 400)
    assert mixed["code"] == -1128


def test_klines_ascend_and_only_the_last_is_forming() -> None:
    rest = Rest()
    base = "/klines?symbol=BTCUSDT&interval=1m"
    rows = rest.get(base)
    opens = [row[0] for row in rows]
    start_ms = START_NS // 1_000_000

    assert opens == [start_ms + n * 60_000 for n in range(6)]
    assert [row[6] - row[0] for row in rows] == [59_999] * 6
    closed = [row[6] < NOW // 1_000_000 for row in rows]
    assert closed == [True] * 5 + [False]
    assert rest.get(f"{base}&limit=2") == rows[-2:]
    assert rest.get(f"{base}&startTime={opens[1]}&limit=2") == rows[1:3]
    assert rest.get(f"{base}&startTime={opens[1] - 1}&limit=2") == rows[1:3]
    assert rest.get(f"{base}&endTime={opens[3]}&limit=2") == rows[2:4]
    window = f"{base}&startTime={opens[1]}&endTime={opens[3]}"
    assert rest.get(window) == rows[1:4]
    assert rest.get(f"{base}&startTime=0")[0] == rows[0]
    assert len(rest.get("/klines?symbol=BTCUSDT&interval=1s&limit=5000")) <= 1_000
    (month,) = rest.get("/klines?symbol=BTCUSDT&interval=1M")
    assert month[0] == start_ms


def test_a_kline_is_the_sum_of_its_fills() -> None:
    rest = Rest()
    row = rest.get("/klines?symbol=BTCUSDT&interval=1m")[2]
    fills = [
        fill for fill in rest.fills if row[0] <= fill.exchange_ns // 1_000_000 <= row[6]
    ]
    prices = [Decimal(fill.price) for fill in fills]
    bought = [fill for fill in fills if fill.side == "buy"]

    assert [Decimal(text) for text in row[1:5]] == [
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
    ]
    assert Decimal(row[5]) == sum(Decimal(fill.size) for fill in fills)
    assert row[8] == len(fills)
    assert Decimal(row[9]) == sum(Decimal(fill.size) for fill in bought)
    assert Decimal(row[10]) == sum(
        Decimal(fill.size) * Decimal(fill.price) for fill in bought
    )
    assert row[11] == "0"


def test_instruments_describe_spot_and_futures() -> None:
    spot = Rest().get("/exchangeInfo")
    futures = Rest(base=FUTURES).get("/exchangeInfo")

    assert [row["symbol"] for row in spot["symbols"]] == [
        "BTCUSDT",
        "ETHUSDT",
        "SOLUSDT",
    ]
    assert spot["rateLimits"][0] == {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": 6_000,
    }
    assert futures["rateLimits"][0]["limit"] == 2_400

    def filters(row: Any) -> Any:
        return {found["filterType"]: found for found in row["filters"]}

    row = spot["symbols"][0]
    assert (row["baseAsset"], row["quoteAsset"], row["status"]) == (
        "BTC",
        "USDT",
        "TRADING",
    )
    assert filters(row)["PRICE_FILTER"]["tickSize"] == "0.10000000"
    assert filters(row)["LOT_SIZE"]["stepSize"] == "0.00000001"
    assert Decimal(filters(row)["NOTIONAL"]["minNotional"]) == 5
    future = futures["symbols"][0]
    assert (future["symbol"], future["contractType"], future["marginAsset"]) == (
        "BTCUSDT",
        "PERPETUAL",
        "USDT",
    )
    assert Decimal(filters(future)["LOT_SIZE"]["stepSize"]) == Decimal("0.0001")


def test_instruments_can_be_asked_for_by_name() -> None:
    rest = Rest()
    one = rest.get("/exchangeInfo?symbol=ETHUSDT")["symbols"]
    two = rest.get("/exchangeInfo?symbols=%5B%22SOLUSDT%22,%22BTCUSDT%22%5D")["symbols"]

    assert [row["symbol"] for row in one] == ["ETHUSDT"]
    assert [row["symbol"] for row in two] == ["SOLUSDT", "BTCUSDT"]
    bad = rest.get("/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22NOPE%22%5D", 400)
    assert bad == {"code": -1121, "msg": "Invalid symbol."}


def test_tickers_and_time_are_served() -> None:
    rest = Rest()
    day = rest.get("/ticker/24hr?symbol=BTCUSDT")
    best = rest.get("/ticker/bookTicker?symbol=BTCUSDT")

    assert Decimal(day["lastPrice"]) == Decimal(rest.fills[-1].price)
    assert day["count"] == len(rest.fills)
    assert list(best) == ["symbol", "bidPrice", "bidQty", "askPrice", "askQty"]
    assert best["bidPrice"] == day["bidPrice"]
    assert len(rest.get("/ticker/bookTicker")) == len(rest.get("/ticker/24hr")) == 3
    assert rest.get("/time") == {"serverTime": NOW // 1_000_000}
    assert rest.get("/ping") == {}
    future = Rest(base=FUTURES).get("/ticker/bookTicker?symbol=BTCUSDT")
    assert {"time", "lastUpdateId"} <= set(future)


def test_times_can_be_asked_for_in_microseconds() -> None:
    rest = Rest()
    path = "/aggTrades?symbol=BTCUSDT&limit=1"
    (milli,) = rest.get(path)
    (micro,) = rest.get(path, X_MBX_TIME_UNIT="MICROSECOND")

    assert micro["T"] == milli["T"] * 1_000
    assert rest.get(path, 400, X_MBX_TIME_UNIT="hour")["code"] == -1194


@pytest.mark.parametrize(
    ("base", "path", "code"),
    [
        (SPOT, "/trades", -1102),
        (SPOT, "/trades?symbol=", -1102),
        (SPOT, "/trades?symbol=btcusdt", -1121),
        (FUTURES, "/trades?symbol=SOLUSDT", -1121),
        (SPOT, "/trades?symbol=BTCUSDT&limit=x", -1100),
        (SPOT, "/aggTrades?symbol=BTCUSDT&fromId=-4", -1100),
        (SPOT, "/klines?symbol=BTCUSDT", -1102),
        (SPOT, "/klines?symbol=BTCUSDT&interval=7m", -1120),
        (FUTURES, "/klines?symbol=BTCUSDT&interval=1s", -1120),
        (FUTURES, "/depth?symbol=BTCUSDT&limit=7", -1130),
        (SPOT, "/exchangeInfo?symbols=BTCUSDT", -1100),
        (SPOT, "/depth?symbol=NOPE", -1121),
    ],
)
def test_errors_are_400_with_the_venues_code(base: str, path: str, code: int) -> None:
    body = Rest(base=base, rate_hz=0).get(path, 400)

    assert body["code"] == code
    assert set(body) == {"code", "msg"}


@pytest.mark.parametrize(
    "target", ["/", "/api/v1/depth", "/api/v3/nothing", "/fapi/v1/account"]
)
def test_other_paths_are_html_404(target: str) -> None:
    answer = Rest(rate_hz=0).venue.request("GET", target, {}, NOW)

    assert (answer.status, answer.headers["content-type"]) == (404, "text/html")


@pytest.mark.parametrize(
    ("base", "path", "weight"),
    [
        (SPOT, "/ping", 1),
        (SPOT, "/time", 1),
        (SPOT, "/exchangeInfo", 20),
        (SPOT, "/depth?symbol=BTCUSDT", 5),
        (SPOT, "/depth?symbol=BTCUSDT&limit=100", 5),
        (SPOT, "/depth?symbol=BTCUSDT&limit=101", 25),
        (SPOT, "/depth?symbol=BTCUSDT&limit=1000", 50),
        (SPOT, "/depth?symbol=BTCUSDT&limit=5000", 250),
        (SPOT, "/trades?symbol=BTCUSDT", 25),
        (SPOT, "/historicalTrades?symbol=BTCUSDT", 25),
        (SPOT, "/aggTrades?symbol=BTCUSDT", 4),
        (SPOT, "/klines?symbol=BTCUSDT&interval=1m", 2),
        (SPOT, "/ticker/bookTicker?symbol=BTCUSDT", 2),
        (SPOT, "/ticker/bookTicker", 4),
        (SPOT, "/ticker/24hr", 80),
        (SPOT, "/ticker/24hr?symbols=%5B%22BTCUSDT%22%5D", 2),
        (SPOT, "/depth?symbol=NOPE", 5),
        (FUTURES, "/depth?symbol=BTCUSDT&limit=50", 2),
        (FUTURES, "/depth?symbol=BTCUSDT&limit=1000", 20),
        (FUTURES, "/klines?symbol=BTCUSDT&interval=1m&limit=99", 1),
        (FUTURES, "/klines?symbol=BTCUSDT&interval=1m", 5),
        (FUTURES, "/aggTrades?symbol=BTCUSDT", 20),
        (FUTURES, "/exchangeInfo", 1),
    ],
)
def test_the_used_weight_is_in_every_answer(base: str, path: str, weight: int) -> None:
    rest = Rest(base=base, rate_hz=0)
    used = [rest.ask(path).headers["x-mbx-used-weight-1m"] for _ in range(3)]

    assert used == [str(weight), str(2 * weight), str(3 * weight)]
    rest.now_ns += MINUTE
    assert rest.ask(path).headers["x-mbx-used-weight-1m"] == str(weight)


def test_spot_and_futures_have_a_weight_of_their_own() -> None:
    rest = Rest(rate_hz=0)
    rest.ask("/exchangeInfo")
    rest.base = FUTURES

    assert rest.ask("/ping").headers["x-mbx-used-weight-1m"] == "1"


def test_too_much_weight_is_429_until_the_minute_ends() -> None:
    rest = Rest(rate_hz=0)
    path = "/depth?symbol=BTCUSDT&limit=5000"
    rest.now_ns += 20 * SECOND
    answers = [rest.ask(path) for _ in range(25)]

    assert [answer.status for answer in answers] == [200] * 24 + [429]
    assert answers[-1].headers["retry-after"] == "40"
    assert json.loads(answers[-1].body)["code"] == -1003
    assert rest.venue.police.violations == {"weight": 1}
    rest.now_ns += 40 * SECOND - 1
    assert rest.ask("/ping").status == 429
    rest.now_ns += 1
    assert rest.ask("/ping").status == 200
    assert rest.venue.police.violations == {"weight": 2}


def test_ignoring_429_bans_the_address_and_longer_each_time() -> None:
    rest = Rest(rate_hz=0, spot_weight=10, patience=3, ban_s=120)

    def anger() -> SimResponse:
        for _ in range(11):
            assert rest.ask("/ping").status in (200, 429)
        for _ in range(3):
            assert rest.ask("/ping").status == 429
        return rest.ask("/ping")

    banned = anger()
    assert banned.status == 418
    assert banned.headers["retry-after"] == "120"
    until_ms = (NOW + 120 * SECOND) // 1_000_000
    assert f"IP banned until {until_ms}." in json.loads(banned.body)["msg"]
    refusal = rest.venue.open(1, "/ws-api/v3", {}, rest.now_ns)
    assert isinstance(refusal, SimRefusal)
    assert refusal.status == 418
    rest.now_ns += 120 * SECOND
    assert anger().headers["retry-after"] == "240"


def test_a_stale_cache_answers_from_the_past() -> None:
    now = Rest()
    lag = Rest(Fault(kind="stale", lag_s=30))
    known = [fill.id for fill in now.fills if fill.exchange_ns <= NOW - 30 * SECOND]
    rows = lag.get("/klines?symbol=BTCUSDT&interval=1m")

    assert lag.ids("/trades?symbol=BTCUSDT&limit=3") == known[-3:]
    assert lag.ids(f"/historicalTrades?symbol=BTCUSDT&fromId={known[-1]}") == known[-1:]
    assert rows[-1][0] == (NOW - MINUTE) // 1_000_000
    book = "/depth?symbol=BTCUSDT&limit=100"
    assert lag.get(book)["lastUpdateId"] < now.get(book)["lastUpdateId"]


def test_rest_may_lag_behind_by_habit() -> None:
    rest = Rest(rest_lag_s=10)
    newest = [e for e in rest.executions if e.exchange_ns <= NOW - 10 * SECOND][-1]
    path = f"/aggTrades?symbol=BTCUSDT&fromId={newest.aggregate_id}"

    assert rest.ids(path) == [newest.aggregate_id]
    rest.now_ns += 10 * SECOND
    assert len(rest.ids(path)) > 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, "<html>WAF</html>", "text/html"),
        (451, '{"code":0,"msg":"restricted location"}', "application/json"),
        (503, "", "application/json"),
    ],
)
def test_an_answer_may_be_a_fault(status: int, body: str, kind: str) -> None:
    fault = Fault(kind="rest-status", status=status, body=body, path="/api/v3/depth")
    rest = Rest(fault, rate_hz=0)
    answer = rest.ask("/depth?symbol=BTCUSDT")

    assert (answer.status, answer.body.decode()) == (status, body)
    assert answer.headers["content-type"] == kind
    assert rest.ask("/ping").status == 200


def _signed(query: str, secret: str = DEFAULT_KEY.secret) -> str:
    digest = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    return f"/account?{query}&signature={digest}"


def test_the_account_wants_a_signed_query() -> None:
    rest = Rest(rate_hz=0)
    now_ms = NOW // 1_000_000
    good = _signed(f"timestamp={now_ms}&recvWindow=5000")
    account = rest.get(good, X_MBX_APIKEY=DEFAULT_KEY.key)

    assert {row["asset"] for row in account["balances"]} == {"USDT", "BTC", "ETH"}
    assert set(account["balances"][0]) == {"asset", "free", "locked"}

    def code(path: str, key: str = DEFAULT_KEY.key) -> tuple[int, int]:
        answer = rest.ask(path, X_MBX_APIKEY=key)
        return answer.status, json.loads(answer.body)["code"]

    assert code(good, "") == (401, -2014)
    assert code(good, "other") == (401, -2015)
    assert code("/account?timestamp=1") == (400, -1102)
    assert code(_signed("recvWindow=5000")) == (400, -1102)
    assert code(_signed(f"timestamp={now_ms}", "wrong")) == (400, -1022)
    assert code(_signed(f"timestamp={now_ms - 5_001}")) == (400, -1021)
    assert code(_signed(f"timestamp={now_ms + 1_001}")) == (400, -1021)
    assert code(_signed(f"timestamp={now_ms}&recvWindow=60001")) == (400, -1131)
