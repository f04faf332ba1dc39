"""What every market data event is: a point of one stream at one time."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DataType(str, enum.Enum):
    """The kinds of data that every exchange plugin shares.

    Members compare equal to their text, so a plugin may use further, namespaced
    names (``"acme.funding"``) wherever a data type is expected.
    """

    TICKER = "ticker"
    """Best prices and figures of 24 hours."""
    TRADE = "trade"
    """What was bought and sold."""
    ORDERBOOK = "orderbook"
    """Levels: snapshots and changes."""
    CANDLE = "candle"
    """Bars of a timeframe."""
    BALANCE = "balance"
    """What an account holds."""

    def __str__(self) -> str:
        return self.value


def datetime_from_ns(ns: int) -> datetime:
    """The aware UTC datetime of *ns* nanoseconds since the epoch, cut to µs."""
    return _EPOCH + timedelta(microseconds=ns // 1_000)


def ns_from_datetime(moment: datetime) -> int:
    """Nanoseconds since the epoch of an aware datetime; exact to the µs.

    Raises:
        ValueError: *moment* has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"expected an aware datetime, found {moment!r}")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 10**9 + delta.microseconds * 1_000


class MarketDataPoint:
    """One observation of a market, as callbacks receive it.

    Typed events (``Trade``, ``Ticker``, …) are ``MarketDataPoint``s too; a
    collector of one's own may build plain ones.

    Args:
        exchange: name of the exchange, as its plugin offers it.
        symbol: canonical symbol, e.g. ``"BTC-USDT"``.
        timestamp: when it happened, UTC and aware.
        data_type: a ``DataType`` or a plugin's namespaced name.
        data: normalized keys, documented per data type.
        raw: the venue's own object, when it was kept.
    """

    __slots__ = ("_data", "_data_type", "_exchange", "_raw", "_symbol", "_timestamp")

    def __init__(
        self,
        exchange: str,
        symbol: str,
        timestamp: datetime,
        data_type: DataType | str,
        data: Mapping[str, object],
        raw: object = None,
    ) -> None:
        if timestamp.tzinfo is None:
            raise ValueError(
                f"expected an aware UTC timestamp, found {timestamp!r} without a zone"
            )
        self._exchange = exchange
        self._symbol = symbol
        self._timestamp = timestamp
        self._data_type = data_type
        self._data = data
        self._raw = raw

    @property
    def exchange(self) -> str:
        """Name of the exchange."""
        return self._exchange

    @property
    def symbol(self) -> str:
        """Canonical symbol."""
        return self._symbol

    @property
    def timestamp(self) -> datetime:
        """When it happened at the venue, UTC and aware."""
        return self._timestamp

    @property
    def data_type(self) -> DataType | str:
        """What kind of data it is."""
        return self._data_type

    @property
    def data(self) -> Mapping[str, object]:
        """Normalized keys and values of this data type."""
        return self._data

    @property
    def raw(self) -> object:
        """The venue's own object, when it was kept; else None."""
        return self._raw

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.exchange!r}, {self.symbol!r}, "
            f"{self.timestamp.isoformat()}, {str(self.data_type)!r})"
        )
