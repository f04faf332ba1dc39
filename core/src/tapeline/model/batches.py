"""What a sink is handed: events in journal order, with their positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from tapeline.model.balances import Balance
from tapeline.model.books import BookDelta, BookSnapshot
from tapeline.model.candles import Candle
from tapeline.model.facts import Coverage, Gap, RawMessage
from tapeline.model.points import MarketDataPoint
from tapeline.model.tickers import Ticker
from tapeline.model.trades import Trade

Event = MarketDataPoint
"""What callbacks and candles see."""

Fact = Gap | Coverage | RawMessage

StoredEvent = (
    Trade | Ticker | BookSnapshot | BookDelta | Candle | Balance | MarketDataPoint
)
Record = StoredEvent | Fact
"""What the journal keeps."""


@attrs.frozen
class Part:
    """The records of one journal position; ordinals count from 0.

    Args:
        position: in the journal; only rises.
        records: events and facts in the order in which they became known.
    """

    position: int
    records: Sequence[Record]


@attrs.frozen
class Batch:
    """One or more whole positions of one journal, in order.

    ``write`` of a sink returning means that all of it is stored, and that the
    sink's cursor is ``last_position``.

    Args:
        journal_id: name of the journal; a cursor is valid in it alone.
        parts: at least one, by rising position.
    """

    journal_id: str
    parts: Sequence[Part]

    @property
    def first_position(self) -> int:
        """Position of the first part."""
        return self.parts[0].position

    @property
    def last_position(self) -> int:
        """Position of the last part: the sink's cursor once it is stored."""
        return self.parts[-1].position

    def records(self) -> Iterator[tuple[int, int, Record]]:
        """``(position, ordinal, record)`` of everything, in order."""
        for part in self.parts:
            position = part.position
            for ordinal, record in enumerate(part.records):
                yield position, ordinal, record

    def __len__(self) -> int:
        return sum(len(part.records) for part in self.parts)
