"""What is done about a stalled stream: asked for anew first, then a new socket."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from tapeline.clock import Clock
from tapeline.model import Subscription
from tapeline.model import SubscriptionState as State
from tapeline.runtime.watch_settings import WatchSettings, WatchStatistics
from tapeline.runtime.watched_stream import WatchedStream

_MISSED_EVENTS = 5.0
"""Expected of the other streams meanwhile; by chance none comes 1 time in 150."""


class StallLink(Protocol):
    """A link, as far as stalls are concerned."""

    def frames(self, number: int) -> int:
        """Frames received on one socket so far."""

    def pending(self, subscription: Subscription) -> str:
        """What is under way for a stream: a request, a frame, an answer."""

    def resubscribe(self, subscription: Subscription) -> None:
        """End one stream and ask for it anew."""

    def drop_socket(self, number: int) -> None:
        """End the connection of one line and dial another."""


class Stalls:
    """Acts on the stalls of one feed, ever more rarely while nothing helps.

    Args:
        streams: all streams of the feed, those of the same socket among them.
    """

    def __init__(
        self,
        link: StallLink,
        streams: Mapping[Subscription, WatchedStream],
        settings: WatchSettings,
        statistics: WatchStatistics,
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self._link = link
        self._streams = streams
        self._settings = settings
        self._statistics = statistics
        self._clock = clock
        self._logger = logger
        self._spared_until_ns: dict[int, int] = {}

    def act(self, subscription: Subscription, stream: WatchedStream) -> None:
        """Repair *stream*, which has just been found stalled, if it is time."""
        settings = self._settings
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._spared_until_ns.get(stream.socket, 0):
            # Another stream of it has just had it dropped.
            return
        if now_ns < stream.act_at_ns:
            stream.pause(now_ns, settings.slowest_s)
            return
        again = now_ns - stream.stalled_ns < settings.twice_s * 1e9
        stream.stalls += 1
        stream.stalled_ns = now_ns
        if stream.stalls >= 2:
            # Neither way helped at once: the venue itself is in trouble.
            wait_s = settings.twice_s * 2.0 ** min(stream.stalls - 2, 10)
            stream.act_at_ns = now_ns + int(min(wait_s, settings.slowest_s) * 1e9)
        floor_ns = int(stream.silence.floor_s * 1e9)
        stream.ask_at_ns = now_ns + floor_ns
        if again or self._is_alone(subscription, stream, now_ns):
            self._logger.warning("%s stalled; its socket is dropped", subscription)
            self._spared_until_ns[stream.socket] = now_ns + floor_ns
            self._drop(stream)
        else:
            self._logger.warning("%s stalled; it is subscribed anew", subscription)
            self._statistics.resubscribed += 1
            stream.renewed_ns = now_ns
            stream.renewed_frames = self._link.frames(stream.socket)
            self._link.resubscribe(subscription)

    def expect_answer(
        self, subscription: Subscription, stream: WatchedStream, now_ns: int
    ) -> int | None:
        """Drop the socket that did not even answer when *stream* was asked for anew.

        Returns:
            when to look again, monotonic; None when nothing is waited for.
        """
        if stream.renewed_ns is None:
            return None
        if self._link.frames(stream.socket) != stream.renewed_frames:
            stream.renewed_ns = None
            return None
        if self._link.pending(subscription) == "frame":
            # It waits for a budget of ours.
            stream.renewed_ns = now_ns
        dead_ns = stream.renewed_ns + int(self._settings.answer_s * 1e9)
        if now_ns < dead_ns:
            return dead_ns
        stream.renewed_ns = None
        self._logger.warning(
            "%s stalled and its socket does not answer; it is dropped", subscription
        )
        self._drop(stream)
        return None

    def _drop(self, stream: WatchedStream) -> None:
        self._statistics.dropped += 1
        self._link.drop_socket(stream.socket)

    def _is_alone(
        self, subscription: Subscription, stream: WatchedStream, now_ns: int
    ) -> bool:
        """Whether its socket is silent as a whole, though others should speak too.

        Trades come in bursts: a pause that would be long for their rate is none yet.
        """
        siblings = [
            other
            for key, other in self._streams.items()
            if key != subscription
            and other.socket == stream.socket
            and other.since_ns is not None
            and other.verdict not in (State.QUIET, State.HALTED)
        ]
        if not siblings:
            return False
        newest_ns = max(other.silent_since_ns for other in siblings)
        silent_s = (now_ns - newest_ns) / 1e9
        missed = silent_s * sum(other.silence.rate_hz for other in siblings)
        return silent_s >= stream.silence.floor_s and missed >= _MISSED_EVENTS
