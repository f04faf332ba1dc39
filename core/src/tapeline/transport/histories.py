"""How the streams of one line are, over all connections that it ever had."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from tapeline.model import Subscription, SubscriptionState
from tapeline.transport.connection import Connection
from tapeline.transport.status import SubscriptionStatus
from tapeline.transport.streams import Stream


@attrs.define
class _Past:
    """What closed connections saw of one stream."""

    events: int = 0
    last_message_ns: int | None = None


class Histories:
    """Counts of closed connections, added to those of open ones.

    Args:
        number: of the line.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._past: dict[Subscription, _Past] = {}

    def keep(self, connection: Connection) -> None:
        """Keep the counts of a closed *connection*; once for each."""
        for stream in connection.dialog.table:
            if stream.events or stream.last_message_ns is not None:
                past = self._past.setdefault(stream.subscription, _Past())
                past.events += stream.events
                past.last_message_ns = _later(
                    past.last_message_ns, stream.last_message_ns
                )

    def status(
        self, subscription: Subscription, present: Iterable[Connection], now_ns: int
    ) -> SubscriptionStatus:
        """How *subscription* is, as the *present* connections tell."""
        past = self._past.get(subscription, _Past())
        events, last_ns = past.events, past.last_message_ns
        best: Stream | None = None
        for connection in present:
            stream = connection.dialog.table.get(subscription)
            if stream is None:
                continue
            events += stream.events
            last_ns = _later(last_ns, stream.last_message_ns)
            if connection.open and (best is None or stream.flowing):
                best = stream
        refusal = best.rejected if best is not None else None
        return SubscriptionStatus(
            subscription,
            best.state if best is not None else SubscriptionState.DISCONNECTED,
            self._number,
            last_ns,
            (now_ns - last_ns) / 1e9 if last_ns is not None else None,
            events,
            f"{refusal.code} {refusal.reason}".strip() if refusal is not None else "",
        )


def _later(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
