"""Binance over REST: requests with their weights, the clock, and what answers mean.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import attrs
import msgspec

from tapeline.errors import DataValidationError
from tapeline.hookspecs import Instruments
from tapeline.model import (
    Budget,
    DataType,
    Fetch,
    Outcome,
    OutcomeKind,
    Request,
    Response,
    Subscription,
)
from tapeline_binance.channels import family_of, venue_symbol_of
from tapeline_binance.config import COINM, SPOT, USDM, BinanceConfig
from tapeline_binance.errors import (
    BANNED_WAIT_S,
    BLOCKED_WAIT_S,
    LIMITED_WAIT_S,
    REST_CODES,
)
from tapeline_binance.wire import MAX_ID, MAX_MS, MS, UNDECODABLE

PATHS = MappingProxyType({SPOT: "/api/v3", USDM: "/fapi/v1", COINM: "/dapi/v1"})

CONNECTS = "connects"
SPOT_FRAMES = "frames"
FUTURES_FRAMES = "futures.frames"
SPOT_WEIGHT = "weight"
FUTURES_WEIGHT = "futures.weight"

WEIGHT = MappingProxyType(
    {SPOT: SPOT_WEIGHT, USDM: FUTURES_WEIGHT, COINM: FUTURES_WEIGHT}
)
"""Family → budget; both kinds of futures share one."""

US_WEIGHT_LIMIT = 1_200
"""Not confirmed for the US exchange: the lowest limit that Binance ever had."""


def budgets(config: BinanceConfig) -> Sequence[Budget]:
    """Limits as published, with room for what we do not count ourselves.

    Pings and pongs count as frames, too, and a stall on the way makes the frames of two
    seconds arrive in one: twice our share and a ping must still be below the limit.
    """
    us = config.region == "us"
    return (
        Budget(CONNECTS, 300, 300.0),
        Budget(SPOT_FRAMES, 5, 1.0, scope="connection", share=0.4),
        Budget(FUTURES_FRAMES, 10, 1.0, scope="connection", share=0.4),
        Budget(SPOT_WEIGHT, US_WEIGHT_LIMIT if us else 6_000, 60.0),
        Budget(FUTURES_WEIGHT, 2_400, 60.0),
    )


@attrs.frozen
class Weights:
    """What the endpoints cost in one family."""

    exchange_info: int
    agg_trades: int
    recent_trades: int
    historical_trades: int
    klines: int
    book_ticker: int
    small_depth: int


WEIGHTS = MappingProxyType(
    {
        SPOT: Weights(20, 4, 25, 25, 2, 2, 5),
        USDM: Weights(1, 20, 5, 20, 1, 2, 2),
        COINM: Weights(1, 20, 5, 20, 1, 2, 2),
    }
)
SERVER_TIME_WEIGHT = 1
ACCOUNT_WEIGHT = 20

_SPOT_DEPTH_WEIGHTS = MappingProxyType({100: 5, 500: 25, 1_000: 50, 5_000: 250})
_FUTURES_DEPTH_WEIGHTS = MappingProxyType({100: 5, 500: 10, 1_000: 20})

_decode = msgspec.json.Decoder().decode


def get(
    config: BinanceConfig,
    family: str,
    name: str,
    query: Mapping[str, str | int] | None = None,
    *,
    private: bool = False,
) -> Request:
    """A GET request for endpoint *name* of *family*."""
    url = f"{config.rest_base(family)}{PATHS[family]}/{name}"
    if query:
        url += f"?{urlencode(query)}"
    return Request("GET", url, private=private)


def answer_in(response: Response) -> Any:
    """The decoded body of a successful answer.

    Raises:
        DataValidationError: it is not JSON, or not a success.
    """
    if response.status == 200:
        try:
            return _decode(response.body)
        except UNDECODABLE:
            pass
    raise DataValidationError(
        f"expected HTTP 200 with JSON, found HTTP {response.status} with "
        f"{len(response.body)} bytes"
    )


def rows_in(response: Response) -> list[Any]:
    """The list in a successful answer.

    Raises:
        DataValidationError: there is none.
    """
    rows = answer_in(response)
    if not isinstance(rows, list):
        raise DataValidationError(
            f"expected a list of rows, found {type(rows).__name__}"
        )
    return rows


def _target(subscription: Subscription, instruments: Instruments) -> tuple[str, str]:
    market, symbol = subscription.market, subscription.symbol
    return family_of(market, symbol), venue_symbol_of(market, symbol, instruments)


def depth(
    config: BinanceConfig,
    subscription: Subscription,
    instruments: Instruments,
    tag: str,
) -> Fetch:
    """The request for the snapshot that a book of changes begins with."""
    family, symbol = _target(subscription, instruments)
    levels: int = config.snapshot_levels
    if family == SPOT:
        weight = _SPOT_DEPTH_WEIGHTS[levels]
    else:
        levels = min(levels, 1_000)
        weight = _FUTURES_DEPTH_WEIGHTS[levels]
    return Fetch(
        get(config, family, "depth", {"symbol": symbol, "limit": levels}),
        tag=tag,
        costs={WEIGHT[family]: weight},
        subscription=subscription,
    )


def klines(
    config: BinanceConfig,
    subscription: Subscription,
    instruments: Instruments,
    tag: str,
) -> Fetch:
    """The request for the newest two candles; a closing one may have been missed."""
    family, symbol = _target(subscription, instruments)
    query: dict[str, str | int] = {"symbol": symbol, "limit": 2}
    query["interval"] = subscription.timeframe
    return Fetch(
        get(config, family, "klines", query),
        tag=tag,
        costs={WEIGHT[family]: WEIGHTS[family].klines},
        subscription=subscription,
    )


def account(config: BinanceConfig, subscription: Subscription, tag: str) -> Fetch:
    """The signed request for all balances of a spot account."""
    return Fetch(
        # with the zeros: an asset may have been sold while nobody listened
        get(config, SPOT, "account", private=True),
        tag=tag,
        costs={SPOT_WEIGHT: ACCOUNT_WEIGHT},
        subscription=subscription,
        urgent=True,
    )


def server_time(config: BinanceConfig) -> Fetch:
    """The request for Binance's clock."""
    return Fetch(
        get(config, SPOT, "time"),
        tag="time",
        costs={SPOT_WEIGHT: SERVER_TIME_WEIGHT},
    )


def read_server_time(response: Response) -> int:
    """Nanoseconds UTC of Binance's clock.

    Raises:
        DataValidationError: the answer has no time.
    """
    answer = answer_in(response)
    ms = answer.get("serverTime") if isinstance(answer, dict) else None
    if type(ms) is not int or not 0 < ms < MAX_MS:
        raise DataValidationError("expected a time in milliseconds, found none")
    return ms * MS


def probe(config: BinanceConfig, subscription: Subscription) -> Fetch | None:
    """Ask for the newest trade, book or ticker of a stream's instrument."""
    if subscription.data_type == DataType.BALANCE:
        return None
    family, symbol = _target(subscription, {})
    weights = WEIGHTS[family]
    query: dict[str, str | int] = {"symbol": symbol, "limit": 1}
    if subscription.data_type == DataType.ORDERBOOK.value:
        name, weight = "depth", weights.small_depth
        query["limit"] = 5
    elif subscription.data_type == DataType.TICKER.value:
        name, weight = "ticker/bookTicker", weights.book_ticker
        del query["limit"]
    elif subscription.channel == "trade":
        name, weight = "trades", weights.recent_trades
    else:
        name, weight = "aggTrades", weights.agg_trades
    return Fetch(
        get(config, family, name, query),
        tag="probe",
        costs={WEIGHT[family]: weight},
        subscription=subscription,
        urgent=True,
    )


def read_probe(response: Response) -> tuple[int | None, int | None]:
    """``(id, time in ns)`` of the newest that the answer to ``probe`` shows.

    Raises:
        DataValidationError: the answer is of no use at all.
    """
    answer = answer_in(response)
    row = answer[-1] if isinstance(answer, list) and answer else answer
    if not isinstance(row, dict):
        return None, None
    newest = next((row[k] for k in ("a", "id", "lastUpdateId") if k in row), None)
    time = next((row[key] for key in ("T", "time", "E") if key in row), None)
    if type(newest) is not int or not 0 <= newest <= MAX_ID:
        newest = None
    if type(time) is not int or not 0 < time < MAX_MS:
        return newest, None
    return newest, time * MS


_USED = "x-mbx-used-weight-1m"
_UNTIL = re.compile(r"until (\d{13})\b")


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdecimal() and text else None


def _family_in(url: str) -> str:
    if "/fapi/" in url:
        return USDM
    return COINM if "/dapi/" in url else SPOT


def _used(response: Response) -> Mapping[str, int]:
    text = response.headers.get(_USED, "")
    if not (text.isascii() and text.isdecimal()):
        return {}
    return {WEIGHT[_family_in(response.request.url)]: int(text[:9])}


def _code_in(body: bytes) -> tuple[int | None, str]:
    try:
        answer = _decode(body)
    except UNDECODABLE:
        return None, ""
    if not isinstance(answer, dict):
        return None, ""
    code = answer.get("code")
    text = answer.get("msg")
    return (
        code if type(code) is int else None,
        text[:500] if isinstance(text, str) else "",
    )


def _wait_s(response: Response, text: str, least_s: float) -> float:
    """How long to stay away: by header, else until the time in the text."""
    asked_s = _seconds(response.headers.get("retry-after", ""))
    if asked_s is not None:
        return max(asked_s, 1.0)
    until = _UNTIL.search(text)
    if until:
        return max(least_s, int(until[1]) / 1e3 - response.received_ns / 1e9)
    return least_s


def classify(response: Response) -> Outcome:
    """What an answer means, by status and code; never raises."""
    used = _used(response)
    status = response.status
    if status == 200:
        # a block page may come with 200, so a look at the first byte
        if response.body.lstrip()[:1] in (b"{", b"["):
            return Outcome(OutcomeKind.OK, used=used)
        return Outcome(OutcomeKind.RETRY, used=used, reason="HTTP 200 without JSON")
    code, text = _code_in(response.body)
    reason = f"HTTP {status}" if code is None else f"HTTP {status}, code {code}"
    if status == 418:
        wait_s = _wait_s(response, text, BANNED_WAIT_S)
        return Outcome(OutcomeKind.BANNED, wait_s, used, reason)
    if status == 429:
        wait_s = _wait_s(response, text, LIMITED_WAIT_S)
        return Outcome(OutcomeKind.LIMITED, wait_s, used, reason)
    if status == 403:
        # the firewall answers with a page and does not say for how long
        return Outcome(OutcomeKind.BANNED, BLOCKED_WAIT_S, used, reason)
    if status == 451:
        return Outcome(OutcomeKind.FATAL, used=used, reason=reason)
    if status >= 500 or status == 408:
        return Outcome(OutcomeKind.RETRY, used=used, reason=reason)
    final = OutcomeKind.AUTH if status == 401 else OutcomeKind.FATAL
    kind = final if code is None else REST_CODES.get(code, final)
    if kind is OutcomeKind.LIMITED:
        wait_s = _wait_s(response, text, LIMITED_WAIT_S)
        return Outcome(kind, wait_s, used, reason)
    return Outcome(kind, used=used, reason=reason)
