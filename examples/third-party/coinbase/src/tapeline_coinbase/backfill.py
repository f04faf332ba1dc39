"""Filling holes in trades from the list of the last trades of a product.

Coinbase shows the newest trades between two whole seconds, newest first, at most
``limit`` of them; there is no cursor by id. So the walk goes backward by time, and each
page repeats the second in which the one before it ended.

https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public
Unconfirmed: the largest ``limit``, and whether ``end`` belongs to the interval; pages
are joined by the ids that both show, which is right either way.
"""

from __future__ import annotations

import attrs
import msgspec

from tapeline.errors import DataValidationError
from tapeline.model import BACKFILL, BackfillPage, Fetch, Gap, Response, Trade
from tapeline_coinbase.channels import TRADES_BY_ID
from tapeline_coinbase.config import CoinbaseConfig
from tapeline_coinbase.messages import trade_from
from tapeline_coinbase.numbers import Unusable
from tapeline_coinbase.rest import REST, rows_in, trades_page
from tapeline_coinbase.wire import UNDECODABLE, decode_trade

PAGE_ROWS = 1_000
MAX_STALE = 6
"""Pages in a row that join nothing, after which the walk ends without."""
SECOND_NS = 10**9


@attrs.define
class TradeBackfill:
    """Pages of one gap in trades, newest first."""

    config: CoinbaseConfig
    gap: Gap
    from_id: int
    to_id: int
    _end_s: int | None = attrs.field(init=False)
    _neighbor: int = attrs.field(init=False)
    _stale: int = attrs.field(default=0, init=False)
    _done: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._neighbor = self.to_id + 1
        # The trade after the gap must be on the first page: it proves the join.
        end_ns = self.gap.to_ns
        self._end_s = None if end_ns is None else end_ns // SECOND_NS + 2

    def next(self) -> Fetch | None:
        """The next page; None when the gap's lower end was reached."""
        if self._done:
            return None
        query = {"limit": str(PAGE_ROWS)}
        if self._end_s is not None:
            query["end"] = str(self._end_s)
        stream = self.gap.stream
        return Fetch(
            trades_page(self.config, stream.symbol, query),
            tag="backfill",
            costs={REST: 1},
            subscription=stream,
        )

    def read(self, response: Response) -> BackfillPage:
        """The trades of one answer; never raises, an unreadable one is ``stale``."""
        try:
            rows = rows_in(response, "trades")
        except DataValidationError:
            return self._unusable()
        read = [self._row(row, response.received_ns) for row in rows]
        trades = [trade for trade in read if trade is not None]
        ids = [trade.first_id for trade in trades]
        if not ids or max(ids) < self._neighbor:
            return self._unusable()
        self._stale = 0
        oldest, joined = min(ids), self._neighbor
        oldest_s = min(trade.exchange_ns for trade in trades) // SECOND_NS
        # Without an earlier second there is nothing older to ask for.
        stuck = self._end_s is not None and oldest_s + 2 > self._end_s
        short = len(rows) < PAGE_ROWS
        self._done = oldest <= self.from_id or stuck or short
        self._neighbor = min(joined, oldest)
        self._end_s = oldest_s + 1
        # What the page before has shown is in this one, too.
        wanted = [t for t in trades if self.from_id <= t.first_id < joined]
        if len(trades) < len(rows) or oldest >= joined:
            # A row that cannot be used may be any of these ids: nothing is proven.
            return BackfillPage(wanted, exhausted=short)
        return BackfillPage(
            wanted,
            proven_from_id=max(oldest, self.from_id),
            proven_to_id=min(joined, self.to_id),
            exhausted=short and oldest > self.from_id,
        )

    def _unusable(self) -> BackfillPage:
        self._stale += 1
        self._done = self._stale >= MAX_STALE
        return BackfillPage((), stale=not self._done)

    def _row(self, row: object, received_ns: int) -> Trade | None:
        try:
            wire = decode_trade(msgspec.json.encode(row))
            return trade_from(wire, self.gap.stream, received_ns, BACKFILL)
        except (*UNDECODABLE, Unusable):
            return None


def trade_backfill(config: CoinbaseConfig, gap: Gap) -> TradeBackfill | None:
    """Pages for *gap*; None unless its ids are told by a channel that counts them."""
    if gap.stream.channel != TRADES_BY_ID or gap.from_id is None or gap.to_id is None:
        return None
    return TradeBackfill(config, gap, gap.from_id, gap.to_id)
