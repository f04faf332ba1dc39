"""What the pipeline keeps of a stream, and what one run of it gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from tapeline.candles import CandleAggregator
from tapeline.integrity import LocalBook
from tapeline.model import Channel, MarketDataPoint, Record, Subscription
from tapeline.runtime.repeats import Repeats


@attrs.define
class StreamState:
    """What the pipeline keeps of one stream.

    Args:
        channel: what its ids let us check.
        take: continuity of this stream; False for what is known already.
        candles: built from it, when it is a stream of trades.
        book: what consumers see of it, when it is a sequenced book.
        publisher: the connection whose changes *book* follows.
        standbys: the books of its other connections, until one of them publishes.
        sources: connections that carry it now.
        repeats: knows what came over two connections, once there were two.
        raw: whether the venue's text is stored.
        last: the newest event that was accepted.
        told_from, told_to: ids of trades that were given out live only, because
            nothing could be stored; when they are found again, that is no news.
    """

    subscription: Subscription
    channel: Channel
    take: Callable[[Any, int, list[Record]], bool]
    candles: CandleAggregator | None = None
    book: LocalBook | None = None
    publisher: int | None = None
    standbys: dict[int, LocalBook] = attrs.field(factory=dict)
    sources: set[int] = attrs.field(factory=set)
    repeats: Repeats | None = None
    raw: bool = False
    sampled_ns: int = 0
    received: int = 0
    accepted: int = 0
    last: MarketDataPoint | None = None
    told_from: int = 0
    told_to: int = -1


@attrs.define
class Output:
    """What one run of the pipeline gives.

    Args:
        journal: records for durable sinks, facts before what they are about.
        live: events for callbacks and live sinks.
        broken_books: streams whose books have just become invalid.
        broken_standbys: the same of books that nobody sees, by connection.
        ended: some stream is not collected from here on, which is worth a checkpoint.
    """

    journal: list[Record] = attrs.field(factory=list)
    live: list[MarketDataPoint] = attrs.field(factory=list)
    broken_books: list[Subscription] = attrs.field(factory=list)
    broken_standbys: list[tuple[Subscription, int]] = attrs.field(factory=list)
    ended: bool = False
