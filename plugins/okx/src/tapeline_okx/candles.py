"""Final candles over REST, for closes that the channel did not bring.

https://my.okx.com/docs-v5/en/#order-book-trading-market-data-get-candlesticks
"""

from __future__ import annotations

import attrs

from tapeline.errors import DataValidationError
from tapeline.model import BackfillPage, Candle, DataType, Fetch, Gap, Response
from tapeline_okx.channels import CANDLES, inst_id_of
from tapeline_okx.config import OkxConfig
from tapeline_okx.messages import candle_from, is_final
from tapeline_okx.rest import get, rows_in
from tapeline_okx.wire import Unusable

PAGE_ROWS = 100
MS = 1_000_000


@attrs.define
class CandleBackfill:
    """Candles that open from *from_ns* to *to_ns*, newest first."""

    config: OkxConfig
    gap: Gap
    from_ns: int
    to_ns: int
    _after_ns: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._after_ns = self.to_ns + MS

    def next(self) -> Fetch | None:
        """The next page; None when the first candle was reached."""
        if self._after_ns <= self.from_ns:
            return None
        stream = self.gap.stream
        query = {
            "instId": inst_id_of(stream.market, stream.symbol),
            "bar": CANDLES[stream.timeframe].removeprefix("candle"),
            "after": str(self._after_ns // MS),
            "before": str(self.from_ns // MS - 1),
            "limit": str(PAGE_ROWS),
        }
        return Fetch(
            get(self.config, "/api/v5/market/candles", query),
            tag="candles",
            costs={"rest.candles": 1},
            subscription=stream,
        )

    def read(self, response: Response) -> BackfillPage:
        """The candles of one answer; never raises."""
        try:
            rows = rows_in(response)
        except DataValidationError:
            rows = []
        read = [self._row(row, response.received_ns) for row in rows]
        found = [candle for candle in read if candle is not None]
        oldest_ns = min((candle.open_ns for candle in found), default=self.from_ns)
        # A page that leads no further is the last one.
        self._after_ns = oldest_ns if oldest_ns < self._after_ns else self.from_ns
        wanted = [one for one in found if self.from_ns <= one.open_ns <= self.to_ns]
        return BackfillPage((), candles=wanted)

    def _row(self, row: object, received_ns: int) -> Candle | None:
        if not isinstance(row, list) or not all(isinstance(text, str) for text in row):
            return None
        try:
            if not is_final(row):
                return None
            return candle_from(row, self.gap.stream, received_ns)
        except (Unusable, IndexError):
            return None


def candle_backfill(config: OkxConfig, gap: Gap) -> CandleBackfill | None:
    """Pages for *gap*; None unless it is one of candles with both ends known."""
    if gap.stream.data_type != DataType.CANDLE.value:
        return None
    if gap.from_ns is None or gap.to_ns is None or gap.from_ns > gap.to_ns:
        return None
    return CandleBackfill(config, gap, gap.from_ns, gap.to_ns)
