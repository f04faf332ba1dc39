"""Which connections carry the same stream at the same time.

While several do, their events say where they came from, so that repeats can be
told and books are never mixed. Trades need no such word: they have ids.
"""

from __future__ import annotations

from tapeline.model import DataType, Subscription
from tapeline.transport.streams import Stream


class Carriers:
    """The opened streams of all connections that share an inbox."""

    def __init__(self) -> None:
        self._opened: dict[Subscription, list[Stream]] = {}

    def opened(self, stream: Stream) -> None:
        """*stream* is about to bring data."""
        subscription = stream.subscription
        if subscription.data_type == DataType.TRADE:
            return
        known = self._opened.get(subscription, ())
        there = [one for one in known if one.opened and one is not stream]
        there.append(stream)
        self._opened[subscription] = there
        if len(there) > 1:
            for one in there:
                one.shared = True

    def closed(self, stream: Stream) -> None:
        """*stream* brings nothing more; safe twice."""
        there = self._opened.get(stream.subscription)
        if there is not None and stream in there:
            there.remove(stream)
            if not there:
                del self._opened[stream.subscription]
