"""Filling holes in trades from pages that come oldest first.

``aggTrades`` and ``historicalTrades`` give rows from ``fromId`` on, that id included.
Each page begins with a known neighbor: it proves that pages join without a seam. A
page that begins above it shows that the venue does not have what lies between. The
venue's database may lag behind the stream; then the page ends before the hole does.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

from __future__ import annotations

import attrs
import msgspec

from tapeline.errors import DataValidationError
from tapeline.model import (
    BACKFILL,
    BackfillPage,
    DataType,
    Fetch,
    Gap,
    Response,
    Subscription,
    Trade,
)
from tapeline_binance.channels import family_of, venue_symbol_of
from tapeline_binance.config import SPOT, BinanceConfig
from tapeline_binance.messages import agg_trade_from, rest_trade_from
from tapeline_binance.rest import WEIGHT, WEIGHTS, get, rows_in
from tapeline_binance.wire import (
    UNDECODABLE,
    Unusable,
    decode_agg_trade,
    decode_rest_trade,
)

SPOT_PAGE_ROWS = 1_000
FUTURES_FILL_ROWS = 500
MAX_STALE = 6
"""Answers in a row that lead no further after which it is done without."""


def trade_in(
    row: object, stream: Subscription, received_ns: int, source: str = BACKFILL
) -> Trade | None:
    """The trade in one row of REST; None when it cannot be used."""
    try:
        item = msgspec.json.encode(row)
        if stream.channel == "aggTrade":
            return agg_trade_from(decode_agg_trade(item), stream, received_ns, source)
        return rest_trade_from(decode_rest_trade(item), stream, received_ns, source)
    except (*UNDECODABLE, Unusable, TypeError):
        return None


@attrs.define
class TradeBackfill:
    """Pages of one gap in trades, oldest first."""

    config: BinanceConfig
    gap: Gap
    from_id: int
    to_id: int
    _given: int = attrs.field(init=False)
    _next_id: int = attrs.field(init=False)
    _stale: int = attrs.field(default=0, init=False)
    _done: bool = attrs.field(default=False, init=False)
    _short: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._given = self.from_id - 1
        self._next_id = max(0, self._given)

    def next(self) -> Fetch | None:
        """The next page; None when the gap's upper end was reached."""
        if self._done:
            return None
        stream = self.gap.stream
        family = family_of(stream.market, stream.symbol)
        aggregate = stream.channel == "aggTrade"
        limit = SPOT_PAGE_ROWS
        if not aggregate and family != SPOT:
            limit = FUTURES_FILL_ROWS
        query: dict[str, str | int] = {
            "symbol": venue_symbol_of(stream.market, stream.symbol, {}),
            "fromId": self._next_id,
            "limit": limit,
        }
        name = "aggTrades" if aggregate else "historicalTrades"
        weights = WEIGHTS[family]
        weight = weights.agg_trades if aggregate else weights.historical_trades
        # the key is sent where there is one; the guide does not ask for it any more
        private = not aggregate and self.config.has_key
        return Fetch(
            get(self.config, family, name, query, private=private),
            tag="backfill",
            costs={WEIGHT[family]: weight},
            subscription=stream,
        )

    def read(self, response: Response) -> BackfillPage:
        """The trades of one answer; never raises, an unreadable one is ``stale``."""
        try:
            rows = rows_in(response)
        except DataValidationError:
            return self._no_progress(())
        stream = self.gap.stream
        read = [trade_in(row, stream, response.received_ns) for row in rows]
        trades = [t for t in read if t is not None and t.first_id >= self._next_id]
        if not trades:
            return self._no_progress(())
        oldest = min(trade.first_id for trade in trades)
        newest = max(trade.last_id for trade in trades)
        # the row that joins pages was given out with the page before
        wanted = [t for t in trades if self._given < t.last_id <= self.to_id]
        self._short = self._short or oldest > max(self._next_id, 1)
        if newest >= self.to_id:
            self._done = True
        elif newest <= self._next_id:
            return self._no_progress(wanted)
        self._stale = 0
        self._next_id = self._given = newest
        ended = self._done and self._short
        proven_from = max(oldest, self.from_id)
        proven_to = min(newest, self.to_id)
        if None in read or proven_from > proven_to:
            # an unusable row may be any of these ids: nothing is proven
            return BackfillPage(wanted, exhausted=ended)
        return BackfillPage(wanted, proven_from, proven_to, exhausted=ended)

    def _no_progress(self, trades: tuple[Trade, ...] | list[Trade]) -> BackfillPage:
        """The venue has nothing newer yet, or never will."""
        self._stale += 1
        self._done = self._stale >= MAX_STALE
        return BackfillPage(trades, exhausted=self._done, stale=not self._done)


def trade_backfill(config: BinanceConfig, gap: Gap) -> TradeBackfill | None:
    """Pages for *gap*; None unless it is one of trades with both ends known, and the
    region has the endpoint.

    Single fills of futures need an API key; market-data-only hosts do not have them.
    """
    stream = gap.stream
    if stream.data_type != DataType.TRADE.value:
        return None
    if gap.from_id is None or gap.to_id is None or gap.from_id > gap.to_id:
        return None
    if stream.channel == "trade":
        futures = family_of(stream.market, stream.symbol) != SPOT
        if config.region == "market-data-only" or (futures and not config.has_key):
            return None
    return TradeBackfill(config, gap, gap.from_id, gap.to_id)
