"""Facts about the data itself: what is missing, what is covered.

They travel in the same order as the events: a fact stands before the first
event that comes after it.
"""

from __future__ import annotations

import attrs

from tapeline.model.subscriptions import Subscription

OPEN = "open"
BACKFILLING = "backfilling"
CLOSED = "closed"
UNRECOVERABLE = "unrecoverable"


@attrs.frozen
class Gap:
    """A row of table ``gaps``: an interval in which a stream lost data, or may have.

    Args:
        revision: rises with each change; a higher one replaces a lower one.
        detected_ns: when it was noticed, by our clock.
        gap_id: stays the same over revisions.
        from_id, to_id: missing ids, both inclusive; None where ids do not tell.
        from_ns, to_ns: exchange time around it; None while not known.
        cause: ``id-hole``, ``id-reset``, ``disconnect``, ``downtime``, ``stall``,
            ``rotation``, ``shed``, ``quarantine``, ``quota``, ``damage``,
            ``restored``, ``late-sink``, ``replay``, ``never-issued``,
            ``beyond-reach``, ``sequence``, ``delisted``, ``overlap``.
        state: ``open``, ``backfilling``, ``closed`` or ``unrecoverable``.
        recovered_count: ids found again so far.
        for_sink: name of the only sink it is about; empty for all.
    """

    stream: Subscription
    gap_id: int
    revision: int
    from_id: int | None
    to_id: int | None
    from_ns: int | None
    to_ns: int | None
    cause: str
    detected_ns: int
    state: str = OPEN
    recovered_count: int = 0
    for_sink: str = ""


@attrs.frozen
class Coverage:
    """A row of table ``coverage``: from here to there the stream was followed.

    Inside ``first_id..last_id`` every id is stored or in a gap. Keyed by stream
    and *started_ns*; a later one with the same key replaces it.

    Args:
        started_ns: exchange time of the first event.
        ended_ns: exchange time of the last event; None while it goes on.
        first_id, last_id: ids that it reaches over, both inclusive; None without ids.
    """

    stream: Subscription
    started_ns: int
    ended_ns: int | None
    first_id: int | None
    last_id: int | None


@attrs.frozen
class RawMessage:
    """A row of table ``raw_trades``: the venue's own text of one message.

    Args:
        text: as it was sent.
    """

    stream: Subscription
    received_ns: int
    text: str
