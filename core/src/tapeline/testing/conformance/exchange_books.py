"""Cases about order: what ids promise, and books that are never silently wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import attrs

from tapeline.integrity import BookChange, LocalBook
from tapeline.model import (
    BookDelta,
    BookSnapshot,
    Continuity,
    Subscription,
    Trade,
)
from tapeline.testing.conformance.cases import case
from tapeline.testing.conformance.play import Play, at, begin, events_of
from tapeline.testing.conformance.subjects import ExchangeUnderTest, Recording
from tapeline.testing.conformance.verdicts import NotApplicable, NotShown, RuleBroken

_MOST_RESYNCS = 5
_MOST_PLACES = 12

Levels = dict[Decimal, Decimal]
State = tuple[Levels, Levels]


@case("EX-IDS-001", "ids keep what the channel declares they do")
def continuity(subject: ExchangeUnderTest) -> None:
    """In a recording without faults the ids of a ``CONTIGUOUS`` stream follow each
    other without a hole, of a ``MONOTONIC`` one they rise; a trade covers exactly
    the fills between its ids. A promise too large gives gaps that never were.
    """
    for recording in subject.recordings:
        last: dict[Subscription, int] = {}
        play = begin(subject, recording)
        for frame in recording.frames:
            for event in events_of(play.feed(frame)):
                if isinstance(event, Trade):
                    _check_trade(subject, event, last.get(event.stream))
                    last[event.stream] = event.last_id


def _check_trade(subject: ExchangeUnderTest, trade: Trade, last: int | None) -> None:
    stream = trade.stream
    channel = subject.adapter.capabilities.channel(stream.channel)
    if channel is None:
        raise RuleBroken(f"{stream} is of a channel that the capabilities do not have")
    if stream.id_kind == "fill" and trade.last_id - trade.first_id + 1 != trade.fills:
        raise RuleBroken(
            f"{stream}: a trade of {trade.fills} fills has the ids {trade.first_id} to "
            f"{trade.last_id}"
        )
    if last is None:
        return
    if channel.continuity is Continuity.CONTIGUOUS and trade.first_id != last + 1:
        raise RuleBroken(f"{stream}: {trade.first_id} comes after {last}")
    if channel.continuity is Continuity.MONOTONIC and trade.first_id <= last:
        raise RuleBroken(f"{stream}: {trade.first_id} comes after {last}")


@case("EX-BOOK-001", "recorded changes of a book form one chain")
def chained(subject: ExchangeUnderTest) -> None:
    """A recording without faults is played into core's own local book. It must
    become valid and never break: each change names the one that it follows.
    """
    for recording, stream in _books(subject):
        folded = _fold(begin(subject, recording), stream, recording.frames)
        if folded.breaks or not folded.states:
            raise RuleBroken(
                f"{recording.name}: {folded.breaks} breaks and {len(folded.states)} "
                f"valid states of {stream}; {folded.reason or 'no snapshot came'}"
            )


@case("EX-BOOK-002", "a lost change never leaves a book that is silently wrong")
def lost_changes(subject: ExchangeUnderTest) -> None:
    """Frames are left out, one at a time. Whenever core calls the book valid, it
    must be what the whole recording gives for the same sequence.
    """
    _compare(subject, "without frame", _without)


@case("EX-BOOK-003", "a repeated or late change never leaves a book silently wrong")
def repeated_changes(subject: ExchangeUnderTest) -> None:
    """Frames come twice, or change places with their neighbor, one at a time."""
    _compare(subject, "with a second frame", _doubled)
    _compare(subject, "with another place of frame", _swapped)


@case("EX-BOOK-004", "a book that begins again is replaced, not mixed")
def resets(subject: ExchangeUnderTest) -> None:
    """In the middle of a recording the venue starts over: all of it comes again,
    from its snapshot on, on the same session.
    """
    _compare(subject, "started over at frame", _started_over)


@attrs.define
class _Folded:
    """What a local book went through.

    Args:
        states: ``(last_id, levels)`` of every moment at which it was valid.
    """

    states: list[tuple[int | None, State]] = attrs.field(factory=list)
    breaks: int = 0
    reason: str = ""


def _books(
    subject: ExchangeUnderTest,
) -> Iterator[tuple[Recording, Subscription]]:
    offered = [
        channel
        for channels in subject.adapter.capabilities.channels.values()
        for channel in channels
        if channel.continuity is Continuity.SEQUENCED
    ]
    if not offered:
        raise NotApplicable("no channel with sequenced books is offered")
    names = {channel.name for channel in offered}
    found = [
        (recording, stream)
        for recording in subject.recordings
        for stream in recording.subscriptions
        if stream.channel in names
    ]
    if not found:
        raise NotShown(f"a Recording of one of {', '.join(sorted(names))}")
    yield from found


def _fold(play: Play, stream: Subscription, frames: Sequence[str]) -> _Folded:
    book = LocalBook(stream, play.subject.adapter.book_checksum)
    folded = _Folded()
    # What REST has answered to the subscription already comes first.
    queue: list[Any] = list(play.said)
    for frame in ("", *frames):
        queue += play.feed(frame) if frame else []
        while queue:
            event = queue.pop(0)
            if not isinstance(event, BookSnapshot | BookDelta):
                continue
            if event.stream != stream:
                continue
            if book.apply(event) is BookChange.BROKEN:
                folded.breaks += 1
                folded.reason = book.reason
                if folded.breaks <= _MOST_RESYNCS:
                    actions = play.bound.resync(stream, at(10.0 * folded.breaks))
                    queue += play.take(actions, at(10.0 * folded.breaks))
            elif book.valid:
                folded.states.append((book.last_id, _state(book)))
    return folded


def _state(book: LocalBook) -> State:
    bids, asks = book.levels()
    return (
        {Decimal(level[0]): Decimal(level[1]) for level in bids},
        {Decimal(level[0]): Decimal(level[1]) for level in asks},
    )


def _compare(subject: ExchangeUnderTest, what: str, change: Any) -> None:
    for recording, stream in _books(subject):
        frames = recording.frames
        truth: dict[int | None, list[State]] = {}
        for last_id, state in _fold(begin(subject, recording), stream, frames).states:
            truth.setdefault(last_id, []).append(state)
        step = max(1, len(frames) // _MOST_PLACES)
        for place in range(0, len(frames), step):
            damaged = change(frames, place)
            folded = _fold(begin(subject, recording), stream, damaged)
            for last_id, state in folded.states:
                if state not in truth.get(last_id, ()):
                    raise RuleBroken(
                        f"{recording.name}, {what} {place}: the book of {stream} is "
                        f"called valid at {last_id} and differs from the venue's"
                    )


def _without(frames: Sequence[str], place: int) -> Sequence[str]:
    return [*frames[:place], *frames[place + 1 :]]


def _doubled(frames: Sequence[str], place: int) -> Sequence[str]:
    return [*frames[: place + 1], *frames[place:]]


def _swapped(frames: Sequence[str], place: int) -> Sequence[str]:
    head, tail = frames[:place], frames[place + 2 :]
    return [*head, *reversed(frames[place : place + 2]), *tail]


def _started_over(frames: Sequence[str], place: int) -> Sequence[str]:
    return [*frames[: place + 1], *frames]
