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
import attrs

from tapeline.errors import DataValidationError, RequestFailed
from tapeline.hookspecs import ExchangeAdapter
from tapeline.model import (
    DataType,
    Fetch,
    Instrument,
    OutcomeKind,
    Subscription,
    width_ns,
)
from tapeline.model import SubscriptionState as State
from tapeline.runtime.silence import Silence
from tapeline.runtime.watch_settings import Known, WatchSettings, WatchStatistics
from tapeline.transport import RequestRefused, RestClient, SubscriptionStatus

_WATCHED = (State.ACKED, State.LIVE)
_NEVER = 1 << 63


class Watched(Protocol):
    """A link, as far as a watcher needs it."""

    rest: RestClient

    def subscriptions(self) -> list[SubscriptionStatus]:
        """How each wanted stream is."""

    def subscription(self, subscription: Subscription) -> SubscriptionStatus | None:
        """How one wanted stream is; None when it is not wanted."""

    def activity(self) -> object:
        """Something that changes with every frame, and with every socket's state."""

    def frames(self, number: int) -> int:
        """Frames received on one socket so far."""

    def pending(self, subscription: Subscription) -> str:
        """What is under way for a stream: a request, a frame, an answer."""

    def resubscribe(self, subscription: Subscription) -> None:
        """End one stream and ask for it anew."""

    def drop_socket(self, number: int) -> None:
        """End the connection of one line and dial another."""


@attrs.define(eq=False)
class _Stream:
    """What is remembered of one stream; all times monotonic.

    Args:
        since_ns: of the present silence at most; None while it is not subscribed.
        verdict: what replaces the state of the link; None while all is well.
        ask_at_ns: not to be probed before.
        pause_s: between two probes while nothing changes.
        healthy_ns: since when nothing was found wrong.
        stalls: in a row, forgotten after a time of health.
        stalled_ns: when it stalled last.
        act_at_ns: nothing is done about a stall before.
        renewed_ns: when it was asked for anew, until its socket says anything.
        renewed_frames: that its socket had received by then.
        askable: whether a probe can tell anything; without one, silence says nothing.
        suspect_ns: when it became suspect last.
        limit_s: the silence that made it so.
        least_s: silence that is usual in this stream, whatever its rate seems to be.
    """

    silence: Silence
    pause_s: float
    events: int = 0
    looked_ns: int = 0
    since_ns: int | None = None
    last_ns: int | None = None
    socket: int = 0
    verdict: State | None = None
    ask_at_ns: int = 0
    healthy_ns: int = 0
    stalls: int = 0
    stalled_ns: int = -_NEVER
    act_at_ns: int = 0
    renewed_ns: int | None = None
    renewed_frames: int = 0
    askable: bool = True
    suspect_ns: int = 0
    limit_s: float = 0.0
    least_s: float = 0.0


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
        self._adapter = adapter
        self._config = config
        self._link = link
        self._rest = link.rest
        self._clock = link.rest.clock
        self._known = known
        self._instrument = instrument
        self._refresh = refresh
        self._quiet = quiet
        self._settings = settings or WatchSettings()
        self._logger = logger or logging.getLogger("tapeline.watch")
        self._streams: dict[Subscription, _Stream] = {}
        self._asked_ns: list[int] = []
        self._asking: set[Subscription] = set()
        self._spared_until_ns: dict[int, int] = {}
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
                    if self._may_ask():
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
                stream = _Stream(silence, self._settings.again_s, status.events)
                stream.looked_ns = now_ns
                stream.askable = self._probe(subscription) is not None
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
        self, stream: _Stream, status: SubscriptionStatus, now_ns: int
    ) -> float | None:
        """Update *stream*; the threshold it has passed when it is to be probed."""
        elapsed_s = (now_ns - stream.looked_ns) / 1e9
        events = status.events - stream.events
        stream.looked_ns, stream.events = now_ns, status.events
        before_ns, stream.last_ns = stream.last_ns, status.last_message_ns
        stream.socket = status.socket
        if stream.renewed_ns is not None:
            self._expect_answer(stream, stream.renewed_ns, status, now_ns)
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
        silent_s = (now_ns - self._silent_since_ns(stream)) / 1e9
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

    def _expect_answer(
        self, stream: _Stream, since_ns: int, status: SubscriptionStatus, now_ns: int
    ) -> None:
        """Drop the socket that did not even answer when a stream was asked anew."""
        if self._link.frames(stream.socket) != stream.renewed_frames:
            stream.renewed_ns = None
            return
        if self._link.pending(status.subscription) == "frame":
            # It waits for a budget of ours.
            stream.renewed_ns = since_ns = now_ns
        dead_ns = since_ns + int(self._settings.answer_s * 1e9)
        if now_ns < dead_ns:
            self._due_ns = min(self._due_ns, dead_ns)
            self._nap_s = min(self._nap_s, (dead_ns - now_ns) / 1e9)
            return
        stream.renewed_ns = None
        self._logger.warning(
            "%s stalled and its socket does not answer; it is dropped",
            status.subscription,
        )
        self.statistics.dropped += 1
        self._link.drop_socket(stream.socket)

    def _spoke(self, stream: _Stream, before_ns: int | None, now_ns: int) -> None:
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

    @staticmethod
    def _silent_since_ns(stream: _Stream) -> int:
        since_ns = stream.since_ns or 0
        return since_ns if stream.last_ns is None else max(since_ns, stream.last_ns)

    def _may_ask(self) -> bool:
        """Whether the own budget of probes allows another one now."""
        now_ns = self._clock.monotonic_ns()
        edge_ns = now_ns - int(self._settings.probes_per_s * 1e9)
        self._asked_ns = [at_ns for at_ns in self._asked_ns if at_ns > edge_ns]
        if len(self._asked_ns) >= self._settings.probes:
            return False
        self._asked_ns.append(now_ns)
        return True

    # -- asking -------------------------------------------------------------------

    async def _examine(self, subscription: Subscription) -> None:
        stream = self._streams.get(subscription)
        fetch = self._probe(subscription)
        if stream is None or fetch is None:
            return
        events, since_ns = stream.events, stream.since_ns
        asked_ns = self._rest.now().venue_ns
        self.statistics.probes += 1
        try:
            response = await self._rest.fetch(
                attrs.evolve(fetch, urgent=True), self._settings.probe_s
            )
            newest_id, newest_ns = self._adapter.read_probe(response)
        except (RequestFailed, DataValidationError) as error:
            self._unanswered(subscription, stream, error)
            return
        self._answered()
        if not self._has_newer(subscription, stream, newest_id, newest_ns):
            if self._still_silent(subscription, stream, events, since_ns):
                self._found_quiet(subscription, stream)
                self._tell_quiet(subscription, newest_id, asked_ns)
            return
        # What happened just now may be on its way to us.
        age_s = self._settings.confirm_s
        if newest_ns is not None:
            age_s = (self._rest.now().venue_ns - newest_ns) / 1e9
        await self._clock.sleep(min(1.0, self._settings.confirm_s - age_s))
        if self._still_silent(subscription, stream, events, since_ns):
            self._found_stalled(subscription, stream)

    def _probe(self, subscription: Subscription) -> Fetch | None:
        """The request that tells whether *subscription* should have moved.

        Tickers and books are asked about by the instrument's trades where there are
        some: venues stamp the others with the time of asking.
        """
        asked = subscription
        if subscription.data_type != DataType.TRADE:
            try:
                channel = self._adapter.channel(self._config, DataType.TRADE.value, "")
            except LookupError:
                channel = None
            if channel is not None:
                asked = Subscription(
                    subscription.exchange,
                    subscription.market,
                    subscription.symbol,
                    channel.data_type,
                    channel.name,
                    channel.id_kind,
                )
        if self._adapter.probe(self._config, subscription) is None:
            return None
        return self._adapter.probe(self._config, asked)

    def _has_newer(
        self,
        subscription: Subscription,
        stream: _Stream,
        newest_id: int | None,
        newest_ns: int | None,
    ) -> bool:
        """Whether the venue has what we should have got and did not."""
        known = self._known(subscription)
        by_id = subscription.data_type == DataType.TRADE
        if by_id and newest_id is not None and known.last_id is not None:
            return newest_id > known.last_id
        if newest_ns is None:
            return False
        # What we have is as new as its own time, and as its subscription.
        since_ns = self._silent_since_ns(stream) - self._clock.monotonic_ns()
        silent_since_ns = self._rest.now().venue_ns + since_ns
        margin_ns = int(self._settings.confirm_s * 1e9)
        return newest_ns > max(silent_since_ns, known.exchange_ns or 0) + margin_ns

    def _still_silent(
        self,
        subscription: Subscription,
        stream: _Stream,
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
        self, subscription: Subscription, stream: _Stream, error: Exception
    ) -> None:
        self.statistics.unanswered += 1
        self._answers = False
        self._pause(stream, self._settings.unanswered_s)
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

    def _found_quiet(self, subscription: Subscription, stream: _Stream) -> None:
        self.statistics.quiet += 1
        stream.verdict = State.QUIET
        self._pause(stream)
        self._refresh()
        self._judge_instrument(subscription, stream)

    def _tell_quiet(
        self, subscription: Subscription, newest_id: int | None, asked_ns: int
    ) -> None:
        """Say that nobody traded, if the venue's newest trade is ours, too."""
        if (
            self._quiet is not None
            and subscription.data_type == DataType.TRADE
            and newest_id is not None
            and newest_id == self._known(subscription).last_id
        ):
            # A trade of the last moment may not be in the answer yet.
            margin_ns = int(self._settings.confirm_s * 1e9)
            self._quiet(subscription, newest_id, asked_ns - margin_ns)

    def _judge_instrument(self, subscription: Subscription, stream: _Stream) -> None:
        instrument = self._instrument(subscription)
        if instrument is None or instrument.state != "live":
            if stream.verdict is not State.HALTED:
                self._logger.warning("%s is not traded any more", subscription)
            stream.verdict = State.HALTED

    def _pause(self, stream: _Stream, longest_s: float | None = None) -> None:
        now_ns = self._clock.monotonic_ns()
        longest_s = self._settings.slowest_s if longest_s is None else longest_s
        stream.ask_at_ns = now_ns + int(min(stream.pause_s, longest_s) * 1e9)
        stream.pause_s = min(2 * stream.pause_s, longest_s)

    def _found_stalled(self, subscription: Subscription, stream: _Stream) -> None:
        settings = self._settings
        now_ns = self._clock.monotonic_ns()
        self.statistics.stalled += 1
        stream.verdict = State.STALLED
        if now_ns < self._spared_until_ns.get(stream.socket, 0):
            # Another stream of it has just had it dropped.
            return
        if now_ns < stream.act_at_ns:
            self._pause(stream)
            return
        again = now_ns - stream.stalled_ns < settings.twice_s * 1e9
        stream.stalls += 1
        stream.stalled_ns = now_ns
        if stream.stalls >= 2:
            # Neither way helped at once: the venue itself is in trouble.
            wait_s = settings.twice_s * 2.0 ** min(stream.stalls - 2, 10)
            stream.act_at_ns = now_ns + int(min(wait_s, settings.slowest_s) * 1e9)
        stream.ask_at_ns = now_ns + int(stream.silence.floor_s * 1e9)
        if again or self._is_alone(subscription, stream, now_ns):
            self._logger.warning("%s stalled; its socket is dropped", subscription)
            self.statistics.dropped += 1
            spared_ns = now_ns + int(stream.silence.floor_s * 1e9)
            self._spared_until_ns[stream.socket] = spared_ns
            self._link.drop_socket(stream.socket)
        else:
            self._logger.warning("%s stalled; it is subscribed anew", subscription)
            self.statistics.resubscribed += 1
            stream.renewed_ns = now_ns
            stream.renewed_frames = self._link.frames(stream.socket)
            self._link.resubscribe(subscription)

    def _is_alone(
        self, subscription: Subscription, stream: _Stream, now_ns: int
    ) -> bool:
        """Whether its socket is silent as a whole, though others should speak too."""
        siblings = [
            other
            for key, other in self._streams.items()
            if key != subscription
            and other.socket == stream.socket
            and other.silence.rate_hz * other.silence.floor_s >= 1
        ]
        return bool(siblings) and all(
            now_ns - self._silent_since_ns(other) >= other.silence.floor_s * 1e9
            for other in siblings
        )


def _by_limit(suspect: tuple[float, Subscription]) -> float:
    return suspect[0]
