"""Playing recorded frames to a session, without a socket and without a clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import attrs

from tapeline.clock import Now
from tapeline.hookspecs import ExchangeSession, SessionBase
from tapeline.model import (
    Dial,
    Fetch,
    MarketDataPoint,
    Response,
    Rotate,
    Send,
    Subscription,
)
from tapeline.plugins.binding import SESSION_HOOKS, BoundSession, bind_session
from tapeline.testing.conformance.subjects import ExchangeUnderTest, Recording
from tapeline.testing.conformance.verdicts import RuleBroken

RECEIVED_NS = 1_700_000_000_123_456_789
"""When every frame of a play is received."""

_MOST_FETCHES = 20
_MOST_CONNECT_ROUNDS = 5


def at(seconds: float = 0.0) -> Now:
    """A moment *seconds* after the beginning of a play."""
    ns = round(seconds * 1e9)
    return Now(RECEIVED_NS + ns, RECEIVED_NS + ns, ns)


@attrs.define
class Play:
    """One session that was opened and subscribed as core does it.

    Args:
        bound: its hooks.
        dial: what ``connect`` gave.
        sent: everything it wanted to be sent.
        said: what ``respond`` and the frames gave, actions left out.
    """

    subject: ExchangeUnderTest
    recording: Recording
    bound: BoundSession
    dial: Dial
    sent: list[Send] = attrs.field(factory=list)
    unanswered: list[Fetch] = attrs.field(factory=list)
    said: list[Any] = attrs.field(factory=list)
    _fetches: int = 0

    def take(self, items: Iterable[Any], now: Now) -> list[Any]:
        """Do what is asked among *items*; the rest, with what REST answers gave."""
        told: list[Any] = []
        for item in items:
            if isinstance(item, Send):
                self.sent.append(item)
            elif isinstance(item, Fetch):
                told += self._fetch(item, now)
            elif not isinstance(item, Rotate):
                told.append(item)
        self.said += told
        return told

    def feed(self, frame: str | bytes) -> list[Any]:
        """What the session makes of *frame*: events and replies."""
        return self.take(self.bound.parse(frame, RECEIVED_NS), at())

    def subscribe(self, wanted: Sequence[Subscription]) -> list[Send]:
        """Ask for *wanted*; the frames that are to be sent for it."""
        before = len(self.sent)
        self.take(self.bound.subscribe(wanted, at()), at())
        return self.sent[before:]

    def acknowledge(self, sends: Iterable[Send]) -> list[Any]:
        """Let the venue accept everything that *sends* ask for."""
        answers = self.subject.answers
        if answers is None:
            return []
        return [
            reply
            for send in sends
            if send.subscriptions
            for frame in answers(send, ())
            for reply in self.feed(frame)
        ]

    def _fetch(self, fetch: Fetch, now: Now) -> list[Any]:
        body = self.recording.responses.get(urlsplit(fetch.request.url).path)
        self._fetches += 1
        if body is None or self._fetches > _MOST_FETCHES:
            self.unanswered.append(fetch)
            return []
        response = answer_to(fetch, body, now)
        return self.take(self.bound.respond(response, now), now)


def answer_to(
    fetch: Fetch, body: bytes, now: Now, status: int = 200, **headers: str
) -> Response:
    """The venue's answer to *fetch*."""
    return Response(fetch.request, status, headers, body, now.wall_ns, fetch.tag)


def begin(
    subject: ExchangeUnderTest, recording: Recording, *, acknowledged: bool = True
) -> Play:
    """A session of *recording*'s socket, subscribed to all that it carried."""
    play = connect(subject, recording)
    sends = play.subscribe(recording.subscriptions)
    if acknowledged:
        play.acknowledge(sends)
    return play


def connect(subject: ExchangeUnderTest, recording: Recording) -> Play:
    """A session of *recording*'s socket that is open, with nothing subscribed.

    Raises:
        RuleBroken: ``connect`` gives neither an address nor a request.
    """
    adapter = subject.adapter
    config = subject.config_of(recording.config)
    first = recording.subscriptions[0]
    instrument = subject.instruments.get((first.market, first.symbol))
    route = adapter.route(config, instrument, first)
    bound = _bind(adapter.session(config, subject.instruments, route))
    dial = _address(recording, bound)
    play = Play(subject, recording, bound, dial)
    play.take(bound.opened(at()), at())
    return play


_DEFAULTS = SessionBase()
_attributes: WeakKeyDictionary[type, dict[str, str]] = WeakKeyDictionary()


def _bind(session: ExchangeSession) -> BoundSession:
    """*session*, bound as core does it; a class is checked once.

    A kit makes thousands of sessions, and registering is what costs.
    """
    own = _attributes.get(type(session))
    if own is None:
        bound = bind_session(session)
        own = _attributes[type(session)] = {
            hook: getattr(bound, hook).__name__
            for hook in SESSION_HOOKS
            if getattr(getattr(bound, hook), "__self__", None) is session
        }
    calls: dict[str, Any] = {
        hook: getattr(session, own[hook]) if hook in own else getattr(_DEFAULTS, hook)
        for hook in SESSION_HOOKS
    }
    return BoundSession(session=session, **calls)


def _address(recording: Recording, bound: BoundSession) -> Dial:
    prior: Response | None = None
    for _ in range(_MOST_CONNECT_ROUNDS):
        given: object = bound.connect(at(), prior)
        if isinstance(given, Dial):
            return given
        if not isinstance(given, Fetch):
            raise RuleBroken(f"connect gave {given!r}, neither a Dial nor a Fetch")
        body = recording.responses.get(urlsplit(given.request.url).path, b"{}")
        prior = answer_to(given, body, at())
    raise RuleBroken(f"connect asked {_MOST_CONNECT_ROUNDS} times before it dialed")


def play_all(subject: ExchangeUnderTest, recording: Recording) -> list[list[Any]]:
    """What each frame of *recording* gives, on one session."""
    play = begin(subject, recording)
    return [play.feed(frame) for frame in recording.frames]


def events_of(items: Iterable[Any]) -> list[MarketDataPoint]:
    """The events among *items*."""
    return [item for item in items if isinstance(item, MarketDataPoint)]
