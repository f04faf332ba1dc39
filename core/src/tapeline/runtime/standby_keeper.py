"""Gets books that nobody sees yet a new snapshot, each over its own connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs

from tapeline.clock import Clock
from tapeline.model import Subscription
from tapeline.runtime.stream_state import StreamState

_LOOK_NS = 10**9
_FIRST_PAUSE_NS = 5 * 10**9
_LONGEST_PAUSE_NS = 300 * 10**9


class StandbyLink(Protocol):
    """A link, as far as a keeper needs it."""

    def resync(self, subscription: Subscription, connection: int | None = None) -> None:
        """Let one session start a stream afresh."""


@attrs.define(eq=False)
class _Ask:
    """When a standby is asked for next, and the pause after that; monotonic."""

    due_ns: int
    pause_ns: int = _FIRST_PAUSE_NS


class StandbyKeeper:
    """Looks after the standby books of all streams of an engine; synchronous.

    Consumers miss nothing while one is invalid, so it is asked for slowly: what it
    takes of a venue's limits is what the books that are seen leave over.

    Args:
        streams: of the pipeline, read at each look.
        links: those that carry a stream.
    """

    def __init__(
        self,
        streams: Mapping[Subscription, StreamState],
        links: Callable[[Subscription], Sequence[StandbyLink]],
        clock: Clock,
    ) -> None:
        self.resyncs = 0
        self._streams = streams
        self._links = links
        self._clock = clock
        self._asks: dict[tuple[Subscription, int], _Ask] = {}
        self._looked_ns: int | None = None

    def broke(self, subscription: Subscription, connection: int) -> None:
        """A standby has just become invalid: ask for another soon."""
        now_ns = self._clock.monotonic_ns()
        self._asks.setdefault((subscription, connection), _Ask(now_ns))

    def look(self) -> None:
        """Ask for every standby that is invalid too long; call it often."""
        now_ns = self._clock.monotonic_ns()
        if self._looked_ns is not None and now_ns - self._looked_ns < _LOOK_NS:
            return
        self._looked_ns = now_ns
        invalid: set[tuple[Subscription, int]] = set()
        for subscription, state in self._streams.items():
            for connection, standby in state.standbys.items():
                if not standby.valid:
                    invalid.add((subscription, connection))
        for key in [key for key in self._asks if key not in invalid]:
            del self._asks[key]
        for key in invalid:
            ask = self._asks.get(key)
            if ask is None:
                # Subscribed just now: its snapshot is on its way.
                self._asks[key] = _Ask(now_ns + _FIRST_PAUSE_NS)
            elif ask.due_ns <= now_ns:
                self._ask(*key)
                ask.due_ns = now_ns + ask.pause_ns
                ask.pause_ns = min(2 * ask.pause_ns, _LONGEST_PAUSE_NS)

    def _ask(self, subscription: Subscription, connection: int) -> None:
        self.resyncs += 1
        for link in self._links(subscription):
            link.resync(subscription, connection)
