"""What a link lends to all of its sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from tapeline.clock import Now
from tapeline.hookspecs import ExchangeAdapter, ExchangeSession, Instruments, Parsed
from tapeline.model import (
    Action,
    Dial,
    Fetch,
    Recovery,
    Response,
    SessionHealth,
    Subscription,
    Tick,
)
from tapeline.seams import Seams
from tapeline.transport.inbox import Inbox
from tapeline.transport.rest import RestClient


class BoundLike(Protocol):
    """A session with each hook as a plain callable; bound once per connection."""

    @property
    def connect(self) -> Callable[[Now, Response | None], Dial | Fetch]:
        """``ExchangeSession.connect``."""

    @property
    def subscribe(self) -> Callable[[Sequence[Subscription], Now], Sequence[Action]]:
        """``ExchangeSession.subscribe``."""

    @property
    def parse(self) -> Callable[[str | bytes, int], Parsed]:
        """``ExchangeSession.parse``."""

    @property
    def health(self) -> Callable[[Now], SessionHealth]:
        """``ExchangeSession.health``."""

    @property
    def opened(self) -> Callable[[Now], Sequence[Action]]:
        """``ExchangeSession.opened``."""

    @property
    def unsubscribe(self) -> Callable[[Sequence[Subscription], Now], Sequence[Action]]:
        """``ExchangeSession.unsubscribe``."""

    @property
    def resync(self) -> Callable[[Subscription, Now], Sequence[Action]]:
        """``ExchangeSession.resync``."""

    @property
    def respond(self) -> Callable[[Response, Now], Parsed]:
        """``ExchangeSession.respond``."""

    @property
    def tick(self) -> Callable[[Now], Tick]:
        """``ExchangeSession.tick``."""

    @property
    def closed(self) -> Callable[[int | None, str], Recovery]:
        """``ExchangeSession.closed``."""


Bind = Callable[[ExchangeSession], BoundLike]


@attrs.frozen
class LinkSettings:
    """Bounds and delays of one link.

    Args:
        first_delay_s: bound of the first delay after a socket ended.
        slowest_delay_s: bound of all delays.
        ack_timeout_s: how long a venue may take to confirm a written frame.
        max_misses: unanswered frames of one stream after which a socket is replaced.
        login_timeout_s: how long a private session may take to log in.
        overlap_s: how long a rotation waits for first data on the new socket.
        longest_overlap_s: how long, when the old socket has data that the new one
            does not have; another one is dialed then.
        max_errors_in_a_row: failures of ``parse`` after which a socket is replaced.
        max_fetches: REST requests of one session at the same time.
        ping_interval_s: instead of the adapter's; None leaves it.
        redundancy: sockets that carry the same streams: 1 or 2.
    """

    first_delay_s: float = 5.0
    slowest_delay_s: float = 60.0
    ack_timeout_s: float = 10.0
    max_misses: int = 3
    login_timeout_s: float = 10.0
    overlap_s: float = 10.0
    longest_overlap_s: float = 60.0
    max_errors_in_a_row: int = 20
    max_fetches: int = 256
    ping_interval_s: float | None = None
    redundancy: int = 1


@attrs.frozen(eq=False)
class Wiring:
    """Everything that a connection needs and does not own."""

    adapter: ExchangeAdapter
    config: Any
    instruments: Instruments
    bind: Bind
    seams: Seams
    inbox: Inbox
    rest: RestClient
    settings: LinkSettings
