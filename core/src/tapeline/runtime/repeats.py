"""Which events of a stream came over another of its connections already.

For streams without ids: tickers, snapshots, balances, the venue's candles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import attrs

from tapeline.model import Candle

_NOT_CONTENT = ("stream", "exchange_ns", "received_ns", "raw", "revision")
_REMEMBERED = 256
_MOST_BEHIND = 4_096

_contents: dict[type, Callable[[Any], object]] = {}


def _content(event: Any) -> object:
    """What *event* says, whenever and wherever it was received."""
    kind = type(event)
    found = _contents.get(kind)
    if found is None:
        fields = attrs.fields(kind) if attrs.has(kind) else ()
        names = [one.name for one in fields if one.name not in _NOT_CONTENT]
        found = attrgetter(*names) if names else _no_content
        _contents[kind] = found
    return found(event)


def _no_content(event: object) -> object:
    return event


class Repeats:
    """First in wins: each connection brings the same events in the same order.

    So what a connection brings is looked for among what others brought after the
    last event that it had, too. What venues date is never older than what was
    given out.

    Args:
        newest: the event that was given out last, before there were several.
    """

    __slots__ = ("_first", "_given", "_newest_ns", "_places", "_volumes")

    def __init__(self, newest: Any = None) -> None:
        # Content of what was given out; ``_first`` is the number of the oldest.
        self._given: deque[object] = deque()
        self._first = 0
        # Connection → number of the next event that it has not brought yet.
        self._places: dict[int, int] = {}
        self._newest_ns = -1
        self._volumes: dict[int, Any] = {}
        if newest is not None:
            self._note(newest)

    def is_repeat(self, event: Any, connection: int) -> bool:
        """Whether *event* is known; one that is not is known from now on."""
        place = self._places.get(connection, self._first)
        if place < self._first:
            if self._first - place <= _MOST_BEHIND and _is_undated(event):
                # Its next one is what is forgotten already: all bring the same.
                self._places[connection] = place + 1
                return True
            place = self._first
        end = self._first + len(self._given)
        if place < end:
            content = _content(event)
            given = self._given
            for number in range(place, end):
                if given[number - self._first] == content:
                    self._places[connection] = number + 1
                    return True
            if self._is_late(event):
                return True
        self._places[connection] = self._note(event)
        return False

    def forget(self, connection: int) -> None:
        """*connection* has ended.

        What others bring now is taken rather than missed: how far behind they are,
        or what they lost, was known from this one alone.
        """
        self._places.pop(connection, None)
        for other, place in self._places.items():
            self._places[other] = max(place, self._first)

    def _note(self, event: Any) -> int:
        """Remember *event*; the number of what comes next."""
        given = self._given
        if len(given) == _REMEMBERED:
            given.popleft()
            self._first += 1
        given.append(_content(event))
        if type(event) is Candle:
            self._volumes[event.open_ns] = event.volume
            while len(self._volumes) > _REMEMBERED:
                del self._volumes[next(iter(self._volumes))]
        else:
            self._newest_ns = max(self._newest_ns, _dated_ns(event))
        return self._first + len(given)

    def _is_late(self, event: Any) -> bool:
        """Whether something newer was given out, which this would undo."""
        if type(event) is Candle:
            known = self._volumes.get(event.open_ns)
            return known is not None and bool(event.volume < known)
        return 0 <= _dated_ns(event) < self._newest_ns


def _is_undated(event: Any) -> bool:
    return type(event) is not Candle and _dated_ns(event) < 0


def _dated_ns(event: Any) -> int:
    """The venue's time of *event*; -1 when it has none of its own."""
    at_ns = getattr(event, "exchange_ns", None)
    if at_ns is None or at_ns == getattr(event, "received_ns", None):
        return -1
    return int(at_ns)
