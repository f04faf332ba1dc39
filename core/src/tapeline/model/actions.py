"""What a session asks core to do, and what it tells core it has learned."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import attrs

from tapeline.model.requests import Request
from tapeline.model.subscriptions import Subscription


@attrs.frozen
class Keepalive:
    """How a socket is kept open and its death noticed.

    Args:
        interval_s: silence after which core sends a ping.
        timeout_s: silence after that ping which means the socket is dead.
        text: the text frame to send; None for protocol ping frames.
    """

    interval_s: float = 15.0
    timeout_s: float = 10.0
    text: str | None = None


@attrs.frozen
class Dial:
    """Where and how to open a socket.

    Args:
        keepalive: how the socket is kept open, and its death noticed.
        open_timeout_s: how long the handshake may take.
        url: ``ws://`` or ``wss://``.
        headers: of the handshake; never logged.
        max_bytes: largest frame accepted.
        compression: whether to offer permessage-deflate.
        costs: budget name → units, e.g. ``{"connects": 1}``.
        max_age_s: rotate before the socket is this old; None for no limit.
        private: whether an account is spoken of on it; its frames are not recorded.
    """

    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    keepalive: Keepalive = Keepalive()
    open_timeout_s: float = 10.0
    max_bytes: int = 16 * 2**20
    compression: bool = False
    costs: Mapping[str, int] = attrs.field(factory=dict)
    max_age_s: float | None = None
    private: bool = False


SUBSCRIBE = "subscribe"
UNSUBSCRIBE = "unsubscribe"
LOGIN = "login"
OTHER = "other"


@attrs.frozen
class Send:
    """A frame for the socket.

    Args:
        frame: text; never logged when *purpose* is ``login``.
        subscriptions: what it is for; core starts their ack deadline when the
            frame is really written.
        purpose: ``subscribe``, ``unsubscribe``, ``login`` or ``other``.
        costs: budget name → units of the connection's budgets.
    """

    frame: str = attrs.field(repr=False)
    subscriptions: Sequence[Subscription] = ()
    purpose: str = OTHER
    costs: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Fetch:
    """A REST request; its answer comes back through ``respond``.

    Args:
        request: what to send.
        tag: the session's own word for it, given back unchanged.
        costs: budget name → units.
        subscription: the stream it is for, if any.
        urgent: served before others waiting for the same budget.
    """

    request: Request
    tag: str = ""
    costs: Mapping[str, int] = attrs.field(factory=dict)
    subscription: Subscription | None = None
    urgent: bool = False


@attrs.frozen
class Rotate:
    """Open a replacement socket, overlap, then close this one.

    Args:
        reason: for the log.
        deadline_s: when the venue will close this one; None if it did not say.
    """

    reason: str
    deadline_s: float | None = None


Action = Send | Fetch | Rotate


@attrs.frozen
class Acked:
    """The venue confirmed a subscribe, or an unsubscribe (``active=False``).

    Args:
        active: False when it is the end of the stream that is confirmed.
    """

    subscription: Subscription
    active: bool = True


@attrs.frozen
class Rejected:
    """The venue refused a stream; *subscription* None when it did not say which.

    Args:
        code: the venue's code as text.
        reason: the venue's words, for people.
        permanent: False when asking again later may help (rate limits, busy).
    """

    subscription: Subscription | None
    code: str
    reason: str
    permanent: bool = True


@attrs.frozen
class LoggedIn:
    """A private session may subscribe now."""


@attrs.frozen
class Closing:
    """The venue will close this socket in *deadline_s* seconds.

    Args:
        deadline_s: None when the venue does not say.
    """

    deadline_s: float | None
    reason: str = ""


@attrs.frozen
class Malformed:
    """A frame, or an item of one, that could not be used.

    Args:
        reason: a short stable word, e.g. ``json``, ``price``, ``unknown-channel``.
        sample: the beginning of the text; core keeps a bounded number of them.
        subscription: the stream it was for, when that is known.
        first_id, last_id: identity of what was lost, when that is known.
    """

    reason: str
    sample: str = attrs.field(repr=False)
    subscription: Subscription | None = None
    first_id: int | None = None
    last_id: int | None = None


@attrs.frozen
class Missed:
    """Messages of a stream were lost on the way, and no ids tell which.

    For venues that number their messages. A gap with cause ``sequence`` is recorded
    from the last event to the next one; a book is resynced.

    Args:
        reason: a short stable word, e.g. ``sequence``.
    """

    subscription: Subscription
    reason: str = "sequence"


Reply = Acked | Rejected | LoggedIn | Closing | Malformed | Missed


class Recovery(enum.Enum):
    """What a session says about the end of its socket."""

    RETRY = "retry"
    """Nothing is wrong with us: dial again, with growing pauses."""
    BACK_OFF = "back off"
    """The venue is overloaded or wants less: dial again after a longer pause."""
    BLOCKED = "blocked"
    """This address is shut out for now: wait at least a minute before the next dial."""
    FATAL = "fatal"
    """Dialing again cannot help (key, region): the stream's collector has failed."""


@attrs.frozen
class Tick:
    """What a session wants done now, and when it wants to be asked again.

    Args:
        actions: to do now.
        wake_at_ns: monotonic nanoseconds; None for "not before something happens".
    """

    actions: Sequence[Action] = ()
    wake_at_ns: int | None = None


class OutcomeKind(enum.Enum):
    """Classes of REST answers."""

    OK = "ok"
    """The answer can be read."""
    RETRY = "retry"
    """A passing fault of the venue: ask again."""
    LIMITED = "limited"
    """Too many requests: ask again after *wait_s*."""
    BANNED = "banned"
    """The address is shut out: nothing is sent to the venue for *wait_s*."""
    AUTH = "auth"
    """The key is refused: asking again cannot help."""
    FATAL = "fatal"
    """The request is refused for good: asking again cannot help."""


@attrs.frozen
class Outcome:
    """What a REST answer means.

    Args:
        kind: what core does about it.
        wait_s: for ``limited`` and ``banned``: how long to stay away.
        used: budget name → units that the venue says are used by now.
        reason: the venue's code or words.
    """

    kind: OutcomeKind
    wait_s: float | None = None
    used: Mapping[str, int] = attrs.field(factory=dict)
    reason: str = ""


@attrs.frozen
class Budget:
    """A limit of the venue that core keeps.

    Args:
        name: what costs refer to, e.g. ``connects`` or ``rest.history-trades``.
        limit: units per window, as the venue publishes them.
        window_s: length of the rolling window.
        scope: ``ip`` (shared by all), ``connection`` (each socket has its own) or
            ``key`` (shared by all with one API key).
        share: the part of the limit that core lets itself use.
    """

    name: str
    limit: int
    window_s: float
    scope: str = "ip"
    share: float = 0.9


@attrs.frozen
class Route:
    """Which sockets can carry a stream, and what it costs there.

    Args:
        name: socket class, e.g. ``public``; streams share sockets per name.
        capacity: cost that one socket takes.
        cost: of this stream.
        private: True when the session logs in.
    """

    name: str
    capacity: int = 100
    cost: int = 1
    private: bool = False
