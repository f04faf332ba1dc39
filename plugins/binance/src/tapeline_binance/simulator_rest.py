"""The simulator's REST side: paging, weights and error codes, spot and futures.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit

from tapeline.hookspecs import SimResponse
from tapeline_binance.simulator_account import (
    BAD_KEY,
    SimAccount,
    missing,
)
from tapeline_binance.simulator_books import FollowedBook
from tapeline_binance.simulator_habits import Habits
from tapeline_binance.simulator_intervals import DAY_NS, WIDTHS, bar_span
from tapeline_binance.simulator_query import (
    Asked,
    Refused,
    read_header_unit,
    read_symbols,
)
from tapeline_binance.simulator_routing import (
    FUTURES,
    SPOT,
)
from tapeline_binance.simulator_rows import (
    aggregate_row,
    best_row,
    day_row,
    instrument_row,
    kline_row,
    trade_row,
)
from tapeline_binance.simulator_weight import Overspent, WeightMeter, weight_of
from tapeline_binance.simulator_wire import BinanceInstrument, json_text

NEWEST_ID = 1 << 62
SPOT_PREFIX = "/api/v3/"
FUTURES_PREFIX = "/fapi/v1/"

_fill_id = attrgetter("id")
_aggregate_id = attrgetter("aggregate_id")
_aggregate_ns = attrgetter("exchange_ns")

_BAD_SYMBOL = (-1121, "Invalid symbol.")
_FUTURES_DEPTHS = (5, 10, 20, 50, 100, 500, 1_000)


Endpoint = Callable[[Asked], object]


class BinanceRest:
    """Answers REST requests from the market's state.

    Args:
        instruments: by family and symbol; shared with the sockets' side.
        books: of the instruments.
        meters: weight by family.
    """

    def __init__(
        self,
        instruments: Mapping[tuple[str, str], BinanceInstrument],
        books: Mapping[BinanceInstrument, FollowedBook],
        meters: Mapping[str, WeightMeter],
        account: SimAccount,
        habits: Habits,
    ) -> None:
        self._instruments = instruments
        self._books = books
        self._meters = meters
        self._account = account
        self._habits = habits
        self._endpoints: Mapping[str, Endpoint] = MappingProxyType(
            {
                "ping": lambda asked: {},
                "time": lambda asked: {"serverTime": asked.now_ns // asked.unit_ns},
                "exchangeInfo": self._exchange_info,
                "depth": self._depth,
                "trades": self._trades,
                "historicalTrades": self._historical_trades,
                "aggTrades": self._aggregates,
                "klines": self._klines,
                "ticker/bookTicker": self._best,
                "ticker/24hr": self._day,
                "account": self._status,
            }
        )

    def answer(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        now_ns: int,
        lag_ns: int,
    ) -> SimResponse:
        """The answer to one request.

        Args:
            target: path and query.
            lag_ns: how far behind the market this answer is, beyond its habits.
        """
        parts = urlsplit(target)
        if parts.path.startswith(SPOT_PREFIX):
            family, name = SPOT, parts.path.removeprefix(SPOT_PREFIX)
        else:
            family, name = FUTURES, parts.path.removeprefix(FUTURES_PREFIX)
        endpoint = self._endpoints.get(name)
        if endpoint is None or method != "GET" or (family, name) == _NO_ACCOUNT:
            return SimResponse(404, b"<html><body>404 Not found</body></html>", _HTML)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        meter = self._meters[family]
        over = meter.spend(weight_of(family, name, query), now_ns)
        if over is not None:
            return _overspent(over, meter, now_ns)
        lower = {key.lower(): value for key, value in headers.items()}
        habits = self._habits
        try:
            asked = Asked(
                family,
                query,
                parts.query,
                lower,
                now_ns,
                now_ns - max(lag_ns, int(habits.rest_lag_s * 1e9)),
                now_ns - max(lag_ns, int(habits.depth_lag_s * 1e9)),
                read_header_unit(lower),
            )
            body, status = json_text(endpoint(asked)), 200
        except Refused as refused:
            body = json_text({"code": refused.code, "msg": refused.message})
            status = refused.status
        return SimResponse(status, body.encode(), _headers(meter))

    # Instruments.

    def _listed(self, family: str) -> list[BinanceInstrument]:
        return [
            instrument
            for (known, _), instrument in self._instruments.items()
            if known == family and instrument.listed
        ]

    def _get(self, family: str, symbol: str) -> BinanceInstrument:
        instrument = self._instruments.get((family, symbol))
        if instrument is None or not instrument.listed:
            raise Refused(_BAD_SYMBOL)
        return instrument

    def _one(self, asked: Asked) -> BinanceInstrument:
        symbol = asked.query.get("symbol", "")
        if not symbol:
            raise Refused(missing("symbol"))
        return self._get(asked.family, symbol)

    def _several(self, asked: Asked) -> list[BinanceInstrument]:
        """Those in ``symbols``; all of them when it is left out."""
        text = asked.query.get("symbols")
        if text is None or not asked.spot:
            return self._listed(asked.family)
        return [self._get(asked.family, symbol) for symbol in read_symbols(text)]

    def _exchange_info(self, asked: Asked) -> object:
        if "symbol" in asked.query and asked.spot:
            found = [self._one(asked)]
        else:
            found = self._several(asked)
        limits = [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": self._meters[asked.family].limit,
            }
        ]
        if asked.spot:
            limits.append(
                {
                    "rateLimitType": "RAW_REQUESTS",
                    "interval": "MINUTE",
                    "intervalNum": 5,
                    "limit": 300_000,
                }
            )
        return {
            "timezone": "UTC",
            "serverTime": asked.now_ns // asked.unit_ns,
            **({} if asked.spot else {"futuresType": "U_MARGINED"}),
            "rateLimits": limits,
            "exchangeFilters": [],
            "symbols": [instrument_row(instrument) for instrument in found],
        }

    # Books and tickers.

    def _depth(self, asked: Asked) -> object:
        instrument = self._one(asked)
        limit = asked.number("limit")
        if asked.spot:
            limit = 100 if limit is None else max(1, min(5_000, limit))
        elif limit is None:
            limit = 500
        elif limit not in _FUTURES_DEPTHS:
            raise Refused((-1130, "Data sent for parameter 'limit' is not valid."))
        last, bids, asks = self._books[instrument].snapshot(limit, asked.book_ns)
        head: dict[str, object] = {"lastUpdateId": last}
        if not asked.spot:
            head["E"] = asked.now_ns // asked.unit_ns
            head["T"] = min(asked.book_ns, instrument.changed_ns) // asked.unit_ns
        return head | {"bids": bids, "asks": asks}

    def _best(self, asked: Asked) -> object:
        if "symbol" in asked.query:
            return best_row(self._one(asked), asked.unit_ns)
        return [best_row(found, asked.unit_ns) for found in self._several(asked)]

    def _day(self, asked: Asked) -> object:
        if "symbol" in asked.query:
            return day_row(self._one(asked), asked.now_ns, asked.unit_ns)
        return [
            day_row(found, asked.now_ns, asked.unit_ns)
            for found in self._several(asked)
        ]

    # Trades: ascending, `fromId` inclusive.

    def _trades(self, asked: Asked) -> object:
        instrument = self._one(asked)
        limit = asked.limit(500, 1_000)
        fills = instrument.feed.fills_before(NEWEST_ID, limit, asked.as_of_ns)
        return [trade_row(instrument, fill, asked.unit_ns) for fill in fills[::-1]]

    def _historical_trades(self, asked: Asked) -> object:
        if self._habits.history_needs_key:
            key = asked.headers.get("x-mbx-apikey", "")
            if not key:
                raise Refused((-2014, "API-key format invalid."), 401)
            if not self._account.knows(key):
                raise Refused(BAD_KEY, 401)
        instrument = self._one(asked)
        limit = asked.limit(500, 1_000) if asked.spot else asked.limit(100, 500)
        from_id = asked.number("fromId")
        feed = instrument.feed
        if from_id is None:
            fills = feed.fills_before(NEWEST_ID, limit, asked.as_of_ns)[::-1]
        else:
            start = bisect_left(feed.fills, from_id, key=_fill_id)
            fills = [
                fill
                for fill in feed.fills[start : start + limit]
                if fill.exchange_ns <= asked.as_of_ns
            ]
        return [trade_row(instrument, fill, asked.unit_ns) for fill in fills]

    def _aggregates(self, asked: Asked) -> object:
        instrument = self._one(asked)
        limit = asked.limit(500, 1_000)
        from_id = asked.number("fromId")
        start_ns, end_ns = asked.time("startTime"), asked.time("endTime")
        if from_id is not None and (start_ns is not None or end_ns is not None):
            raise Refused((-1128, "Combination of optional parameters invalid."))
        known = instrument.feed.executions
        last_ns = asked.as_of_ns if end_ns is None else min(asked.as_of_ns, end_ns)
        end = bisect_right(known, last_ns, key=_aggregate_ns)
        if from_id is not None:
            start = bisect_left(known, from_id, key=_aggregate_id)
        elif start_ns is not None:
            start = bisect_left(known, start_ns, key=_aggregate_ns)
        else:
            start = max(0, end - limit)
        found = known[start : min(end, start + limit)]
        return [aggregate_row(instrument, item, asked.unit_ns) for item in found]

    # Bars: ascending, keyed by their opening, the last one may be forming.

    def _klines(self, asked: Asked) -> object:
        instrument = self._one(asked)
        interval = asked.query.get("interval", "")
        if not interval:
            raise Refused(missing("interval"))
        if interval not in WIDTHS or (interval == "1s" and not asked.spot):
            raise Refused((-1120, "Invalid interval."))
        limit = asked.limit(500, 1_000 if asked.spot else 1_500)
        bars = instrument.feed.bars
        oldest_ns = bars.oldest_ns(WIDTHS[interval] or DAY_NS)
        if oldest_ns is None:
            return []
        start_ns, end_ns = asked.time("startTime"), asked.time("endTime")
        newest_ns = asked.as_of_ns if end_ns is None else min(asked.as_of_ns, end_ns)
        spans: list[tuple[int, int]] = []
        if start_ns is None:
            span = bar_span(newest_ns, interval)
            while span[1] > oldest_ns and len(spans) < limit:
                spans.append(span)
                span = bar_span(span[0] - 1, interval)
            spans.reverse()
        else:
            span = bar_span(max(start_ns, oldest_ns), interval)
            if span[0] < start_ns:
                span = bar_span(span[1], interval)
            while span[0] <= newest_ns and len(spans) < limit:
                spans.append(span)
                span = bar_span(span[1], interval)
        return [
            kline_row(instrument, bars.bar(opens, ends - opens), ends, asked.unit_ns)
            for opens, ends in spans
        ]

    # The account.

    def _status(self, asked: Asked) -> object:
        key = asked.headers.get("x-mbx-apikey", "")
        problem = self._account.check_query(key, asked.raw_query, asked.now_ns)
        if problem is not None:
            raise Refused(problem, 401 if problem[0] in (-2014, -2015) else 400)
        return self._account.status(asked.unit_ns)


_NO_ACCOUNT = (FUTURES, "account")
_HTML = MappingProxyType({"content-type": "text/html"})


def _headers(meter: WeightMeter) -> dict[str, str]:
    return {
        "content-type": "application/json;charset=UTF-8",
        "x-mbx-used-weight": str(meter.used),
        "x-mbx-used-weight-1m": str(meter.used),
    }


def _overspent(over: Overspent, meter: WeightMeter, now_ns: int) -> SimResponse:
    body = json_text({"code": -1003, "msg": over.message})
    wait = {"retry-after": str(over.retry_after_s(now_ns))}
    return SimResponse(over.status, body.encode(), _headers(meter) | wait)
