"""Coinbase over REST: products, the clock, the newest trade, what answers mean.

https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from tapeline.errors import DataValidationError
from tapeline.model import (
    Budget,
    Fetch,
    Instrument,
    Outcome,
    OutcomeKind,
    Request,
    Response,
    Subscription,
)
from tapeline_coinbase.channels import EXCHANGE, SPOT
from tapeline_coinbase.config import CoinbaseConfig
from tapeline_coinbase.errors import BLOCKED_WAIT_S, LIMITED_WAIT_S, STATUSES
from tapeline_coinbase.numbers import Unusable, id_of, ns_of, positive
from tapeline_coinbase.wire import UNDECODABLE

REST = "rest"
MILLISECOND_NS = 1_000_000
_PATH = "/api/v3/brokerage"

BUDGETS: Sequence[Budget] = (
    Budget("connects", 8, 1.0),
    Budget("messages", 8, 1.0),
    # Unconfirmed for Advanced Trade; published for public REST as 10 a second.
    Budget(REST, 10, 1.0),
)
"""Limits of one address without a key.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-rate-limits
"""

_STATES = {"": "live", "online": "live"}
"""Status of a product → word of core; the others are passed on."""

_decode = msgspec.json.Decoder().decode


def get(
    config: CoinbaseConfig, path: str, query: Mapping[str, str] | None = None
) -> Request:
    """A GET request; public answers are cached for a second unless asked not to."""
    url = f"{config.rest_url}{_PATH}{path}"
    if query:
        url += f"?{urlencode(query)}"
    return Request("GET", url, headers={"cache-control": "no-cache"})


def object_in(response: Response) -> Mapping[str, Any]:
    """The object of a successful answer.

    Raises:
        DataValidationError: it is none, or reports an error.
    """
    try:
        answer = _decode(response.body)
    except UNDECODABLE:
        answer = None
    if response.status != 200 or not isinstance(answer, dict):
        raise DataValidationError(
            f"expected a JSON object with status 200, found HTTP {response.status} "
            f"with {len(response.body)} bytes"
        )
    return answer


def rows_in(response: Response, name: str) -> list[Any]:
    """The list called *name* in a successful answer.

    Raises:
        DataValidationError: there is none.
    """
    rows = object_in(response).get(name)
    if not isinstance(rows, list):
        raise DataValidationError(f"expected a list of {name}, found none")
    return rows


def instruments(config: CoinbaseConfig, market: str) -> Fetch:
    """The request for all products of *market*."""
    request = get(config, "/market/products", {"product_type": "SPOT"})
    return Fetch(request, tag="instruments", costs={REST: 1})


def read_instruments(response: Response) -> list[Instrument]:
    """The spot products in an answer; rows that cannot be used are left out.

    Raises:
        DataValidationError: the answer has no rows at all.
    """
    rows = rows_in(response, "products")
    found = (_instrument(row) for row in rows if isinstance(row, dict))
    return [instrument for instrument in found if instrument is not None]


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _step(row: Mapping[str, Any], name: str) -> Decimal | None:
    try:
        return positive(_text(row, name), name)
    except Unusable:
        return None


def _instrument(row: Mapping[str, Any]) -> Instrument | None:
    product = _text(row, "product_id")
    base, dash, quote_currency = product.rpartition("-")
    base = _text(row, "base_currency_id") or base
    quote_currency = _text(row, "quote_currency_id") or quote_currency
    # Unconfirmed: a request without a product type shows futures as well.
    if not dash or not base or _text(row, "product_type") not in ("", "SPOT"):
        return None
    status = _text(row, "status")
    closed = row.get("is_disabled") is True or row.get("trading_disabled") is True
    return Instrument(
        exchange=EXCHANGE,
        market=SPOT,
        symbol=product,
        venue_symbol=product,
        base=base,
        quote=quote_currency,
        tick_size=_step(row, "price_increment") or _step(row, "quote_increment"),
        lot_size=_step(row, "base_increment"),
        min_size=_step(row, "base_min_size"),
        # To core only "live" is an instrument that trades.
        state="disabled" if closed else _STATES.get(status, status),
    )


def trades_page(
    config: CoinbaseConfig, product: str, query: Mapping[str, str]
) -> Request:
    """A request for the newest trades of *product* that *query* allows."""
    return get(config, f"/market/products/{quote(product, safe='')}/ticker", query)


def probe(config: CoinbaseConfig, subscription: Subscription) -> Fetch:
    """Ask for the newest trade of a stream's product."""
    return Fetch(
        trades_page(config, subscription.symbol, {"limit": "1"}),
        tag="probe",
        costs={REST: 1},
        subscription=subscription,
        urgent=True,
    )


def read_probe(response: Response) -> tuple[int | None, int | None]:
    """``(id, time in ns)`` of the newest trade in an answer.

    Raises:
        DataValidationError: the answer has no list of trades.
    """
    rows = rows_in(response, "trades")
    if not rows or not isinstance(rows[0], dict):
        return None, None
    try:
        return id_of(_text(rows[0], "trade_id")), ns_of(_text(rows[0], "time"))
    except Unusable:
        return None, None


def server_time(config: CoinbaseConfig) -> Fetch:
    """The request for Coinbase's clock."""
    return Fetch(get(config, "/time"), tag="time", costs={REST: 1})


def read_server_time(response: Response) -> int:
    """Nanoseconds UTC of Coinbase's clock.

    Raises:
        DataValidationError: the answer has no time.
    """
    answer = object_in(response)
    millis = str(answer.get("epochMillis", ""))
    if not (millis.isascii() and millis.isdecimal() and 10 < len(millis) < 15):
        raise DataValidationError("expected epochMillis, found none")
    return int(millis) * MILLISECOND_NS


def classify(response: Response) -> Outcome:
    """What an answer means, by status alone; never raises."""
    status = response.status
    reason = f"HTTP {status}"
    kind = STATUSES.get(status)
    if kind is OutcomeKind.LIMITED:
        text = response.headers.get("retry-after", "")
        told_s = float(text) if text.isascii() and text.isdecimal() else 0.0
        return Outcome(kind, wait_s=max(LIMITED_WAIT_S, told_s), reason=reason)
    if kind is OutcomeKind.BANNED:
        return Outcome(kind, wait_s=BLOCKED_WAIT_S, reason=reason)
    if kind is None:
        kind = OutcomeKind.RETRY if status >= 500 else OutcomeKind.FATAL
    return Outcome(kind, reason=reason)
