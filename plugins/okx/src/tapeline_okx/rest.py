"""OKX over REST: instruments, the clock, the newest trade, what answers mean.

https://my.okx.com/docs-v5/en/#public-data-rest-api
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import msgspec

from tapeline.errors import DataValidationError
from tapeline.model import (
    Budget,
    DataType,
    Fetch,
    Instrument,
    Market,
    Outcome,
    OutcomeKind,
    Request,
    Response,
    Subscription,
)
from tapeline_okx.channels import EXCHANGE, inst_id_of, symbol_of
from tapeline_okx.config import OkxConfig
from tapeline_okx.errors import BLOCKED_WAIT_S, LIMITED_WAIT_S, REST_CODES
from tapeline_okx.numbers import NotPlain, plain_decimal
from tapeline_okx.wire import MAX_ID, MAX_MS, MS, UNDECODABLE

INST_TYPES = MappingProxyType(
    {
        Market.SPOT.value: "SPOT",
        Market.SWAP.value: "SWAP",
        Market.FUTURE.value: "FUTURES",
        Market.OPTION.value: "OPTION",
    }
)
_MARKETS = {inst_type: market for market, inst_type in INST_TYPES.items()}

BUDGETS: Sequence[Budget] = (
    Budget("connects", 3, 1.0),
    Budget("frames", 480, 3_600.0, scope="connection"),
    Budget("rest.instruments", 20, 2.0),
    Budget("rest.time", 10, 2.0),
    Budget("rest.trades", 100, 2.0),
    Budget("rest.history-trades", 20, 2.0),
    Budget("rest.ticker", 20, 2.0),
    Budget("rest.books", 40, 2.0),
    Budget("rest.candles", 40, 2.0),
    Budget("rest.balance", 10, 2.0, scope="key"),
)
"""Limits as published; there are no weight headers to correct them by."""

_decode = msgspec.json.Decoder().decode


def get(
    config: OkxConfig,
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    private: bool = False,
) -> Request:
    """A GET request for *path*, in the environment that *config* names."""
    url = f"{config.rest_base}{path}"
    if query:
        url += f"?{urlencode(query)}"
    headers = {"x-simulated-trading": "1"} if config.demo else {}
    return Request("GET", url, headers=headers, private=private)


def rows_in(response: Response) -> list[Any]:
    """``data`` of a successful answer.

    Raises:
        DataValidationError: the body is not OKX's JSON, or reports an error.
    """
    try:
        answer = _decode(response.body)
    except UNDECODABLE:
        answer = None
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(rows, list):
        raise DataValidationError(
            f"expected a JSON answer with data, found HTTP {response.status} with "
            f"{len(response.body)} bytes of something else"
        )
    if response.status != 200 or str(answer.get("code")) != "0":
        raise DataValidationError(
            f"expected code 0, found HTTP {response.status} with code "
            f"{str(answer.get('code'))[:20]!r}"
        )
    return rows


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _number(row: Mapping[str, Any], name: str) -> Decimal | None:
    """A positive number of *row*, None when it is empty or none."""
    text = _text(row, name)
    try:
        return (plain_decimal(text) or None) if text else None
    except NotPlain:
        return None


def _ns(row: Mapping[str, Any], name: str) -> int | None:
    text = _text(row, name)
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        return None
    ms = int(text)
    return ms * MS if 0 < ms < MAX_MS else None


def instruments(config: OkxConfig, market: str) -> Fetch:
    """The request for all instruments of *market*."""
    query = {"instType": INST_TYPES[market]}
    if market == Market.OPTION.value:
        query["instFamily"] = config.option_family
    return Fetch(
        get(config, "/api/v5/public/instruments", query),
        tag="instruments",
        costs={"rest.instruments": 1},
    )


def read_instruments(response: Response) -> list[Instrument]:
    """The instruments in an answer; rows that are not filled in yet are left out.

    Raises:
        DataValidationError: the answer has no rows at all.
    """
    found = (_instrument(row) for row in rows_in(response) if isinstance(row, dict))
    return [instrument for instrument in found if instrument is not None]


def _instrument(row: Mapping[str, Any]) -> Instrument | None:
    inst_id = _text(row, "instId")
    market = _MARKETS.get(_text(row, "instType"))
    tick_size = _number(row, "tickSz")
    if market is None or not inst_id or tick_size is None:
        return None
    settle = _text(row, "settleCcy")
    contract_size: Decimal | None = None
    contract_unit = ""
    inverse = False
    if market == Market.SPOT.value:
        base, quote = _text(row, "baseCcy"), _text(row, "quoteCcy")
    else:
        # instFamily may carry a suffix, uly is the plain pair
        pair = (_text(row, "uly") or _text(row, "instFamily")).split("-")
        value = _number(row, "ctVal")
        if len(pair) != 2 or value is None:
            return None
        base, quote = pair
        contract_size = value * (_number(row, "ctMult") or Decimal(1))
        contract_unit = _text(row, "ctValCcy")
        inverse = _text(row, "ctType") == "inverse" or (
            market == Market.OPTION.value and settle == base
        )
    if not base or not quote:
        return None
    return Instrument(
        exchange=EXCHANGE,
        market=market,
        symbol=symbol_of(inst_id),
        venue_symbol=inst_id,
        base=base,
        quote=quote,
        settle=settle,
        tick_size=tick_size,
        lot_size=_number(row, "lotSz"),
        min_size=_number(row, "minSz"),
        contract_size=contract_size,
        contract_unit=contract_unit,
        inverse=inverse,
        state=_text(row, "state") or "live",
        expires_ns=_ns(row, "expTime"),
    )


def server_time(config: OkxConfig) -> Fetch:
    """The request for OKX's clock."""
    return Fetch(get(config, "/api/v5/public/time"), tag="time", costs={"rest.time": 1})


def read_server_time(response: Response) -> int:
    """Nanoseconds UTC of OKX's clock.

    Raises:
        DataValidationError: the answer has no time.
    """
    rows = rows_in(response)
    ns = _ns(rows[0], "ts") if rows and isinstance(rows[0], dict) else None
    if ns is None:
        raise DataValidationError("expected a time in milliseconds, found none")
    return ns


def probe(config: OkxConfig, subscription: Subscription) -> Fetch | None:
    """Ask for the newest trade, book or ticker of a stream's instrument."""
    inst_id = inst_id_of(subscription.market, subscription.symbol)
    asked = {
        DataType.TRADE.value: ("trades", {"limit": "1"}),
        DataType.ORDERBOOK.value: ("books", {"sz": "1"}),
        DataType.TICKER.value: ("ticker", {}),
        DataType.CANDLE.value: ("trades", {"limit": "1"}),
    }.get(subscription.data_type)
    if asked is None:
        return None
    name, query = asked
    return Fetch(
        get(config, f"/api/v5/market/{name}", {"instId": inst_id, **query}),
        tag="probe",
        costs={f"rest.{name}": 1},
        subscription=subscription,
        urgent=True,
    )


def read_probe(response: Response) -> tuple[int | None, int | None]:
    """``(id, time in ns)`` of the newest that the answer to ``probe`` shows.

    Raises:
        DataValidationError: the answer has no rows at all.
    """
    rows = rows_in(response)
    if not rows or not isinstance(rows[0], dict):
        return None, None
    text = _text(rows[0], "tradeId")
    newest = int(text) if text.isascii() and text.isdecimal() else None
    if newest is not None and newest > MAX_ID:
        newest = None
    return newest, _ns(rows[0], "ts")


def _retry_after_s(response: Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() and text else None


def classify(response: Response) -> Outcome:
    """What an answer means, by status and code; never raises."""
    try:
        answer = _decode(response.body)
    except UNDECODABLE:
        answer = None
    code = str(answer.get("code", ""))[:20] if isinstance(answer, dict) else ""
    status = response.status
    kind = REST_CODES.get(code)
    reason = f"code {code}" if code else f"HTTP {status}"
    if kind is OutcomeKind.OK and status != 200:
        kind = None
    # 418 is no answer of the venue's, but of what may stand before it
    if status in (418, 429) or kind is OutcomeKind.LIMITED:
        wait_s = max(LIMITED_WAIT_S, _retry_after_s(response) or 0.0)
        return Outcome(OutcomeKind.LIMITED, wait_s=wait_s, reason=reason)
    if kind is not None:
        return Outcome(kind, reason=reason)
    if status == 401:
        return Outcome(OutcomeKind.AUTH, reason=reason)
    if status == 403:
        # a block by address or region answers with a page, not with JSON
        return Outcome(OutcomeKind.BANNED, wait_s=BLOCKED_WAIT_S, reason=reason)
    if status >= 500 or status == 408 or (status == 200 and not code):
        return Outcome(OutcomeKind.RETRY, reason=reason)
    return Outcome(OutcomeKind.FATAL, reason=reason)
