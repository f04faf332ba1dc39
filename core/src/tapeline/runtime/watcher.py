"""Health of every stream of one feed: silence is asked about, not guessed at.

A silent stream is *suspect*; one REST request then tells whether the venue has
nothing newer (*quiet*), has something that we did not get (*stalled*), or does not
trade the instrument any more (*halted*). Only a stalled stream is acted on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import anyio

from tapeline.errors import DataValidationError, RequestFailed
from tapeline.hookspecs import ExchangeAdapter
from tapeline.model import (
    DataType,
    Instrument,
    OutcomeKind,
    Subscription,
    width_ns,
)
from tapeline.model import SubscriptionState as State
from tapeline.runtime.prober import Newest, Prober
from tapeline.runtime.silence import Silence
from tapeline.runtime.stalls import StallLink, Stalls
from tapeline.runtime.watch_settings import Known, WatchSettings, WatchStatistics
from tapeline.runtime.watched_stream import WatchedStream
from tapeline.transport import RequestRefused, RestClient, SubscriptionStatus

_WATCHED = (State.ACKED, State.LIVE)


class Watched(StallLink, Protocol):
    """A link, as far as a watcher needs it."""

    rest: RestClient

    def subscriptions(self) -> list[SubscriptionStatus]:
        """How each wanted stream is."""

    def subscription(self, subscription: Subscription) -> SubscriptionStatus | None:
        """How one wanted stream is; None when it is not wanted."""

    def activity(self) -> object:
        """Something that changes with every frame, and with every socket's state."""


class Watcher:
    """Watches the streams of one feed; one task runs it.

    Args:
        known: what the pipeline has of a stream.
        instrument: what the venue last said of a stream's instrument.
        refresh: asks the venue for its instruments anew, when that is due.
        quiet: told the id of the newest trade that the venue has of a stream, and until
            when, by the venue's clock, there was no other.
    """

    def __init__(
        self,
        adapter: ExchangeAdapter,
        config: Any,
        link: Watched,
        *,
        known: Callable[[Subscription], Known],
        instrument: Callable[[Subscription], Instrument | None],
        refresh: Callable[[], None],
        quiet: Callable[[Subscription, int, int], None] | None = None,
        settings: WatchSettings | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.statistics = WatchStatistics()
        self._link = link
        self._rest = link.rest
        self._clock = link.rest.clock
        self._instrument = instrument
        self._refresh = refresh
        self._quiet = quiet
        self._settings = settings or WatchSettings()
        self._logger = logger or logging.getLogger("tapeline.watch")
        self._streams: dict[Subscription, WatchedStream] = {}
        self._prober = Prober(adapter, config, link.rest, known, self._settings)
        self._stalls = Stalls(
            link,
            self._streams,
            self._settings,
            self.statistics,
            self._clock,
            self._logger,
        )
        self._asking: set[Subscription] = set()
        self._nap_s = self._settings.look_s
        self._due_ns = 0
        self._answers = True

    def verdict(self, subscription: Subscription) -> State | None:
        """What was found of a stream; None when the link's state stands."""
        stream = self._streams.get(subscription)
        return None if stream is None else stream.verdict

    def is_given_up(self, subscription: Subscription) -> bool:
        """Whether a silent stream could not be judged for as long as is fair.

        That is time for one answer, or once more the silence that made it suspect:
        a lively stream that nobody can tell about is soon taken for lost.
        """
        stream = self._streams.get(subscription)
        if stream is None or stream.verdict is not State.SUSPECT:
            return False
        suspect_s = (self._clock.monotonic_ns() - stream.suspect_ns) / 1e9
        return suspect_s >= max(self._settings.probe_s, stream.limit_s)

    async def run(self) -> None:
        """Look, and ask about what is silent, until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                for subscription in self.look():
                    if len(self._asking) >= self._settings.at_once:
                        break
                    if self._prober.may_ask():
                        self._asking.add(subscription)
                        # Bounded by its probe and a short wait. Looking goes on
                        # meanwhile: what speaks again must not seem silent.
                        tasks.start_soon(self._ask, subscription)
                await self._nap()

    async def _ask(self, subscription: Subscription) -> None:
        try:
            await self._examine(subscription)
        finally:
            self._asking.discard(subscription)

    async def _nap(self) -> None:
        """Rest until the next look: as long as nothing comes and nothing is due."""
        before = self._link.activity()
        while True:
            await self._clock.sleep(self._nap_s)
            due = self._clock.monotonic_ns() >= self._due_ns
            if due or self._link.activity() != before:
                return

    def look(self) -> list[Subscription]:
        """Take in how the streams are; those to ask about, liveliest first."""
        now_ns = self._clock.monotonic_ns()
        present = {one.subscription: one for one in self._link.subscriptions()}
        for subscription in [one for one in self._streams if one not in present]:
            del self._streams[subscription]
        self._nap_s = self._settings.quiet_nap_s
        self._due_ns = now_ns + int(self._settings.longest_rest_s * 1e9)
        suspects: list[tuple[float, Subscription]] = []
        for subscription, status in present.items():
            stream = self._streams.get(subscription)
            if stream is None:
                silence = Silence(self._settings.ceiling_s)
                stream = WatchedStream(silence, self._settings.again_s, status.events)
                stream.looked_ns = now_ns
                stream.askable = self._prober.request(subscription) is not None
                if subscription.data_type == DataType.CANDLE:
                    # A final candle comes once in its width, whatever trades do.
                    stream.least_s = 2 * width_ns(subscription.timeframe) / 1e9
                self._streams[subscription] = stream
            limit_s = self._look_at(stream, status, now_ns)
            if limit_s is not None and subscription not in self._asking:
                suspects.append((limit_s, subscription))
        return [subscription for _, subscription in sorted(suspects, key=_by_limit)]

    # -- looking ------------------------------------------------------------------

    def _look_at(
        self, stream: WatchedStream, status: SubscriptionStatus, now_ns: int
    ) -> float | None:
        """Update *stream*; the threshold it has passed when it is to be probed."""
        elapsed_s = (now_ns - stream.looked_ns) / 1e9
        events = status.events - stream.events
        stream.looked_ns, stream.events = now_ns, status.events
        before_ns, stream.last_ns = stream.last_ns, status.last_message_ns
        stream.socket = status.socket
        answer_ns = self._stalls.expect_answer(status.subscription, stream, now_ns)
        if answer_ns is not None:
            self._due_ns = min(self._due_ns, answer_ns)
            self._nap_s = min(self._nap_s, (answer_ns - now_ns) / 1e9)
        if status.state not in _WATCHED:
            stream.since_ns = None
            if status.state is not State.REQUESTED:
                stream.verdict = None
            return None
        if stream.since_ns is None:
            stream.since_ns = now_ns
            stream.ask_at_ns = 0
        elif events or stream.verdict is None:
            stream.silence.note(events, elapsed_s)
        if events:
            self._spoke(stream, before_ns, now_ns)
        silent_s = (now_ns - stream.silent_since_ns) / 1e9
        limit_s = stream.silence.threshold_s
        if status.state is State.ACKED:
            limit_s = min(limit_s, self._settings.first_data_s)
        limit_s = max(limit_s, stream.least_s)
        if not stream.askable:
            return None
        if silent_s < limit_s:
            soon_s = max(self._settings.look_s, limit_s - silent_s)
            self._nap_s = min(self._nap_s, soon_s, self._settings.longest_nap_s)
            self._due_ns = min(self._due_ns, now_ns + int(soon_s * 1e9))
            return None
        if stream.verdict is not State.QUIET:
            # To be seen soon when it speaks again.
            self._nap_s = min(self._nap_s, self._settings.longest_nap_s)
        if stream.verdict is None:
            stream.verdict = State.SUSPECT
            stream.suspect_ns = now_ns
            stream.limit_s = limit_s
        if now_ns < stream.ask_at_ns:
            self._due_ns = min(self._due_ns, stream.ask_at_ns)
            return None
        # Not all that are due may be asked at once.
        self._due_ns = now_ns
        return limit_s

    def _spoke(self, stream: WatchedStream, before_ns: int | None, now_ns: int) -> None:
        settings = self._settings
        last_ns = stream.last_ns
        came_back = stream.verdict in (State.QUIET, State.SUSPECT)
        if came_back and before_ns is not None and last_ns is not None:
            stream.silence.broke((last_ns - before_ns) / 1e9)
        if stream.verdict is not None:
            stream.verdict = None
            stream.healthy_ns = now_ns
        stream.pause_s = settings.again_s
        stream.ask_at_ns = 0
        if stream.stalls and now_ns - stream.healthy_ns > settings.forget_s * 1e9:
            stream.stalls = 0
            stream.act_at_ns = 0

    # -- asking -------------------------------------------------------------------

    async def _examine(self, subscription: Subscription) -> None:
        stream = self._streams.get(subscription)
        fetch = self._prober.request(subscription)
        if stream is None or fetch is None:
            return
        events, since_ns = stream.events, stream.since_ns
        self.statistics.probes += 1
        try:
            newest = await self._prober.ask(fetch)
        except (RequestFailed, DataValidationError) as error:
            self._unanswered(subscription, stream, error)
            return
        self._answered()
        if not self._prober.has_newer(subscription, newest, stream.silent_since_ns):
            if self._still_silent(subscription, stream, events, since_ns):
                if self._prober.is_behind(subscription, newest):
                    old = DataValidationError("expected the newest trade, found older")
                    self._unanswered(subscription, stream, old)
                    return
                self._found_quiet(subscription, stream)
                self._tell_quiet(subscription, newest)
            return
        # What happened just now may be on its way to us.
        young_s = self._settings.confirm_s - self._prober.age_s(newest)
        await self._clock.sleep(min(1.0, young_s))
        if self._still_silent(subscription, stream, events, since_ns):
            self.statistics.stalled += 1
            stream.verdict = State.STALLED
            self._stalls.act(subscription, stream)

    def _still_silent(
        self,
        subscription: Subscription,
        stream: WatchedStream,
        events: int,
        since_ns: int | None,
    ) -> bool:
        """Whether nothing came, and nothing else happened, while we asked."""
        status = self._link.subscription(subscription)
        if status is None or self._streams.get(subscription) is not stream:
            return False
        self._look_at(stream, status, self._clock.monotonic_ns())
        # Subscribed anew meanwhile, it begins another silence.
        return stream.events == events and stream.since_ns == since_ns is not None

    # -- what was found -----------------------------------------------------------

    def _unanswered(
        self, subscription: Subscription, stream: WatchedStream, error: Exception
    ) -> None:
        self.statistics.unanswered += 1
        self._answers = False
        stream.pause(self._clock.monotonic_ns(), self._settings.unanswered_s)
        if isinstance(error, RequestRefused) and error.kind is OutcomeKind.FATAL:
            # It may not know the instrument any more.
            self._refresh()
            self._judge_instrument(subscription, stream)

    def _answered(self) -> None:
        """The venue answers again: ask about whatever could not be judged."""
        if self._answers:
            return
        self._answers = True
        for stream in self._streams.values():
            if stream.verdict is State.SUSPECT:
                stream.ask_at_ns = 0
                stream.pause_s = self._settings.again_s

    def _found_quiet(self, subscription: Subscription, stream: WatchedStream) -> None:
        self.statistics.quiet += 1
        stream.verdict = State.QUIET
        stream.pause(self._clock.monotonic_ns(), self._settings.slowest_s)
        self._refresh()
        self._judge_instrument(subscription, stream)

    def _tell_quiet(self, subscription: Subscription, newest: Newest) -> None:
        """Say that nobody traded, if the venue's newest trade is ours, too."""
        until_ns = self._prober.quiet_until_ns(subscription, newest)
        if (
            self._quiet is not None
            and until_ns is not None
            and newest.event_id is not None
        ):
            self._quiet(subscription, newest.event_id, until_ns)

    def _judge_instrument(
        self, subscription: Subscription, stream: WatchedStream
    ) -> None:
        instrument = self._instrument(subscription)
        if instrument is None or instrument.state != "live":
            if stream.verdict is not State.HALTED:
                self._logger.warning("%s is not traded any more", subscription)
            stream.verdict = State.HALTED


def _by_limit(suspect: tuple[float, Subscription]) -> float:
    return suspect[0]
