"""Points of a collector of one's own on their way to the sinks.

Sinks store typed events. A plain ``MarketDataPoint`` or ``OHLCVData`` becomes one
here, as far as its data says enough; the rest still goes to live outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from tapeline.clock import Clock
from tapeline.errors import DataValidationError
from tapeline.logs import RateLimitedLog
from tapeline.model import (
    COMPLETE,
    FROM_VENUE,
    BookSnapshot,
    Candle,
    Channel,
    Continuity,
    DataType,
    MarketDataPoint,
    OHLCVData,
    Subscription,
    Ticker,
    Trade,
    ns_from_datetime,
)
from tapeline.runtime import Engine

CHANNEL = "own"
"""Channel of the streams that collectors of one's own make."""

_TICKER = (
    "last",
    "last_size",
    "bid",
    "bid_size",
    "ask",
    "ask_size",
    "open_24h",
    "high_24h",
    "low_24h",
    "volume_24h",
    "quote_volume_24h",
)


class OwnPoints:
    """Gives what one collector of one's own makes to the sinks of an engine.

    Args:
        exchange: name of the collector's exchange.
        log: told of points that cannot be stored.
    """

    def __init__(
        self, engine: Engine, exchange: str, clock: Clock, log: RateLimitedLog
    ) -> None:
        self._engine = engine
        self._exchange = exchange
        self._clock = clock
        self._log = log
        self._known: set[Subscription] = set()
        self._makers: Mapping[str, Callable[[MarketDataPoint], Any]] = {
            DataType.TRADE: self._trade,
            DataType.TICKER: self._ticker,
            DataType.ORDERBOOK: self._book,
        }

    def publish(self, points: Sequence[MarketDataPoint]) -> None:
        """Store *points*, and give them to live outputs."""
        self._engine.publish([self._event(point) for point in points])

    def _event(self, point: MarketDataPoint) -> MarketDataPoint:
        stream = getattr(point, "stream", None)
        if stream is not None:
            self._know(stream)
            return point
        try:
            if isinstance(point, OHLCVData):
                return self._candle(point)
            make = self._makers.get(point.data_type)
            made: MarketDataPoint = point if make is None else make(point)
        except DataValidationError as error:
            self._log.warning(str(point.data_type), "not stored: %s", error)
            return point
        return made

    def _know(self, stream: Subscription) -> None:
        if stream in self._known:
            return
        self._known.add(stream)
        if stream not in self._engine.pipeline.streams:
            channel = Channel(
                stream.channel,
                stream.data_type,
                Continuity.NONE,
                stream.id_kind,
                timeframe=stream.timeframe,
            )
            self._engine.pipeline.register(stream, channel)

    def _stream(
        self, point: MarketDataPoint, id_kind: str = "", timeframe: str = ""
    ) -> Subscription:
        stream = Subscription(
            point.exchange or self._exchange,
            str(point.data.get("market", "spot")),
            point.symbol,
            str(point.data_type),
            f"{CHANNEL}-{timeframe}" if timeframe else CHANNEL,
            id_kind,
            timeframe,
        )
        self._know(stream)
        return stream

    def _candle(self, bar: OHLCVData) -> Candle:
        return Candle(
            stream=self._stream(bar, timeframe=bar.timeframe),
            timeframe=bar.timeframe,
            open_ns=ns_from_datetime(bar.timestamp),
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
            quote_volume=None,
            taker_buy_volume=None,
            trades_count=bar.trades_count,
            first_id=None,
            last_id=None,
            state=COMPLETE,
            revision=0,
            source=FROM_VENUE,
            received_ns=self._clock.wall_ns(),
            raw=bar.raw,
        )

    def _ticker(self, point: MarketDataPoint) -> Ticker:
        numbers = {name: _number(point, name) for name in _TICKER}
        return Ticker(
            stream=self._stream(point),
            **numbers,
            exchange_ns=ns_from_datetime(point.timestamp),
            received_ns=self._clock.wall_ns(),
            raw=point.raw,
        )

    def _trade(self, point: MarketDataPoint) -> Trade:
        text = point.data.get("trade_id")
        try:
            last_id = int(str(point.data.get("last_id", text)))
            first_id = int(str(point.data.get("first_id", last_id)))
        except ValueError:
            raise DataValidationError(
                f"expected a trade with a whole number as trade_id, found {text!r}"
            ) from None
        return Trade(
            stream=self._stream(point, id_kind=str(point.data.get("id_kind", "fill"))),
            trade_id=str(last_id if text is None else text),
            first_id=first_id,
            last_id=last_id,
            fills=int(str(point.data.get("fills", last_id - first_id + 1))),
            side=str(point.data.get("side", "")),
            price=_required(point, "price"),
            size=_required(point, "size"),
            exchange_ns=ns_from_datetime(point.timestamp),
            received_ns=self._clock.wall_ns(),
            raw=point.raw,
        )

    def _book(self, point: MarketDataPoint) -> BookSnapshot:
        return BookSnapshot(
            stream=self._stream(point),
            bids=_levels(point, "bids"),
            asks=_levels(point, "asks"),
            last_id=None,
            exchange_ns=ns_from_datetime(point.timestamp),
            received_ns=self._clock.wall_ns(),
            raw=point.raw,
        )


def _number(point: MarketDataPoint, key: str) -> Decimal | None:
    value = point.data.get(key)
    return None if value is None else _exact(value, key)


def _required(point: MarketDataPoint, key: str) -> Decimal:
    if point.data.get(key) is None:
        raise DataValidationError(
            f"expected a {point.data_type} with {key}, found none in its data"
        )
    return _exact(point.data[key], key)


def _exact(value: object, key: str) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise DataValidationError(f"expected a number as {key}, found {value!r}")
    return number


def _levels(point: MarketDataPoint, side: str) -> list[tuple[str, str]]:
    levels: Any = point.data.get(side)
    try:
        return [
            (str(_exact(level[0], side)), str(_exact(level[1], side)))
            for level in levels
        ]
    except (TypeError, IndexError, KeyError):
        raise DataValidationError(
            f"expected {side} as a list of [price, size], found {levels!r:.80}"
        ) from None
