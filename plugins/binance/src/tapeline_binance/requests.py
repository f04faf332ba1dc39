"""Requests under way on one socket, and what of them is not answered yet.

The venue answers a request as a whole, by its id. A refused one does not say which
stream is to blame, so it is asked again in halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import attrs
import msgspec

from tapeline.model import SUBSCRIBE, UNSUBSCRIBE, Action, Send, Subscription

MAX_STREAMS = 200
MAX_FRAME_BYTES = 4_000
"""The server reads 4096 bytes of a frame; a longer one is not answered at all."""

_METHODS = MappingProxyType({SUBSCRIBE: "SUBSCRIBE", UNSUBSCRIBE: "UNSUBSCRIBE"})
_AROUND = len('{"method":"UNSUBSCRIBE","params":[],"id":9223372036854775807}')

_encode = msgspec.json.encode

Wanted = tuple[str, Subscription]
"""``(stream name, subscription)``."""


@attrs.frozen
class Request:
    """One request: what it does, and for which streams."""

    op: str
    waiting: Sequence[Wanted]


@attrs.define
class Requests:
    """All requests of one socket that wait for an answer.

    Args:
        budget: what a frame costs.
    """

    budget: str
    _open: dict[int, Request] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)

    def send(self, op: str, wanted: Sequence[Wanted]) -> list[Action]:
        """Frames for *wanted*, as many streams in each as the venue takes."""
        actions: list[Action] = []
        batch: list[Wanted] = []
        size = _AROUND
        for name, subscription in dict(wanted).items():
            length = len(_encode(name)) + 1
            full = len(batch) == MAX_STREAMS or size + length > MAX_FRAME_BYTES
            if batch and full:
                actions.append(self._frame(op, batch))
                batch, size = [], _AROUND
            batch.append((name, subscription))
            size += length
        if batch:
            actions.append(self._frame(op, batch))
        return actions

    def _frame(self, op: str, batch: Sequence[Wanted]) -> Send:
        self._count += 1
        self._open[self._count] = Request(op, batch)
        names = [name for name, _ in batch]
        request = {"method": _METHODS[op], "params": names, "id": self._count}
        subscriptions = tuple(subscription for _, subscription in batch)
        return Send(_encode(request).decode(), subscriptions, op, {self.budget: 1})

    def take(self, number: object) -> Request | None:
        """The request *number*, which waits no more; None when it is none of ours."""
        return self._open.pop(number, None) if type(number) is int else None

    def take_oldest(self) -> Request | None:
        """The request that an answer without a number must be about."""
        for number in self._open:
            return self._open.pop(number)
        return None

    def split(self, request: Request) -> list[Action]:
        """Ask for *request* again, in halves."""
        middle = len(request.waiting) // 2
        halves = request.waiting[:middle], request.waiting[middle:]
        return [self._frame(request.op, half) for half in halves]
