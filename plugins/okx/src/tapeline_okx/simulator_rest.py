"""The simulator's REST side: paging, limits and error codes of OKX v5.

https://www.okx.com/docs-v5/en/#order-book-trading-market-data
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit

from tapeline.hookspecs import SimResponse
from tapeline.testing.book import ASK, BID
from tapeline.testing.market import Fill
from tapeline.testing.police import Limit, LimitsPolice
from tapeline_okx.simulator_account import SimAccount
from tapeline_okx.simulator_wire import (
    BARS,
    OkxInstrument,
    bar_open_ns,
    json_text,
    ms,
)

NEWEST_ID = 1 << 62
_JSON = {"content-type": "application/json"}

MARKET = "/api/v5/market/"
PUBLIC = "/api/v5/public/"

LIMITS = (
    Limit("rest.trades", 100, 2.0),
    Limit("rest.history-trades", 20, 2.0),
    Limit("rest.candles", 40, 2.0),
    Limit("rest.history-candles", 20, 2.0),
    Limit("rest.books", 40, 2.0),
    Limit("rest.ticker", 20, 2.0),
    Limit("rest.tickers", 20, 2.0),
    Limit("rest.time", 10, 2.0),
    Limit("rest.instruments", 20, 2.0),
    Limit("rest.balance", 10, 2.0),
)
"""Requests per address, as the venue publishes them."""


class Refused(Exception):
    """A request that is answered with an error of the venue."""

    def __init__(self, code: str, message: str, status: int) -> None:
        self.code = code
        self.message = message
        self.status = status
        super().__init__(message)


class OkxRest:
    """Answers REST requests from the market's state.

    Args:
        instruments: by ``instId``; shared with the sockets' side.
    """

    def __init__(
        self,
        instruments: Mapping[str, OkxInstrument],
        police: LimitsPolice,
        account: SimAccount,
    ) -> None:
        self._instruments = instruments
        self._police = police
        self._account = account
        self._endpoints: Mapping[
            str, Callable[[Mapping[str, str], int, int], Sequence[object]]
        ] = MappingProxyType(
            {
                f"{PUBLIC}instruments": self._list_instruments,
                f"{PUBLIC}time": self._time,
                f"{MARKET}books": self._books,
                f"{MARKET}ticker": self._ticker,
                f"{MARKET}tickers": self._tickers,
                f"{MARKET}trades": self._trades,
                f"{MARKET}history-trades": self._history_trades,
                f"{MARKET}candles": self._candles,
                f"{MARKET}history-candles": self._history_candles,
                "/api/v5/account/balance": self._balance,
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
            lag_ns: how far behind the market this answer is.
        """
        parts = urlsplit(target)
        endpoint = self._endpoints.get(parts.path)
        if endpoint is None or method != "GET":
            return _error("404", "Endpoint request path is incorrect", 404)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        name = "rest." + parts.path.rpartition("/")[2]
        key = ("ip", query.get("instType", "")) if "instruments" in name else "ip"
        if not self._police.hit(name, key, now_ns):
            return _error("50011", "Too Many Requests", 429)
        try:
            if parts.path.startswith("/api/v5/account/"):
                problem = self._account.check_request(method, target, headers, now_ns)
                if problem is not None:
                    raise Refused(*problem, 401)
            data = endpoint(query, now_ns, now_ns - lag_ns)
        except Refused as refused:
            return _error(refused.code, refused.message, refused.status)
        body = json_text({"code": "0", "msg": "", "data": data})
        return SimResponse(200, body.encode(), _JSON)

    def _find(self, query: Mapping[str, str]) -> OkxInstrument:
        inst_id = query.get("instId", "")
        if not inst_id:
            raise Refused("50014", "Parameter instId can not be empty.", 400)
        instrument = self._instruments.get(inst_id)
        if instrument is None or not instrument.listed:
            raise Refused("51001", "Instrument ID does not exist.", 200)
        return instrument

    def _list_instruments(
        self, query: Mapping[str, str], now_ns: int, as_of_ns: int
    ) -> Sequence[object]:
        kind = query.get("instType", "")
        if not kind:
            raise Refused("50014", "Parameter instType can not be empty.", 400)
        if kind not in ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION"):
            raise Refused("51000", "Parameter instType error", 400)
        family = query.get("instFamily", "")
        if kind == "OPTION" and not family:
            raise Refused("50014", "Parameter instFamily can not be empty.", 400)
        wanted = query.get("instId", "")
        rows = [
            instrument.row()
            for instrument in self._instruments.values()
            if instrument.listed
            and instrument.inst_type == kind
            and wanted in ("", instrument.inst_id)
            and family in ("", instrument.family)
        ]
        if wanted and not rows:
            raise Refused("51001", "Instrument ID does not exist.", 200)
        return rows

    def _time(
        self, query: Mapping[str, str], now_ns: int, as_of_ns: int
    ) -> Sequence[object]:
        return [{"ts": ms(now_ns)}]

    def _books(
        self, query: Mapping[str, str], now_ns: int, as_of_ns: int
    ) -> Sequence[object]:
        instrument = self._find(query)
        size = _number(query, "sz", 1)
        if not 1 <= size <= 400:
            raise Refused("51000", "Parameter sz error", 400)
        return [
            {
                "asks": instrument.levels(ASK, size),
                "bids": instrument.levels(BID, size),
                "ts": ms(now_ns),
            }
        ]

    def _ticker(
        self, query: Mapping[str, str], now_ns: int, as_of_ns: int
    ) -> Sequence[object]:
        return [self._find(query).ticker(now_ns)]

    def _tickers(
        self, query: Mapping[str, str], now_ns: int, as_of_ns: int
    ) -> Sequence[object]:
        kind = query.get("instType", "")
        if not kind:
            raise Refused("50014", "Parameter instType can not be empty.", 400)
        return [
            instrument.ticker(now_ns)
            for instrument in self._instruments.values()
            if instrument.listed and instrument.inst_type == kind
        ]

    def _trades(
        self, query: Mapping[str, str], now_ns: int, as_of_ns: int
    ) -> Sequence[object]:
        instrument = self._find(query)
        limit = _limit(query, 100, 500)
        fills = instrument.feed.fills_before(NEWEST_ID, limit, as_of_ns)
        return instrument.fill_rows(fills)

    def _history_trades(
        self, query: Mapping[str, str], now_ns: int, as_of_ns: int
    ) -> Sequence[object]:
        instrument = self._find(query)
        feed = instrument.feed
        limit = _limit(query, 100, 100)
        kind = query.get("type", "1")
        fills: Sequence[Fill]
        if kind == "1":
            after = _number(query, "after", NEWEST_ID)
            before = _number(query, "before", -1)
            # With `before` alone the page is the newest one, not the next one.
            fills = feed.fills_before(after, limit, as_of_ns)
            fills = [fill for fill in fills if fill.id > before]
        elif kind == "2":
            if "before" in query:
                raise Refused(
                    "50039", "This endpoint does not support the before timestamp", 200
                )
            after = _number(query, "after", NEWEST_ID // 1_000_000)
            fills = feed.fills_before_ns(after * 1_000_000, limit, as_of_ns)
        else:
            raise Refused("51000", "Parameter type error", 400)
        return instrument.fill_rows(fills)

    def _candles(
        self, query: Mapping[str, str], now_ns: int, as_of_ns: int
    ) -> Sequence[object]:
        return self._bars(query, as_of_ns, 1_440, True)

    def _history_candles(
        self, query: Mapping[str, str], now_ns: int, as_of_ns: int
    ) -> Sequence[object]:
        return self._bars(query, as_of_ns, 1_000_000, False)

    def _bars(
        self, query: Mapping[str, str], as_of_ns: int, window: int, forming: bool
    ) -> Sequence[object]:
        instrument = self._find(query)
        bars = instrument.feed.bars
        bar = query.get("bar", "1m")
        if bar not in BARS:
            raise Refused("51000", "Parameter bar error", 400)
        limit = _limit(query, 100, 300)
        width = BARS[bar][0]
        newest_ns = bar_open_ns(as_of_ns, bar)
        oldest_ns = bars.oldest_ns(width)
        if oldest_ns is None:
            return []
        first_ns = max(
            bar_open_ns(oldest_ns, bar),
            newest_ns - (window - 1) * width,
            _number(query, "before", -1) * 1_000_000 + 1,
        )
        open_ns = newest_ns if forming else newest_ns - width
        after_ns = _number(query, "after", NEWEST_ID // 1_000_000) * 1_000_000
        if after_ns <= open_ns:
            open_ns = bar_open_ns(after_ns - 1, bar)
        rows: list[object] = []
        while open_ns >= first_ns and len(rows) < limit:
            final = open_ns < newest_ns
            rows.append(instrument.candle(bars.bar(open_ns, width), final))
            open_ns -= width
        return rows

    def _balance(
        self, query: Mapping[str, str], now_ns: int, as_of_ns: int
    ) -> Sequence[object]:
        wanted = [ccy for ccy in query.get("ccy", "").split(",") if ccy]
        return [self._account.balance(wanted, now_ns)]


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit():
        raise Refused("51000", f"Parameter {name} error", 400)
    return int(text)


def _limit(query: Mapping[str, str], default: int, most: int) -> int:
    return max(1, min(most, _number(query, "limit", default)))


def _error(code: str, message: str, status: int) -> SimResponse:
    body = json_text({"code": code, "msg": message, "data": []})
    return SimResponse(status, body.encode(), _JSON)
