"""Cases about the conversation: acknowledgments, keepalive, time, REST answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from tapeline.model import (
    Acked,
    Fetch,
    Outcome,
    OutcomeKind,
    Recovery,
    Rejected,
    Request,
    Response,
    SessionHealth,
    Subscription,
)
from tapeline.testing.conformance.cases import Tier, case
from tapeline.testing.conformance.damage import FOREIGN
from tapeline.testing.conformance.play import (
    RECEIVED_NS,
    Play,
    at,
    begin,
    connect,
    events_of,
)
from tapeline.testing.conformance.subjects import (
    SECRET_TEXT,
    ExchangeUnderTest,
    Recording,
)
from tapeline.testing.conformance.verdicts import NotApplicable, NotShown, RuleBroken

_HOUR_S = 3_600.0
_MOST_TICKS = 20_000
_MOST_SENDS = 1_000
_BODIES: Sequence[bytes] = (
    *(frame if isinstance(frame, bytes) else frame.encode() for frame in FOREIGN[:19]),
    b'{"code":"x","msg":1}',
    b'{"code":-1003,"msg":[]}',
    b'{"data":[[null]]}',
)


@case("EX-ACK-001", "what the venue accepts is acked, once, and only when it did")
def acknowledged(subject: ExchangeUnderTest) -> None:
    """All streams of a recording are subscribed. Before the venue's answer nothing
    may be called acked; after it, each stream once, and none is refused.
    """
    for recording, play in _asked(subject):
        early = [item for item in play.said if isinstance(item, Acked)]
        if early:
            raise RuleBroken(f"{early[0]!r} before the venue has answered")
        asked = [s for send in play.sent for s in send.subscriptions]
        if sorted(map(str, asked)) != sorted(map(str, recording.subscriptions)):
            raise RuleBroken(
                f"{recording.name}: the frames name {sorted(map(str, asked))} as what "
                f"they are for, not {sorted(map(str, recording.subscriptions))}"
            )
        replies = _answer(subject, play, ())
        _expect_acked(replies, recording.subscriptions)
        if any(isinstance(reply, Rejected) for reply in replies):
            raise RuleBroken("a stream that the venue accepted is called refused")


@case("EX-ACK-002", "what the venue refuses is rejected, with the venue's code")
def rejected(subject: ExchangeUnderTest) -> None:
    """The venue refuses everything. Nothing may be called acked; there must be a
    ``Rejected`` with a code, for each stream or for none that can be told.
    """
    for recording, play in _asked(subject):
        replies = _answer(subject, play, recording.subscriptions)
        if any(isinstance(reply, Acked) for reply in replies):
            raise RuleBroken(f"{recording.name}: a stream that was refused is acked")
        refusals = [reply for reply in replies if isinstance(reply, Rejected)]
        named = {refusal.subscription for refusal in refusals}
        if not refusals or (None not in named and named != {*recording.subscriptions}):
            raise RuleBroken(
                f"{recording.name}: {len(refusals)} of {len(recording.subscriptions)} "
                "refused streams are rejected"
            )
        if not all(each.code for each in refusals):
            raise RuleBroken(f"{recording.name}: a Rejected without the venue's code")


@case("EX-ACK-003", "where the venue accepts a part, exactly that part is acked")
def partly_acknowledged(subject: ExchangeUnderTest) -> None:
    """The venue refuses the first stream and accepts the others, as far as its
    protocol can say so. A stream is never both, and the refused one never acked.
    """
    shown = False
    for recording, play in _asked(subject):
        if len(recording.subscriptions) < 2:
            continue
        shown = True
        first = recording.subscriptions[0]
        replies = _answer(subject, play, (first,))
        acked = {reply.subscription for reply in replies if isinstance(reply, Acked)}
        refused = {r.subscription for r in replies if isinstance(r, Rejected)}
        if first in acked:
            raise RuleBroken(f"{recording.name}: {first} was refused and is acked")
        if not refused:
            raise RuleBroken(f"{recording.name}: {first} was refused; nothing says so")
        if acked & refused:
            raise RuleBroken(f"{recording.name}: a stream is both acked and rejected")
        unheard = {*recording.subscriptions} - acked - refused
        if unheard and None not in refused:
            raise RuleBroken(f"{recording.name}: nothing is said of {unheard.pop()}")
    if not shown:
        raise NotShown("a Recording with two subscriptions, to accept a part of them")


@case("EX-DIAL-001", "a session says where to dial and how death is noticed")
def dials(subject: ExchangeUnderTest) -> None:
    """The address is ``ws://`` or ``wss://``; keepalive, time-outs and the largest
    frame are positive; what it costs are budgets that the adapter has.
    """
    for recording in subject.recordings:
        config = subject.config_of(recording.config)
        names = {budget.name for budget in subject.adapter.budgets(config)}
        dial = connect(subject, recording).dial
        if not dial.url.startswith(("ws://", "wss://")):
            raise RuleBroken(f"{recording.name}: the address {dial.url[:40]!r}")
        alive = dial.keepalive
        numbers = (alive.interval_s, alive.timeout_s, dial.open_timeout_s)
        if min(numbers) <= 0 or dial.max_bytes <= 0:
            raise RuleBroken(f"{recording.name}: a time or size that is not positive")
        play = begin(subject, recording)
        for costs in (dial.costs, *(send.costs for send in play.sent)):
            unknown = set(costs) - names
            if unknown:
                raise RuleBroken(
                    f"{recording.name}: it costs {unknown.pop()!r}, which is no budget "
                    f"of the adapter ({', '.join(sorted(names)) or 'it has none'})"
                )


@case(
    "EX-TICK-001", "a session asks to be woken in the future, and is quiet in between"
)
def ticks(subject: ExchangeUnderTest) -> None:
    """An hour passes on a fake clock without any data. The session is ticked when it
    asked for, and each second otherwise; ``wake_at_ns`` must lie ahead, and what it
    sends must stay bounded: core keeps the socket alive by itself.
    """
    for recording in subject.recordings:
        play = begin(subject, recording)
        now_s, sent = 0.0, 0
        for _ in range(_MOST_TICKS):
            tick = play.bound.tick(at(now_s))
            actions = list(tick.actions)
            sent += len(actions)
            play.take(actions, at(now_s))
            wake_ns = tick.wake_at_ns
            now_ns = at(now_s).monotonic_ns
            if wake_ns is not None and wake_ns <= now_ns:
                raise RuleBroken(
                    f"{recording.name}: at {now_ns} it asks to be woken at {wake_ns}, "
                    "which is not after it"
                )
            step_s = 1.0 if wake_ns is None else min(1.0, (wake_ns - now_ns) / 1e9)
            now_s += max(step_s, 1e-3)
            if now_s >= _HOUR_S:
                break
        else:
            raise RuleBroken(
                f"{recording.name}: it is woken {_MOST_TICKS} times an hour"
            )
        if sent > _HOUR_S:
            raise RuleBroken(f"{recording.name}: {sent} actions in an hour of silence")


@case("EX-CLOSED-001", "whatever ends a socket, a session says how to go on")
def closes(subject: ExchangeUnderTest) -> None:
    """``closed`` gets every kind of code, with and without words, and must give a
    ``Recovery``; so must ``refused`` for every status of a handshake.
    """
    for recording in subject.recordings:
        for code in (None, 1000, 1001, 1006, 1008, 1011, 1013, 4000, 4999):
            for reason in ("", "going away", "\x00" * 100):
                given: object = begin(subject, recording).bound.closed(code, reason)
                if not isinstance(given, Recovery):
                    raise RuleBroken(f"closed({code}) gives {given!r}, no Recovery")
    for status in (301, 400, 401, 403, 404, 418, 429, 451, 500, 503):
        for body in ("", "{", "<html>", '{"code":0}'):
            answer: object = subject.adapter.refused(status, body)
            if not isinstance(answer, Recovery):
                raise RuleBroken(f"refused({status}) gives {answer!r}, no Recovery")


@case("EX-REST-001", "classify takes any answer, and an error is never called ok")
def classifies(subject: ExchangeUnderTest) -> None:
    """Every status with bodies of every kind. ``classify`` must not raise, and 4xx
    and 5xx are never ``ok``, whatever the body says.
    """
    request = Request("GET", "https://venue.test/any")
    for status in (200, 400, 401, 403, 404, 418, 429, 500, 502, 503, 599):
        for body in _BODIES:
            response = Response(request, status, {}, body, RECEIVED_NS)
            try:
                outcome: object = subject.adapter.classify(response)
            except Exception as error:  # supervisor: the rule is that nothing is raised
                raise RuleBroken(
                    f"status {status} with {body[:30]!r} raises {type(error).__name__}"
                ) from error
            if not isinstance(outcome, Outcome):
                raise RuleBroken(f"status {status} gives {outcome!r}, no Outcome")
            if status >= 400 and outcome.kind is OutcomeKind.OK:
                raise RuleBroken(f"status {status} with {body[:30]!r} is called ok")


@case("EX-REST-002", "an answer that a session did not ask for raises nothing")
def responds(subject: ExchangeUnderTest) -> None:
    """Each request that a session makes is answered with every kind of body but the
    right one. Nothing may raise, and no event may come of it.
    """
    for recording in subject.recordings:
        fetches = [*_fetches(subject, recording), Fetch(Request("GET", "https://x/y"))]
        for fetch in fetches:
            for body in _BODIES:
                play = begin(subject, recording)
                response = Response(
                    fetch.request, 200, {}, body, RECEIVED_NS, fetch.tag
                )
                try:
                    given = play.bound.respond(response, at())
                except Exception as error:  # supervisor: nothing may be raised
                    raise RuleBroken(
                        f"the answer {body[:30]!r} raises {type(error).__name__}: "
                        f"{str(error)[:100]}"
                    ) from error
                if events_of(given):
                    raise RuleBroken(f"the answer {body[:30]!r} gives an event")


@case("EX-REPLAY-001", "recorded_subscriptions takes any frame")
def reads_recordings(subject: ExchangeUnderTest) -> None:
    """A recording may hold anything. Foreign and recorded frames must give
    subscriptions or nothing, and never raise.
    """
    config = subject.config_of()
    own = (frame for recording in subject.recordings for frame in recording.frames)
    for frame in (*FOREIGN, *own):
        text = frame.decode("latin-1") if isinstance(frame, bytes) else frame
        try:
            found = subject.adapter.recorded_subscriptions(config, text)
        except Exception as error:  # supervisor: nothing may be raised
            raise RuleBroken(
                f"the frame {text[:30]!r} raises {type(error).__name__}"
            ) from error
        if not all(isinstance(each, Subscription) for each in found):
            raise RuleBroken(f"the frame {text[:30]!r} gives no subscriptions")


@case("EX-SECRET-001", "no secret is in any repr or in an address that is logged")
def keeps_secrets(subject: ExchangeUnderTest) -> None:
    """The options of ``secrets`` and a session made with them are printed, with all
    they give. The text of the secrets must not be in it.
    """
    config = subject.secrets
    if config is None:
        raise NotApplicable("no options with secrets were given")
    shown: list[object] = [config, subject.adapter]
    for recording in subject.recordings:
        first = recording.subscriptions[0]
        route = subject.adapter.route(config, None, first)
        session = subject.adapter.session(config, subject.instruments, route)
        shown += [session, route, session.connect(at(), None), session.opened(at())]
        shown += [
            session.health(at()),
            session.subscribe(recording.subscriptions, at()),
        ]
    for each in shown:
        for text in (repr(each), str(each)):
            if SECRET_TEXT in text:
                raise RuleBroken(
                    f"the repr of {type(each).__name__} has a secret in it"
                )


@case("EX-HEALTH-001", "health is cheap and counts upward", tier=Tier.SILVER)
def healthy(subject: ExchangeUnderTest) -> None:
    """Health is read after every frame: a ``SessionHealth`` whose counters are whole
    numbers that never fall, whose issues are sentences, and that says ``ok`` while
    nothing is wrong.
    """
    for recording in subject.recordings:
        play = begin(subject, recording)
        before: dict[str, int] = {}
        for frame in ("", *recording.frames):
            if frame:
                play.feed(frame)
            health: object = play.bound.health(at(1.0))
            if not isinstance(health, SessionHealth):
                raise RuleBroken(f"health gives {health!r}, no SessionHealth")
            if not health.ok or health.issues:
                raise RuleBroken(f"with good frames alone it has {health.issues!r}")
            for name, count in health.counters.items():
                if type(count) is not int or count < before.get(name, 0):
                    raise RuleBroken(f"counter {name!r} goes to {count!r}")
            before = dict(health.counters)


@case(
    "EX-HEALTH-002", "what could not be used is told, not swallowed", tier=Tier.SILVER
)
def tells_malformed(subject: ExchangeUnderTest) -> None:
    """A frame that was cut gives a ``Malformed``: operators count these, and core
    keeps samples of them.
    """
    for recording in subject.recordings:
        play = begin(subject, recording)
        frame = recording.frames[0]
        if not play.feed(frame[: len(frame) // 2]):
            raise RuleBroken(f"{recording.name}: half a frame gives nothing at all")


def _asked(subject: ExchangeUnderTest) -> Iterable[tuple[Recording, Play]]:
    if subject.answers is None:
        raise NotShown("how the venue answers; give ExchangeUnderTest its answers")
    for recording in subject.recordings:
        play = connect(subject, recording)
        sends = play.subscribe(recording.subscriptions)
        if any(send.subscriptions for send in sends):
            yield recording, play


def _answer(
    subject: ExchangeUnderTest, play: Play, refused: Collection[Subscription]
) -> list[Any]:
    assert subject.answers is not None
    replies: list[Any] = []
    # An answer may make the session send more, which is answered in its turn.
    for send in play.sent:
        if send.subscriptions and len(play.sent) <= _MOST_SENDS:
            of_it = [one for one in refused if one in send.subscriptions]
            for frame in subject.answers(send, of_it):
                replies += play.feed(frame)
    return replies


def _expect_acked(replies: Iterable[Any], wanted: Collection[Subscription]) -> None:
    acked = [r.subscription for r in replies if isinstance(r, Acked) and r.active]
    for subscription in wanted:
        count = acked.count(subscription)
        if count != 1:
            raise RuleBroken(f"{subscription} is acked {count} times, not once")
    for subscription in acked:
        if subscription not in wanted:
            raise RuleBroken(f"{subscription} is acked and was not asked for")


def _fetches(subject: ExchangeUnderTest, recording: Recording) -> list[Fetch]:
    blind = ExchangeUnderTest(
        subject.adapter,
        subject.recordings,
        subject.config,
        subject.instruments,
        subject.answers,
    )
    unfed = Recording(
        recording.name,
        recording.subscriptions,
        recording.frames,
        config=recording.config,
    )
    play = begin(blind, unfed)
    for frame in recording.frames[:3]:
        play.feed(frame)
    for subscription in recording.subscriptions:
        play.take(play.bound.resync(subscription, at(10.0)), at(10.0))
    return play.unanswered[:3]
