"""Instruments from ``exchangeInfo``.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-endpoints
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tapeline.errors import DataValidationError
from tapeline.model import Fetch, Instrument, Market, Response
from tapeline_binance.channels import EXCHANGE
from tapeline_binance.config import SPOT, USDM, BinanceConfig
from tapeline_binance.numbers import NotPlain, plain_decimal
from tapeline_binance.rest import WEIGHT, WEIGHTS, answer_in, get
from tapeline_binance.wire import MAX_MS, MS

LIVE_STATES = ("TRADING",)

_DATE = re.compile(r".+_([0-9]{6})")


def instruments(config: BinanceConfig, market: str) -> Fetch:
    """The request for all instruments of *market*."""
    family = SPOT if market == Market.SPOT.value else USDM
    query = {"showPermissionSets": "false"} if family == SPOT else None
    return Fetch(
        get(config, family, "exchangeInfo", query),
        tag="instruments",
        costs={WEIGHT[family]: WEIGHTS[family].exchange_info},
    )


def read_instruments(response: Response) -> list[Instrument]:
    """The instruments in an answer; rows that are not filled in are left out.

    Raises:
        DataValidationError: the answer has no instruments at all.
    """
    answer = answer_in(response)
    rows = answer.get("symbols") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise DataValidationError("expected an answer with symbols, found none")
    found = (_instrument(row) for row in rows if isinstance(row, dict))
    return [instrument for instrument in found if instrument is not None]


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _positive(value: object) -> Decimal | None:
    try:
        return plain_decimal(str(value)) or None
    except NotPlain:
        return None


def _filters(row: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The filters by type: their places in the list change."""
    filters = row.get("filters")
    if not isinstance(filters, list):
        return {}
    return {_text(f, "filterType"): f for f in filters if isinstance(f, dict)}


def _instrument(row: Mapping[str, Any]) -> Instrument | None:
    venue_symbol = _text(row, "symbol")
    base, quote = _text(row, "baseAsset"), _text(row, "quoteAsset")
    if not (venue_symbol and base and quote):
        return None
    filters = _filters(row)
    lot = filters.get("LOT_SIZE", {})
    tick_size = _positive(filters.get("PRICE_FILTER", {}).get("tickSize"))
    if tick_size is None:
        return None
    market, symbol = Market.SPOT.value, f"{base}-{quote}"
    expires_ns: int | None = None
    if "contractType" in row:
        market = Market.SWAP.value
        dated = _DATE.fullmatch(venue_symbol)
        if dated:
            market, symbol = Market.FUTURE.value, f"{symbol}-{dated[1]}"
            delivery = row.get("deliveryDate")
            if type(delivery) is int and 0 < delivery < MAX_MS:
                expires_ns = delivery * MS
    contract_size = _positive(row.get("contractSize", ""))
    state = _text(row, "status") or _text(row, "contractStatus")
    return Instrument(
        exchange=EXCHANGE,
        market=market,
        symbol=symbol,
        venue_symbol=venue_symbol,
        base=base,
        quote=quote,
        settle=_text(row, "marginAsset"),
        tick_size=tick_size,
        lot_size=_positive(lot.get("stepSize")),
        min_size=_positive(lot.get("minQty")),
        contract_size=contract_size,
        contract_unit=quote if contract_size is not None else "",
        inverse=contract_size is not None,
        state="live" if state in LIVE_STATES else state.lower(),
        expires_ns=expires_ns,
    )
