"""Requests, weights, answers, signatures and instruments over REST."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tapeline.errors import ConfigError, ContractError, DataValidationError
from tapeline.model import OutcomeKind, Recovery, Request, Response

BAN = (
    "Way too much request weight used; IP banned until 1700000090000. Please use "
    "WebSocket Streams for live updates to avoid bans."
)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {}, OutcomeKind.OK),
        (200, [], OutcomeKind.OK),
        (200, b"<html>blocked</html>", OutcomeKind.RETRY),
        (200, b"", OutcomeKind.RETRY),
        (400, {"code": -1121, "msg": "Invalid symbol."}, OutcomeKind.FATAL),
        (400, {"code": -1100, "msg": "Illegal characters"}, OutcomeKind.FATAL),
        (400, {"code": -1003, "msg": "Too many"}, OutcomeKind.LIMITED),
        (400, {"code": -1021, "msg": "Timestamp"}, OutcomeKind.RETRY),
        (400, {"code": -1022, "msg": "Signature"}, OutcomeKind.AUTH),
        (401, {"code": -2014, "msg": "API-key format"}, OutcomeKind.AUTH),
        (401, {"code": -2015, "msg": "Invalid API-key"}, OutcomeKind.AUTH),
        (401, b"", OutcomeKind.AUTH),
        (403, b"<html>Request blocked</html>", OutcomeKind.BANNED),
        (404, b"", OutcomeKind.FATAL),
        (408, b"", OutcomeKind.RETRY),
        (418, {"code": -1003, "msg": BAN}, OutcomeKind.BANNED),
        (429, {"code": -1003, "msg": "Too many requests"}, OutcomeKind.LIMITED),
        (451, {"code": 0, "msg": "Service unavailable from …"}, OutcomeKind.FATAL),
        (500, {"code": -1000, "msg": "unknown"}, OutcomeKind.RETRY),
        (503, {"code": -1008, "msg": "overloaded"}, OutcomeKind.RETRY),
        (504, b"", OutcomeKind.RETRY),
    ],
)
def test_answers_are_judged_by_status_and_code(
    adapter: Any, respond: Any, status: int, body: Any, kind: OutcomeKind
) -> None:
    assert adapter.classify(respond(body, status)).kind is kind


def test_the_venue_says_how_long_to_stay_away(adapter: Any, respond: Any) -> None:
    limited = adapter.classify(respond({}, 429, retry_after="17"))
    assert limited.wait_s == 17.0
    banned = adapter.classify(respond({"code": -1003, "msg": BAN}, 418))
    assert banned.wait_s == 120.0
    later = BAN.replace("1700000090000", "1700000300000")
    banned = adapter.classify(respond({"code": -1003, "msg": later}, 418))
    assert banned.wait_s == pytest.approx(300.0)
    banned = adapter.classify(respond({}, 418, retry_after="259200"))
    assert banned.wait_s == 259_200.0
    assert adapter.classify(respond({}, 429)).wait_s == 10.0


@pytest.mark.parametrize("text", ["", "x", "-5", "1e9", "٣"])
def test_headers_that_are_no_numbers_are_ignored(
    adapter: Any, respond: Any, text: str
) -> None:
    headers = {"x-mbx-used-weight-1m": text, "retry-after": text}
    response = Response(Request("GET", ""), 429, headers, b"{}", 0)
    outcome = adapter.classify(response)
    assert (outcome.used, outcome.wait_s) == ({}, 10.0)


def test_handshakes_that_are_refused(adapter: Any) -> None:
    assert adapter.refused(418, "") is Recovery.BLOCKED
    assert adapter.refused(403, "") is Recovery.BLOCKED
    assert adapter.refused(429, "") is Recovery.BACK_OFF
    assert adapter.refused(451, "") is Recovery.FATAL
    assert adapter.refused(503, "") is Recovery.BACK_OFF


def test_a_rest_request_is_signed_as_the_vector_says(
    adapter: Any, keys: Any, now: Any
) -> None:
    config = adapter.config(**keys)
    request = Request("GET", "https://x/api/v3/account", private=True)
    signed = adapter.sign(config, request, now())
    assert signed.headers == {"X-MBX-APIKEY": "test-key"}
    expected = "3c006375c631729ab444c2afb86bee2999c35b6eeec838b8f96697e8f096d7b3"
    assert signed.url == (
        "https://x/api/v3/account?timestamp=1700000000000&recvWindow=5000"
        f"&signature={expected}"
    )


def test_historical_trades_want_the_key_but_no_signature(
    adapter: Any, keys: Any, now: Any
) -> None:
    url = "https://x/api/v3/historicalTrades?symbol=BTCUSDT"
    request = Request("GET", url, private=True)
    signed = adapter.sign(adapter.config(**keys), request, now())
    assert signed.url == url
    assert signed.headers == {"X-MBX-APIKEY": "test-key"}


def test_nothing_is_signed_without_a_key(adapter: Any, now: Any) -> None:
    with pytest.raises(ContractError, match="expected an API key"):
        adapter.sign(adapter.config(), Request("GET", "https://x/y"), now())


def test_secrets_are_not_printed(adapter: Any, keys: Any, now: Any) -> None:
    config = adapter.config(**keys)
    request = Request("GET", "https://x/api/v3/account", private=True)
    shown = repr(config) + repr(adapter.sign(config, request, now()).headers.keys())
    assert "test-key" not in shown
    assert "test-secret" not in shown


@pytest.mark.parametrize(
    ("market", "url", "costs"),
    [
        (
            "spot",
            "https://api.binance.com/api/v3/exchangeInfo?showPermissionSets=false",
            {"weight": 20},
        ),
        (
            "swap",
            "https://fapi.binance.com/fapi/v1/exchangeInfo",
            {"futures.weight": 1},
        ),
        (
            "future",
            "https://fapi.binance.com/fapi/v1/exchangeInfo",
            {"futures.weight": 1},
        ),
    ],
)
def test_instruments_are_asked_for_by_market(
    adapter: Any, market: str, url: str, costs: Any
) -> None:
    fetch = adapter.instruments(adapter.config(), market)
    assert (fetch.request.url, fetch.costs) == (url, costs)


def info(**changes: Any) -> dict[str, Any]:
    row = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "stepSize": "0.00001"},
        ],
    }
    return {**row, **changes}


def read(adapter: Any, *rows: Any) -> Any:
    body = json.dumps({"symbols": list(rows)}).encode()
    return adapter.read_instruments(Response(Request("GET", ""), 200, {}, body, 0))


def test_instruments_of_every_market_have_canonical_symbols(adapter: Any) -> None:
    spot, swap, dated, coin, coin_dated = read(
        adapter,
        info(),
        info(contractType="PERPETUAL", deliveryDate=4133404800000, marginAsset="USDT"),
        info(
            symbol="BTCUSDT_260327",
            contractType="CURRENT_QUARTER",
            deliveryDate=1774598400000,
        ),
        info(
            symbol="BTCUSD_PERP",
            quoteAsset="USD",
            contractType="PERPETUAL",
            contractSize=100,
            marginAsset="BTC",
            contractStatus="TRADING",
            status=None,
        ),
        info(
            symbol="BTCUSD_260327",
            quoteAsset="USD",
            contractType="CURRENT_QUARTER",
            contractSize=100,
        ),
    )
    assert spot.key == ("spot", "BTC-USDT")
    assert (spot.tick_size, spot.contract_size) == (Decimal("0.01"), None)
    assert swap.key == ("swap", "BTC-USDT")
    assert (swap.expires_ns, swap.settle, swap.inverse) == (None, "USDT", False)
    assert dated.key == ("future", "BTC-USDT-260327")
    assert dated.expires_ns == 1774598400000 * 10**6
    assert coin.key == ("swap", "BTC-USD")
    assert (coin.contract_size, coin.contract_unit, coin.inverse) == (100, "USD", True)
    assert coin.base_size(Decimal(500), Decimal(50_000)) == 1
    assert (coin.settle, coin.state) == ("BTC", "live")
    assert coin_dated.key == ("future", "BTC-USD-260327")


@pytest.mark.parametrize(
    "row",
    [
        None,
        5,
        {},
        info(filters=[]),
        info(filters=None),
        info(filters=[{"filterType": "PRICE_FILTER", "tickSize": "0.00000000"}]),
        info(filters=[{"filterType": "PRICE_FILTER", "tickSize": {}}]),
        info(baseAsset=""),
        info(symbol=7),
    ],
)
def test_a_row_that_is_not_filled_in_is_left_out(adapter: Any, row: Any) -> None:
    assert [each.symbol for each in read(adapter, row, info())] == ["BTC-USDT"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"symbols":5}', b"<html>"])
def test_an_answer_without_instruments_is_an_error(adapter: Any, body: bytes) -> None:
    with pytest.raises(DataValidationError, match="expected"):
        adapter.read_instruments(Response(Request("GET", ""), 200, {}, body, 0))


def test_the_clock_is_read(adapter: Any, respond: Any) -> None:
    assert adapter.read_server_time(respond({"serverTime": 1565246363776})) == (
        1565246363776 * 10**6
    )
    bodies: list[Any] = [{}, [], {"serverTime": "x"}, {"serverTime": -1}, b"x"]
    for body in bodies:
        with pytest.raises(DataValidationError):
            adapter.read_server_time(respond(body))


@pytest.mark.parametrize(
    ("channel", "market", "url", "costs"),
    [
        ("aggTrade", "spot", "/api/v3/aggTrades?symbol=BTCUSDT&limit=1", {"weight": 4}),
        ("trade", "spot", "/api/v3/trades?symbol=BTCUSDT&limit=1", {"weight": 25}),
        ("depth", "spot", "/api/v3/depth?symbol=BTCUSDT&limit=5", {"weight": 5}),
        ("ticker", "spot", "/api/v3/ticker/bookTicker?symbol=BTCUSDT", {"weight": 2}),
        ("kline_1m", "spot", "/api/v3/aggTrades?symbol=BTCUSDT&limit=1", {"weight": 4}),
        (
            "aggTrade",
            "swap",
            "/fapi/v1/aggTrades?symbol=BTCUSDT&limit=1",
            {"futures.weight": 20},
        ),
    ],
)
def test_a_probe_asks_for_the_newest(
    adapter: Any, streams: Any, channel: str, market: str, url: str, costs: Any
) -> None:
    stream = streams(channel, "BTC-USDT", market)
    fetch = adapter.probe(adapter.config(), stream)
    assert fetch.request.url.endswith(url)
    assert (fetch.costs, fetch.urgent) == (costs, True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([{"a": 7, "T": 5}], (7, 5_000_000)),
        ([{"id": 7, "time": 5}], (7, 5_000_000)),
        ({"lastUpdateId": 9}, (9, None)),
        ({"lastUpdateId": 9, "E": 6, "T": 5}, (9, 5_000_000)),
        ({"symbol": "BTCUSDT", "bidPrice": "1"}, (None, None)),
        ([], (None, None)),
        ([None], (None, None)),
        ([{"a": "x", "T": -1}], (None, None)),
    ],
)
def test_what_a_probe_shows(
    adapter: Any, respond: Any, body: Any, expected: Any
) -> None:
    assert adapter.read_probe(respond(body)) == expected


def test_balances_have_no_probe(adapter: Any, streams: Any) -> None:
    assert adapter.probe(adapter.config(), streams("userDataStream", "*")) is None


@pytest.mark.parametrize("region", ["market-data-only", "us"])
def test_regions_without_futures_say_so(
    adapter: Any, streams: Any, region: str
) -> None:
    config = adapter.config(region=region)
    adapter.route(config, None, streams("aggTrade"))
    sentence = "expected a region with USDⓈ-M futures"
    with pytest.raises(ConfigError, match=sentence):
        adapter.instruments(config, "swap")
    with pytest.raises(ConfigError, match=sentence):
        adapter.route(config, None, streams("aggTrade", "BTC-USDT", "swap"))


def test_the_us_exchange_gets_a_careful_weight(adapter: Any) -> None:
    budgets = {b.name: b for b in adapter.budgets(adapter.config(region="us"))}
    assert budgets["weight"].limit == 1_200


def test_every_cost_names_a_budget(
    adapter: Any, connect: Any, streams: Any, keys: Any, now: Any
) -> None:
    config = adapter.config(**keys)
    names = {budget.name for budget in adapter.budgets(config)}
    costs: list[Any] = []
    for market in "spot", "swap":
        costs.append(adapter.instruments(config, market).costs)
        for channel in "aggTrade", "depth@100ms", "kline_1m", "ticker":
            stream = streams(channel, "BTC-USDT", market)
            connection = connect(stream)
            sends = connection.subscribe(stream)
            costs += [send.costs for send in sends]
            costs.append(connection.session.connect(now(), None).costs)
            costs += [
                reply.costs
                for reply in connection.acknowledge(*sends)
                if hasattr(reply, "costs")
            ]
            costs.append(adapter.probe(config, stream).costs)
    balances = connect(streams("userDataStream", "*"), **keys)
    costs += [send.costs for send in balances.session.opened(now())]
    costs.append(balances.session.connect(now(), None).costs)
    costs += [f.costs for f in balances.subscribe(streams("userDataStream", "*"))]
    assert {name for cost in costs for name in cost} == names
