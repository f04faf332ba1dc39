"""Requests under way on one socket, and what of them is not answered yet.

The venue answers each argument of a request with a message of its own. An error
does not say which argument it is about, so what is in doubt is asked again alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import msgspec

from tapeline.clock import Now
from tapeline.model import SUBSCRIBE, Action, Send, Subscription
from tapeline_okx.channels import Key, key_of

MAX_ARGS = 100
MAX_REQUEST_BYTES = 60_000
"""Below the 64 KB that OKX takes, with room for what stands around the arguments."""

SPLIT_WAIT_NS = 1 * 10**9
"""Acknowledgments of good arguments may still be on their way for so long."""

COST = {"frames": 1}

_encode = msgspec.json.encode

Arg = Mapping[str, str]


@attrs.define
class Request:
    """One request.

    Args:
        waiting: what is not answered yet.
        in_doubt: an error came that may be about any of it.
        split_at_ns: when the rest is asked again one by one; 0 for not yet set.
    """

    op: str
    waiting: dict[Key, Subscription]
    in_doubt: bool = False
    split_at_ns: int = 0


@attrs.define
class Requests:
    """All requests of one socket that wait for something."""

    _open: dict[str, Request] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)

    def send(self, op: str, wanted: Sequence[tuple[Arg, Subscription]]) -> list[Action]:
        """Frames for *wanted*, as many arguments in each as the venue takes."""
        actions: list[Action] = []
        args: list[Arg] = []
        waiting: dict[Key, Subscription] = {}
        size = 0
        for arg, subscription in wanted:
            key = key_of(arg)
            if key in waiting:
                continue
            length = len(_encode(arg)) + 1
            if args and (len(args) == MAX_ARGS or size + length > MAX_REQUEST_BYTES):
                actions.append(self._frame(op, args, waiting))
                args, waiting, size = [], {}, 0
            args.append(arg)
            waiting[key] = subscription
            size += length
        if args:
            actions.append(self._frame(op, args, waiting))
        return actions

    def _frame(
        self, op: str, args: list[Arg], waiting: dict[Key, Subscription]
    ) -> Send:
        self._count += 1
        name = f"{op[0]}{self._count}"
        self._open[name] = Request(op, waiting)
        frame = _encode({"id": name, "op": op, "args": args}).decode()
        return Send(frame, tuple(waiting.values()), op, COST)

    def settle(self, op: str, key: Key, name: object) -> None:
        """*key* was answered; without a known id the oldest request counts."""
        named = self._open.get(name) if isinstance(name, str) else None
        if named is None or named.op != op or key not in named.waiting:
            name = next(
                (
                    other
                    for other, request in self._open.items()
                    if request.op == op and key in request.waiting
                ),
                None,
            )
        if isinstance(name, str):
            self.take(name, key)

    def take(self, name: str, key: Key) -> tuple[str, Subscription]:
        """``(op, subscription)`` of *key*, which request *name* waits for no more."""
        request = self._open[name]
        subscription = request.waiting.pop(key)
        if not request.waiting:
            del self._open[name]
        return request.op, subscription

    def concerned(self, name: object) -> list[str]:
        """Requests that an error may be about: the one that it names, if still
        open; when it names none, all open ones that subscribe."""
        if isinstance(name, str) and name:
            return [name] if name in self._open else []
        return [
            other for other, request in self._open.items() if request.op == SUBSCRIBE
        ]

    def waiting(self, names: Sequence[str]) -> list[tuple[str, Key]]:
        """``(request, key)`` of everything that *names* wait for."""
        return [(name, key) for name in names for key in self._open[name].waiting]

    def doubt(self, names: Sequence[str]) -> None:
        """An error came that may be about anything in *names*."""
        for name in names:
            self._open[name].in_doubt = True

    def due(self, now: Now) -> list[Request]:
        """Requests whose rest is to be asked again one by one."""
        due = []
        for name, request in list(self._open.items()):
            if not request.in_doubt:
                continue
            if not request.split_at_ns:
                request.split_at_ns = now.monotonic_ns + SPLIT_WAIT_NS
            elif now.monotonic_ns >= request.split_at_ns:
                due.append(self._open.pop(name))
        return due

    def wake_at_ns(self) -> int | None:
        """When ``due`` has something next, monotonic; None when not known."""
        times = [r.split_at_ns for r in self._open.values() if r.split_at_ns]
        return min(times, default=None)
