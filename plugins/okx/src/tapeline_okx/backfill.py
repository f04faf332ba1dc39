"""Filling holes in trades from ``history-trades``.

Rows come newest first and are single fills. ``after=X`` gives rows below X;
``before`` alone would give the newest page, not the rows next to the hole. So the
walk goes backward. Each page repeats one known neighbor: it proves that pages join
without a seam, and shows whether the cache that answered is old.

https://my.okx.com/docs-v5/en/#order-book-trading-market-data-get-trades-history
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
    Trade,
)
from tapeline_okx.channels import inst_id_of
from tapeline_okx.config import OkxConfig
from tapeline_okx.messages import trade_from
from tapeline_okx.rest import get, rows_in
from tapeline_okx.wire import UNDECODABLE, Unusable, decode_trade

PAGE_ROWS = 100
MAX_STALE = 6
"""Answers in a row without the known neighbor after which it is done without."""


@attrs.define
class TradeBackfill:
    """Pages of one gap in trades, newest first."""

    config: OkxConfig
    gap: Gap
    from_id: int
    to_id: int
    _after: int = attrs.field(init=False)
    _neighbor: int = attrs.field(init=False)
    _stale: int = attrs.field(default=0, init=False)
    _done: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._neighbor = self.to_id + 1
        self._after = self.to_id + 2

    def next(self) -> Fetch | None:
        """The next page; None when the gap's lower end was reached."""
        if self._done:
            return None
        stream = self.gap.stream
        query = {
            "instId": inst_id_of(stream.market, stream.symbol),
            "type": "1",
            "after": str(self._after),
            "limit": str(PAGE_ROWS),
        }
        return Fetch(
            get(self.config, "/api/v5/market/history-trades", query),
            tag="backfill",
            costs={"rest.history-trades": 1},
            subscription=stream,
        )

    def read(self, response: Response) -> BackfillPage:
        """The fills of one answer; never raises, an unreadable one is ``stale``."""
        try:
            rows = rows_in(response)
        except DataValidationError:
            return self._unusable()
        if any(self._is_of_another(row) for row in rows):
            # an answer to somebody else's question: its ids are not ours
            return self._unusable()
        read = [self._row(row, response.received_ns) for row in rows]
        trades = [trade for trade in read if trade is not None]
        if not any(trade.last_id == self._neighbor for trade in trades):
            self._stale += 1
            if self._stale < MAX_STALE:
                return BackfillPage((), stale=True)
        self._stale = 0
        ids = [trade.last_id for trade in trades if trade.last_id < self._after]
        if not ids or min(ids) >= self._neighbor:
            # nothing below what was known already
            self._done = True
            return BackfillPage((), exhausted=True)
        oldest, newest = min(ids), max(ids)
        self._done = oldest <= self.from_id
        # the neighbor itself was in the page before, or is not of the gap
        end_id = min(self._neighbor, self.to_id + 1)
        wanted = [t for t in trades if self.from_id <= t.last_id < end_id]
        self._neighbor, self._after = oldest, oldest + 1
        if len(trades) < len(rows):
            # an unusable row may be any of these ids: nothing is proven
            return BackfillPage(wanted)
        return BackfillPage(
            wanted,
            proven_from_id=max(oldest, self.from_id),
            proven_to_id=min(newest, self.to_id),
        )

    def _unusable(self) -> BackfillPage:
        self._stale += 1
        self._done = self._stale >= MAX_STALE
        return BackfillPage((), stale=not self._done)

    def _is_of_another(self, row: object) -> bool:
        if not isinstance(row, dict):
            return False
        stream = self.gap.stream
        own = inst_id_of(stream.market, stream.symbol)
        return bool(row.get("instId", own) != own)

    def _row(self, row: object, received_ns: int) -> Trade | None:
        try:
            wire = decode_trade(msgspec.json.encode(row))
            wire.count = 1
            return trade_from(wire, self.gap.stream, received_ns, BACKFILL)
        except (*UNDECODABLE, Unusable):
            return None


def trade_backfill(config: OkxConfig, gap: Gap) -> TradeBackfill | None:
    """Pages for *gap*; None unless it is one of trades with both ends known."""
    if gap.stream.data_type != DataType.TRADE.value:
        return None
    if gap.from_id is None or gap.to_id is None or gap.from_id > gap.to_id:
        return None
    return TradeBackfill(config, gap, gap.from_id, gap.to_id)
