"""Cases about ``parse``: what recorded frames mean, whole, cut and damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from tapeline.errors import ContractError
from tapeline.model import MarketDataPoint, Subscription
from tapeline.plugins.binding import bind_session
from tapeline.testing.conformance.cases import case
from tapeline.testing.conformance.damage import (
    FOREIGN,
    cuts,
    with_bad_numbers,
    with_other_types,
)
from tapeline.testing.conformance.events import invented, problem_with
from tapeline.testing.conformance.play import (
    RECEIVED_NS,
    Play,
    at,
    begin,
    events_of,
    play_all,
)
from tapeline.testing.conformance.subjects import ExchangeUnderTest, Recording
from tapeline.testing.conformance.tripwire import tripwire
from tapeline.testing.conformance.verdicts import NotShown, RuleBroken

_MOST_STARTS = 12
_MOST_FRAMES = 8


@case(
    "EX-HOOKS-001", "a session has the mandatory hooks, with exactly their parameters"
)
def hooks(subject: ExchangeUnderTest) -> None:
    """A session of every recording's route is bound as core binds it: misspelt,
    missing and unmarked hooks, and parameters of other names or in another order,
    are found once here instead of on the first reconnect.
    """
    for recording in _recordings(subject):
        first = recording.subscriptions[0]
        config = subject.config_of(recording.config)
        instrument = subject.instruments.get((first.market, first.symbol))
        route = subject.adapter.route(config, instrument, first)
        try:
            bind_session(subject.adapter.session(config, subject.instruments, route))
        except ContractError as error:
            raise RuleBroken(str(error)) from error


@case("EX-GOLDEN-001", "recorded frames give exactly the golden events, in order")
def golden_events(subject: ExchangeUnderTest) -> None:
    """Every recording with golden events is played to a fresh session, and each
    event is compared field by field. Only ``received_ns`` is left aside.
    """
    shown = False
    for recording in _recordings(subject):
        if recording.events is None:
            continue
        shown = True
        played = begin(subject, recording)
        found = [e for f in recording.frames for e in events_of(played.feed(f))]
        for number, expected in enumerate(recording.events):
            if number == len(found):
                raise RuleBroken(
                    f"{recording.name}: {len(found)} events instead of "
                    f"{len(recording.events)}; the first missing is {expected!r}"
                )
            if found[number] != _received(expected):
                raise RuleBroken(
                    f"{recording.name}: event {number} "
                    f"{_other_fields(found[number], expected)}"
                )
        if len(found) > len(recording.events):
            extra = found[len(recording.events)]
            raise RuleBroken(f"{recording.name}: one event too many: {extra!r}")
    if not shown:
        raise NotShown("golden events; give at least one Recording its events")


@case("EX-EVENTS-001", "every event is well formed and of a stream that was subscribed")
def well_formed(subject: ExchangeUnderTest) -> None:
    """Exact finite numbers, ids that fit 64 bits, ``buy`` or ``sell``, times in
    nanoseconds UTC, ``received_ns`` as it was given, and the identity of one of the
    wanted streams. Every subscribed stream must show at least one event.
    """
    for recording in _recordings(subject):
        seen: set[Subscription] = set()
        for items in play_all(subject, recording):
            for event in events_of(items):
                _check(event, recording)
                seen.add(event.stream)  # type: ignore[attr-defined]
        for wanted in recording.subscriptions:
            if wanted not in seen:
                raise RuleBroken(
                    f"{recording.name}: no frame gives an event of {wanted}"
                )


@case("EX-BYTES-001", "a frame means the same as text and as bytes, and is not kept")
def bytes_and_text(subject: ExchangeUnderTest) -> None:
    """Core hands over whatever the socket gives; ``picows`` gives bytes. Each frame
    is parsed as both, on two sessions.
    """
    for recording in _recordings(subject):
        as_text, as_bytes = begin(subject, recording), begin(subject, recording)
        for number, frame in enumerate(recording.frames):
            text, data = as_text.feed(frame), as_bytes.feed(frame.encode())
            if text != data:
                raise RuleBroken(
                    f"{recording.name}: frame {number} gives {text!r} as text and "
                    f"{data!r} as bytes"
                )


@case("EX-SAME-001", "the same frames give the same events and the same requests")
def deterministic(subject: ExchangeUnderTest) -> None:
    """Two sessions are played the same, one after the other; then two more, frame
    by frame in turn, so that state they might share would show.
    """
    for recording in _recordings(subject):
        first, second = begin(subject, recording), begin(subject, recording)
        for frame in recording.frames:
            first.feed(frame)
        for frame in recording.frames:
            second.feed(frame)
        third, fourth = begin(subject, recording), begin(subject, recording)
        for frame in recording.frames:
            third.feed(frame)
            fourth.feed(frame)
        for other in (second, third, fourth):
            if other.said != first.said:
                raise RuleBroken(f"{recording.name}: {_difference(first, other)}")
            if other.sent != first.sent:
                raise RuleBroken(
                    f"{recording.name}: one session sends other frames than another"
                )


@case(
    "EX-PREFIX-001", "a session can end after any frame, and its past does not change"
)
def prefixes(subject: ExchangeUnderTest) -> None:
    """After every prefix of a recording a session is asked for its health, ticked
    and closed. Nothing may raise, and what it gave before may not change.
    """
    for recording in _recordings(subject):
        whole = [repr(items) for items in play_all(subject, recording)]
        for end in _spread(len(recording.frames) + 1, _MOST_STARTS):
            play = begin(subject, recording)
            given = [play.feed(frame) for frame in recording.frames[:end]]
            with _not_raising(f"{recording.name}: after {end} frames"):
                play.bound.health(at(1.0))
                play.bound.tick(at(1.0))
                play.bound.closed(1006, "")
            for number, items in enumerate(given):
                if repr(items) != whole[number]:
                    raise RuleBroken(
                        f"{recording.name}: what frame {number} gave has changed "
                        f"after {end} frames"
                    )


@case("EX-PREFIX-002", "a session that misses the first frames raises nothing")
def suffixes(subject: ExchangeUnderTest) -> None:
    """Every suffix of a recording is played to a fresh session: after a reconnect
    nobody sees the beginning. Events must be well formed.
    """
    for recording in _recordings(subject):
        for start in _spread(len(recording.frames), _MOST_STARTS):
            play = begin(subject, recording)
            for number, frame in enumerate(recording.frames[start:], start):
                _feed(play, frame, f"frame {number} without those before {start}")


@case("EX-TRUNCATED-001", "a frame that was cut raises nothing and invents nothing")
def truncated(subject: ExchangeUnderTest) -> None:
    """Each frame is cut at places all over it. ``parse`` must not raise, and may
    give only events that the whole frame gives, too.
    """
    for play, frame, intact, where in _stages(subject):
        for cut in cuts(frame):
            found = _feed(play(), cut, f"{where}, cut after {len(cut)} characters")
            _blame_invented(found, intact, f"{where}, cut after {len(cut)} characters")


@case("EX-TYPES-001", "a value of another type raises nothing and invents nothing")
def other_types(subject: ExchangeUnderTest) -> None:
    """Each text, number and flag of each frame in turn becomes null, true, a list,
    an object or another text. An event may lose what the value said, but may not
    say anything else than before.
    """
    for play, frame, intact, where in _stages(subject):
        for change, damaged in with_other_types(frame):
            found = _feed(play(), damaged, f"{where} with {change}")
            if change.endswith("= 'x'"):
                # A text in place of a text may be a symbol, or the venue's own word.
                _blame_ill(found, where, change)
            else:
                _blame_invented(found, intact, f"{where} with {change}")


@case("EX-NUMBERS-001", "NaN, infinity and huge numbers raise nothing and never pass")
def bad_numbers(subject: ExchangeUnderTest) -> None:
    """Each number of each frame in turn becomes NaN, infinite, empty, 5,000 digits
    long or larger than 64 bits. No event may carry such a number on.
    """
    for play, frame, _, where in _stages(subject):
        for change, damaged in with_bad_numbers(frame):
            found = _feed(play(), damaged, f"{where} with {change}")
            _blame_ill(found, where, change)


@case("EX-FOREIGN-001", "a frame of no known kind raises nothing and gives no event")
def foreign(subject: ExchangeUnderTest) -> None:
    """Empty texts, other JSON, HTML, binary data and 100,000 brackets are given to
    a session; afterwards the recorded frames must still mean the same.
    """
    for recording in _recordings(subject):
        play = begin(subject, recording)
        for frame in FOREIGN:
            where = f"the frame {frame[:20]!r}"
            if events_of(_feed(play, frame, where)):
                raise RuleBroken(f"{recording.name}: {where} gives an event")
        after = [play.feed(frame) for frame in recording.frames]
        if after != play_all(subject, recording):
            raise RuleBroken(
                f"{recording.name}: foreign frames change what others mean"
            )


@case(
    "EX-PURE-001", "a session does no I/O, reads no clock and draws nothing at random"
)
def pure(subject: ExchangeUnderTest) -> None:
    """Every hook is called while all calls are watched: sockets, files, threads,
    clocks, ``sleep``, ``random`` and logging are forbidden. A session is given the
    time and returns what it wants done.
    """
    for recording in _recordings(subject):
        with tripwire() as tripped:
            play = begin(subject, recording)
            for frame in recording.frames:
                play.feed(frame)
            play.bound.health(at(1.0))
            play.take(play.bound.tick(at(60.0)).actions, at(60.0))
            for subscription in recording.subscriptions:
                play.take(play.bound.resync(subscription, at(61.0)), at(61.0))
            play.bound.unsubscribe(recording.subscriptions, at(62.0))
            play.bound.closed(1006, "")
        if tripped:
            raise RuleBroken(f"{recording.name}: it calls {', '.join(tripped)}")


def _recordings(subject: ExchangeUnderTest) -> Sequence[Recording]:
    if not subject.recordings:
        raise NotShown("recorded frames; give at least one Recording")
    return subject.recordings


def _received(event: MarketDataPoint) -> MarketDataPoint:
    if hasattr(event, "received_ns"):
        changed: MarketDataPoint = attrs.evolve(event, received_ns=RECEIVED_NS)  # type: ignore[misc]
        return changed
    return event


def _check(event: MarketDataPoint, recording: Recording) -> None:
    problem = problem_with(event, recording.subscriptions)
    if problem:
        raise RuleBroken(f"{recording.name}: {problem}")


def _other_fields(found: Any, expected: Any) -> str:
    """What *found* says otherwise than *expected*, field by field."""
    if type(found) is not type(expected) or not attrs.has(type(found)):
        return f"is {found!r} instead of {expected!r}"
    names = [field.name for field in attrs.fields(type(found))]
    return "has " + ", ".join(
        f"{name} {getattr(found, name)} instead of {getattr(expected, name)}"
        for name in names
        if name != "received_ns" and getattr(found, name) != getattr(expected, name)
    )


def _difference(first: Play, other: Play) -> str:
    for number, (one, two) in enumerate(zip(first.said, other.said, strict=False)):
        if one != two:
            return f"item {number} is {one!r} in one session and {two!r} in another"
    return f"{len(first.said)} items in one session and {len(other.said)} in another"


def _spread(count: int, most: int) -> Iterator[int]:
    """At most about *most* numbers of ``range(count)``, the last one among them."""
    if count:
        yield from range(0, count - 1, max(1, count // most))
        yield count - 1


def _stages(subject: ExchangeUnderTest) -> Iterator[tuple[Any, str, list[Any], str]]:
    """``(fresh play up to there, frame, its events, where)`` for chosen frames."""
    for recording in _recordings(subject):
        for number in _spread(len(recording.frames), _MOST_FRAMES):

            def play(recording: Recording = recording, number: int = number) -> Play:
                made = begin(subject, recording)
                for frame in recording.frames[:number]:
                    made.feed(frame)
                return made

            frame = recording.frames[number]
            intact = events_of(play().feed(frame))
            yield play, frame, intact, f"{recording.name}: frame {number}"


def _feed(play: Play, frame: str | bytes, where: str) -> list[Any]:
    with _not_raising(where):
        return list(play.feed(frame))
    raise AssertionError("unreachable")


class _not_raising:
    """Anything that is raised inside breaks the rule, *where* it happened."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception):
            raise RuleBroken(
                f"{self._where} raises {type(error).__name__}: {str(error)[:200]}"
            ) from error


def _blame_invented(found: Iterable[Any], intact: Sequence[Any], where: str) -> None:
    problem = invented(events_of(found), intact)
    if problem:
        raise RuleBroken(f"{where} gives {problem}")


def _blame_ill(found: Iterable[Any], where: str, change: str) -> None:
    for event in events_of(found):
        wanted = [getattr(event, "stream", None)]
        problem = problem_with(event, wanted)  # type: ignore[arg-type]
        if problem:
            raise RuleBroken(f"{where} with {change} gives {problem}")
