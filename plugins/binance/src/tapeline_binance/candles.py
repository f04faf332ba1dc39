"""Final candles over REST, for closes that the channel did not bring.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

from __future__ import annotations

import attrs

from tapeline.errors import DataValidationError
from tapeline.model import (
    BackfillPage,
    Candle,
    DataType,
    Fetch,
    Gap,
    Response,
    width_ns,
)
from tapeline_binance.channels import family_of, venue_symbol_of
from tapeline_binance.config import BinanceConfig
from tapeline_binance.messages import rest_candle_from
from tapeline_binance.rest import WEIGHT, WEIGHTS, get, rows_in
from tapeline_binance.wire import Unusable

PAGE_ROWS = 100
"""More rows weigh more on futures."""

MS = 1_000_000


@attrs.define
class CandleBackfill:
    """Candles that open from *from_ns* to *to_ns*, oldest first."""

    config: BinanceConfig
    gap: Gap
    from_ns: int
    to_ns: int
    _next_ns: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next_ns = self.from_ns

    def next(self) -> Fetch | None:
        """The next page; None when the last candle was reached."""
        if self._next_ns > self.to_ns:
            return None
        stream = self.gap.stream
        family = family_of(stream.market, stream.symbol)
        query: dict[str, str | int] = {
            "symbol": venue_symbol_of(stream.market, stream.symbol, {}),
            "interval": stream.timeframe,
            "startTime": self._next_ns // MS,
            "endTime": self.to_ns // MS,
            "limit": PAGE_ROWS,
        }
        return Fetch(
            get(self.config, family, "klines", query),
            tag="candles",
            costs={WEIGHT[family]: WEIGHTS[family].klines},
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
        newest_ns = max((candle.open_ns for candle in found), default=self.to_ns)
        width = width_ns(self.gap.stream.timeframe)
        # A page that leads no further is the last one.
        ahead = newest_ns >= self._next_ns
        self._next_ns = (newest_ns if ahead else self.to_ns) + width
        wanted = [one for one in found if self.from_ns <= one.open_ns <= self.to_ns]
        return BackfillPage((), candles=wanted)

    def _row(self, row: object, received_ns: int) -> Candle | None:
        try:
            return rest_candle_from(row, self.gap.stream, received_ns, received_ns)
        except Unusable:
            return None


def candle_backfill(config: BinanceConfig, gap: Gap) -> CandleBackfill | None:
    """Pages for *gap*; None unless it is one of candles with both ends known."""
    if gap.stream.data_type != DataType.CANDLE.value:
        return None
    if gap.from_ns is None or gap.to_ns is None or gap.from_ns > gap.to_ns:
        return None
    return CandleBackfill(config, gap, gap.from_ns, gap.to_ns)
