"""What reads the events of one stream: a fast way and a careful one.

The fast way takes a whole combined frame and gives its event, or None when anything is
unusual. The careful way takes one object and says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from tapeline.model import DataType, Malformed, MarketDataPoint, Subscription
from tapeline_binance.seeds import Seed
from tapeline_binance.wire import MAX_ID, UNDECODABLE, Unusable, decode_any

Item = MarketDataPoint | Malformed
Fast = Callable[[bytes, int], list[Item] | None]

SAMPLE_BYTES = 200

_FIELD = re.compile(r"(?:\$\.|field `)(\w+)")
_TRADE_REASONS = {
    "p": "price",
    "q": "size",
    "a": "id",
    "t": "id",
    "f": "count",
    "l": "count",
    "m": "side",
    "T": "time",
}
_BOOK_REASONS = {
    "b": "level",
    "a": "level",
    "bids": "level",
    "asks": "level",
    "U": "sequence",
    "u": "sequence",
    "pu": "sequence",
    "lastUpdateId": "sequence",
    "E": "time",
    "T": "time",
}
_REASONS = {
    DataType.TRADE.value: _TRADE_REASONS,
    DataType.ORDERBOOK.value: _BOOK_REASONS,
}


def sample(frame: bytes) -> str:
    """The beginning of *frame* as text."""
    return bytes(frame[:SAMPLE_BYTES]).decode("utf-8", "replace")


def no_fast_way(frame: bytes, received_ns: int) -> None:
    """Always the careful way."""
    return None


@attrs.frozen
class ReaderSettings:
    """What readers are to give.

    Args:
        raw: keep Binance's own object in every event.
        forming: also candles that are not final yet, with rising revisions.
    """

    raw: bool = False
    forming: bool = False


@attrs.frozen
class Reader:
    """Reads the events of one stream.

    Args:
        item: one object; None for nothing to give.
        fast: the event of a combined frame, or None when anything is unusual.
        identified_by: the key of the id in objects of trades; empty otherwise.
        seed: of a book of changes.
    """

    stream: Subscription
    item: Callable[[bytes, int], MarketDataPoint | None]
    fast: Fast = no_fast_way
    identified_by: str = ""
    seed: Seed | None = None

    def careful(self, item: bytes, received_ns: int) -> list[Item]:
        """Read one object; what cannot be used comes as ``Malformed``."""
        try:
            event = self.item(item, received_ns)
        except Unusable as error:
            return [self._malformed(error.reason, item)]
        except UNDECODABLE as error:
            match = _FIELD.search(str(error))
            reasons = _REASONS.get(self.stream.data_type, {})
            reason = reasons.get(match[1], "field") if match else "field"
            return [self._malformed(reason, item)]
        return [] if event is None else [event]

    def _malformed(self, reason: str, item: bytes) -> Malformed:
        found = self._identity(item) if self.identified_by else None
        return Malformed(reason, sample(item), self.stream, found, found)

    def _identity(self, item: bytes) -> int | None:
        """The id of a trade that is otherwise unusable."""
        try:
            value = decode_any(item)[self.identified_by]
        except (*UNDECODABLE, KeyError, TypeError):
            return None
        if type(value) is not int or not 0 <= value <= MAX_ID:
            return None
        return value
