"""How a link and its parts are, as read-only values; JSON-ready."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tapeline.model import SessionHealth, Subscription, SubscriptionState
from tapeline.transport.budgets import BudgetStatistics


@attrs.frozen
class LinkChange:
    """Something that observers of a link are told.

    Args:
        kind: ``connected``, ``disconnected``, ``unreachable`` (no socket could be
            opened), ``replacing``, ``rejected``, ``failed`` or ``crashed``.
        socket: number of the line it happened on.
        detail: a sentence.
        copy: 1, or 2 for the second of two lines that carry the same streams.
    """

    kind: str
    socket: int
    detail: str
    wall_ns: int
    copy: int = 1


@attrs.frozen
class SubscriptionStatus:
    """How one wanted stream is.

    Args:
        socket: number of the line that carries it.
        last_message_ns: monotonic; None when there was none.
        age_s: seconds since then.
        events: since the link was made, over all sockets.
        reason: why it is rejected; empty otherwise.
    """

    subscription: Subscription
    state: SubscriptionState
    socket: int
    last_message_ns: int | None
    age_s: float | None
    events: int
    reason: str = ""

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        subscription = self.subscription
        return {
            "subscription": str(subscription),
            "market": subscription.market,
            "symbol": subscription.symbol,
            "data_type": subscription.data_type,
            "channel": subscription.channel,
            "timeframe": subscription.timeframe,
            "state": self.state.value,
            "socket": self.socket,
            "age_s": self.age_s,
            "events": self.events,
            "reason": self.reason,
        }


@attrs.frozen
class SocketStatus:
    """How one line is.

    Args:
        socket: number of the line; stays the same over reconnects.
        connection: number of its present connection; None between two.
        state: ``idle``, ``dialing``, ``open``, ``backing-off``, ``failed``, ``closed``.
        age_s: of the present connection.
        dial_in_s: seconds to the next dial; None when none is planned.
        attempts: failures in a row, since data last came.
        budgets: of the present connection alone.
        copy: 1, or 2 for the second of two lines that carry the same streams.
    """

    socket: int
    route: str
    connection: int | None
    state: str
    age_s: float | None
    subscriptions: int
    dial_in_s: float | None
    attempts: int
    last_error: str
    failed: str
    queued_frames: int
    session: SessionHealth | None
    budgets: Sequence[BudgetStatistics]
    counters: dict[str, object]
    copy: int = 1

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        shown = attrs.asdict(self, recurse=False)
        shown["budgets"] = [budget.as_dict() for budget in self.budgets]
        session = self.session
        shown["session"] = session and {
            "ok": session.ok,
            "issues": list(session.issues),
            "counters": dict(session.counters),
        }
        return shown


@attrs.frozen
class LinkPulse:
    """Whether a link does what it should; see ``LinkStatus``.

    Args:
        frames: received since the link was made.
    """

    failed: str
    last_error: str
    attempts_in_a_row: int
    frames: int


@attrs.frozen
class LinkStatus:
    """How a link is.

    Args:
        state: ``stopped``, ``failed`` (some socket is given up), ``backing-off``,
            ``connecting`` or ``open`` (every socket is).
        failed: why it failed; empty otherwise.
        attempts_in_a_row: of the socket that is worst off; before there is one, of
            the requests for the venue's instruments.
        reconnects: sockets opened again, over all lines.
        banned_for_s: seconds until the venue lets us ask again.
    """

    exchange: str
    name: str
    state: str
    failed: str
    last_error: str
    attempts_in_a_row: int
    reconnects: int
    banned_for_s: float
    venue_offset_ns: int
    sockets: Sequence[SocketStatus]
    subscriptions: Sequence[SubscriptionStatus]
    budgets: Sequence[BudgetStatistics]
    rest: dict[str, int]

    @property
    def frames(self) -> int:
        """Frames received since the link was made."""
        return sum(int(str(one.counters["frames"])) for one in self.sockets)

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        shown = attrs.asdict(self, recurse=False)
        for name in ("sockets", "subscriptions", "budgets"):
            shown[name] = [part.as_dict() for part in getattr(self, name)]
        return shown
