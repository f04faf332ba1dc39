"""What OKX answers over REST, and how its requests are signed."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tapeline.clock import Now
from tapeline.errors import DataValidationError
from tapeline.model import (
    MASK,
    Instrument,
    OutcomeKind,
    Recovery,
    Request,
    Response,
)

D = Decimal
SECOND = 10**9


def answer(
    body: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(Request("GET", "https://x"), status, headers or {}, content, 0)


def ok(*rows: object) -> Response:
    return answer({"code": "0", "msg": "", "data": list(rows)})


SPOT = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "baseCcy": "BTC",
    "quoteCcy": "USDT",
    "settleCcy": "",
    "instFamily": "",
    "uly": "",
    "tickSz": "0.1",
    "lotSz": "0.00000001",
    "minSz": "0.00001",
    "state": "live",
    "expTime": "",
    "ctVal": "",
    "ctMult": "",
    "ctValCcy": "",
    "ctType": "",
    "instIdCode": 1000000000,
    "tradeQuoteCcyList": ["USDT"],
    "upcChg": [{"param": "tickSz", "newValue": "0.0001"}],
}
SWAP = {
    **SPOT,
    "instType": "SWAP",
    "instId": "BTC-USDT-SWAP",
    "baseCcy": "",
    "quoteCcy": "",
    "settleCcy": "USDT",
    "instFamily": "BTC-USDT",
    "uly": "BTC-USDT",
    "ctVal": "0.01",
    "ctMult": "1",
    "ctValCcy": "BTC",
    "ctType": "linear",
    "lotSz": "0.01",
    "minSz": "0.01",
}
INVERSE = {
    **SWAP,
    "instId": "BTC-USD-SWAP",
    "settleCcy": "BTC",
    "instFamily": "BTC-USD",
    "uly": "BTC-USD",
    "ctVal": "100",
    "ctValCcy": "USD",
    "ctType": "inverse",
}
FUTURE = {
    **INVERSE,
    "instType": "FUTURES",
    "instId": "BTC-USD-251226",
    "expTime": "1766736000000",
}
OPTION = {
    **INVERSE,
    "instType": "OPTION",
    "instId": "BTC-USD-221230-4000-C",
    "ctVal": "1",
    "ctMult": "0.01",
    "ctValCcy": "BTC",
    "ctType": "",
    "expTime": "1672387200000",
}


def test_a_spot_instrument_has_no_contract(adapter: Any) -> None:
    assert adapter.read_instruments(ok(SPOT)) == [
        Instrument(
            exchange="okx",
            market="spot",
            symbol="BTC-USDT",
            venue_symbol="BTC-USDT",
            base="BTC",
            quote="USDT",
            tick_size=D("0.1"),
            lot_size=D("0.00000001"),
            min_size=D("0.00001"),
        )
    ]


def test_a_perpetual_loses_its_suffix_and_knows_its_contract(adapter: Any) -> None:
    (found,) = adapter.read_instruments(ok(SWAP))
    assert found.key == ("swap", "BTC-USDT")
    assert found.venue_symbol == "BTC-USDT-SWAP"
    assert (found.base, found.quote, found.settle) == ("BTC", "USDT", "USDT")
    assert (found.contract_size, found.contract_unit) == (D("0.01"), "BTC")
    assert not found.inverse
    assert found.base_size(D("3"), D("50000")) == D("0.03")


def test_an_inverse_contract_counts_quote_units(adapter: Any) -> None:
    (found,) = adapter.read_instruments(ok(INVERSE))
    assert found.key == ("swap", "BTC-USD")
    assert (found.contract_size, found.contract_unit) == (D("100"), "USD")
    assert found.inverse
    assert found.base_size(D("5"), D("50000")) == D("0.01")


def test_dated_contracts_keep_their_date_and_expire(adapter: Any) -> None:
    future, option = adapter.read_instruments(ok(FUTURE, OPTION))
    assert future.key == ("future", "BTC-USD-251226")
    assert future.expires_ns == 1766736000 * SECOND
    assert option.key == ("option", "BTC-USD-221230-4000-C")
    assert (option.contract_size, option.inverse) == (D("0.01"), True)


def test_a_family_with_a_suffix_does_not_spoil_the_currencies(adapter: Any) -> None:
    row = {**INVERSE, "instId": "BTC-USD_UM-SWAP", "instFamily": "BTC-USD_UM"}
    (found,) = adapter.read_instruments(ok(row))
    assert (found.symbol, found.base, found.quote) == ("BTC-USD_UM", "BTC", "USD")


def test_rows_that_are_not_filled_in_yet_are_left_out(adapter: Any) -> None:
    empty = {key: "" if isinstance(SPOT[key], str) else SPOT[key] for key in SPOT}
    soon = {**empty, "instType": "SPOT", "instId": "NEW-USDT", "state": "preopen"}
    unlisted = {**SPOT, "instType": "EVENTS"}
    odd: list[object] = [
        None,
        5,
        "x",
        [],
        {},
        {**SPOT, "tickSz": "NaN"},
        {**SWAP, "uly": "BTC"},
    ]
    found = adapter.read_instruments(ok(soon, unlisted, *odd, SPOT))
    assert [instrument.symbol for instrument in found] == ["BTC-USDT"]


@pytest.mark.parametrize(
    "response",
    [
        answer(b"<html>blocked</html>", 403),
        answer(b"", 200),
        answer(b"[]", 200),
        answer({"code": "50011", "msg": "", "data": []}, 429),
        answer({"code": "0", "data": None}),
        answer({"code": "0", "data": []}, 500),
    ],
)
def test_an_answer_without_rows_is_a_sentence(adapter: Any, response: Response) -> None:
    with pytest.raises(DataValidationError, match="expected"):
        adapter.read_instruments(response)
    with pytest.raises(DataValidationError):
        adapter.read_server_time(response)


def test_instruments_are_asked_for_by_type(adapter: Any) -> None:
    config = adapter.config(rest_url="http://127.0.0.1:1/", option_family="ETH-USD")
    urls = {
        market: adapter.instruments(config, market).request.url
        for market in adapter.capabilities.markets
    }
    base = "http://127.0.0.1:1/api/v5/public/instruments?instType="
    assert urls == {
        "spot": base + "SPOT",
        "swap": base + "SWAP",
        "future": base + "FUTURES",
        "option": base + "OPTION&instFamily=ETH-USD",
    }


def test_demo_trading_is_a_header(adapter: Any) -> None:
    request = adapter.instruments(adapter.config(demo=True), "spot").request
    assert request.headers == {"x-simulated-trading": "1"}


def test_the_clock_is_in_milliseconds(adapter: Any) -> None:
    assert adapter.server_time(adapter.config()).request.url.endswith("/public/time")
    assert adapter.read_server_time(ok({"ts": "1597026383085"})) == (
        1597026383085 * 10**6
    )
    for row in {}, {"ts": ""}, {"ts": "x"}, {"ts": 5}, {"ts": "9" * 19}, 7:
        with pytest.raises(DataValidationError):
            adapter.read_server_time(ok(row))


def test_a_probe_tells_the_newest_id_and_time(adapter: Any, streams: Any) -> None:
    fetch = adapter.probe(adapter.config(), streams("trades"))
    assert fetch.request.url.endswith("/market/trades?instId=BTC-USDT&limit=1")
    assert fetch.urgent
    row = {"tradeId": "242720720", "ts": "1654161646974"}
    assert adapter.read_probe(ok(row)) == (242720720, 1654161646974 * 10**6)
    assert adapter.read_probe(ok({"ts": "5"})) == (None, 5 * 10**6)
    assert adapter.read_probe(ok()) == (None, None)
    assert adapter.read_probe(ok({"tradeId": "9" * 40})) == (None, None)


def test_every_cost_has_a_budget(adapter: Any, streams: Any) -> None:
    config = adapter.config()
    names = {budget.name for budget in adapter.budgets(config)}
    fetches = [adapter.server_time(config), adapter.instruments(config, "spot")]
    fetches += [
        adapter.probe(config, streams(name))
        for name in ("trades", "books", "tickers", "candle1m")
    ]
    for fetch in fetches:
        assert set(fetch.costs) <= names


@pytest.mark.parametrize(
    ("status", "body", "kind", "wait_s"),
    [
        (200, {"code": "0", "data": []}, OutcomeKind.OK, None),
        (200, {"code": 0, "data": []}, OutcomeKind.OK, None),
        (200, {"code": "50011"}, OutcomeKind.LIMITED, 2.0),
        (429, {"code": "50011"}, OutcomeKind.LIMITED, 2.0),
        (429, b"slow down", OutcomeKind.LIMITED, 2.0),
        (418, b"slow down", OutcomeKind.LIMITED, 2.0),
        (429, {"code": "50013"}, OutcomeKind.LIMITED, 2.0),
        (503, {"code": "50001"}, OutcomeKind.RETRY, None),
        (400, {"code": "50004"}, OutcomeKind.RETRY, None),
        (500, {"code": "50026"}, OutcomeKind.RETRY, None),
        (502, b"<html>", OutcomeKind.RETRY, None),
        (200, b"<html>", OutcomeKind.RETRY, None),
        (200, b"", OutcomeKind.RETRY, None),
        (500, {"code": "0"}, OutcomeKind.RETRY, None),
        (401, {"code": "50113"}, OutcomeKind.AUTH, None),
        (401, b"", OutcomeKind.AUTH, None),
        (200, {"code": "50119"}, OutcomeKind.AUTH, None),
        (401, {"code": "50102"}, OutcomeKind.RETRY, None),
        (200, {"code": "51001"}, OutcomeKind.FATAL, None),
        (400, {"code": "51000"}, OutcomeKind.FATAL, None),
        (400, {"code": "50039"}, OutcomeKind.FATAL, None),
        (200, {"code": "99999"}, OutcomeKind.FATAL, None),
        (404, b"", OutcomeKind.FATAL, None),
        (403, b"<html>Access denied</html>", OutcomeKind.BANNED, 300.0),
        (200, b"[" * 100_000, OutcomeKind.RETRY, None),
        (200, b"\xff", OutcomeKind.RETRY, None),
    ],
)
def test_answers_are_judged_by_status_and_code(
    adapter: Any, status: int, body: Any, kind: OutcomeKind, wait_s: float | None
) -> None:
    outcome = adapter.classify(answer(body, status))
    assert (outcome.kind, outcome.wait_s) == (kind, wait_s)


def test_a_retry_after_header_lengthens_the_wait(adapter: Any) -> None:
    for text, wait_s in ("7", 7.0), ("1", 2.0), ("soon", 2.0), ("", 2.0):
        limited = answer(b"", 429, {"retry-after": text})
        assert adapter.classify(limited).wait_s == wait_s


def test_refused_handshakes_keep_the_general_meaning(adapter: Any) -> None:
    assert adapter.refused(451, "") is Recovery.FATAL
    assert adapter.refused(403, "") is Recovery.BLOCKED
    assert adapter.refused(503, "") is Recovery.BACK_OFF


NOW = Now(0, 1_700_000_000 * SECOND, 0)


def test_the_login_is_signed_with_the_venues_time(connect: Any, keys: Any) -> None:
    (send,) = connect("private", **keys).session.opened(NOW)
    assert json.loads(send.frame) == {
        "op": "login",
        "args": [
            {
                "apiKey": "KEY",
                "passphrase": "PASS",
                "timestamp": "1700000000",
                "sign": "0uAi5j594sWw9rkXI4knzlNhWDTrHUJBZExNMGGD2gs=",
            }
        ],
    }


def test_a_private_request_is_signed_with_its_query(adapter: Any, keys: Any) -> None:
    config = adapter.config(demo=True, **keys)
    url = f"{config.rest_base}/api/v5/account/balance?ccy=BTC"
    request = Request("GET", url, {"x-simulated-trading": "1"}, private=True)
    signed = adapter.sign(config, request, NOW)
    assert signed.headers == {
        "x-simulated-trading": "1",
        "OK-ACCESS-KEY": "KEY",
        "OK-ACCESS-SIGN": "iXlmoZJG9WaV3h99torf83NxF/HtRTRrxsr2V88/9Kg=",
        "OK-ACCESS-TIMESTAMP": "2023-11-14T22:13:20.000Z",
        "OK-ACCESS-PASSPHRASE": "PASS",
    }


def test_no_secret_shows_in_any_text(adapter: Any, connect: Any, keys: Any) -> None:
    config = adapter.config(**keys)
    connection = connect("private", **keys)
    (send,) = connection.session.opened(NOW)
    request = Request("GET", "https://x/y", private=True)
    signed = adapter.sign(config, request, NOW)
    for shown in repr(config), str(config), repr(send), repr(signed):
        for secret in "test-secret", "PASS", "KEY'":
            assert secret not in shown
    assert MASK in repr(config)


@pytest.mark.parametrize(
    ("bids", "asks", "checksum"),
    [
        (
            [("3366.1", "7"), ("3366", "6")],
            [("3366.8", "9"), ("3368", "8")],
            -1881014294,
        ),
        (
            [("3366.1", "7")],
            [("3366.8", "9"), ("3368", "8"), ("3372", "8")],
            831078360,
        ),
        ([], [], 0),
    ],
)
def test_book_checksums_agree_with_worked_examples(
    adapter: Any, bids: Any, asks: Any, checksum: int
) -> None:
    assert adapter.book_checksum(bids, asks) == checksum


def test_a_checksum_is_over_25_levels_a_side(adapter: Any) -> None:
    bids = [(str(100 - n), "1") for n in range(30)]
    asks = [(str(101 + n), "1") for n in range(30)]
    whole = adapter.book_checksum(bids, asks)
    assert whole == adapter.book_checksum(bids[:25], asks[:25])
    assert whole != adapter.book_checksum(bids[:24], asks[:25])
