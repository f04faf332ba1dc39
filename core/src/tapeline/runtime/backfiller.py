"""Filling gaps over REST, a page at a time, until ids prove that nothing is missing."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import attrs

from tapeline.backoff import Backoff
from tapeline.clock import Clock
from tapeline.errors import RequestFailed
from tapeline.hookspecs import ExchangeAdapter
from tapeline.model import (
    BACKFILLING,
    OPEN,
    UNRECOVERABLE,
    BackfillPage,
    Channel,
    Fetch,
    Gap,
    Response,
    Subscription,
)
from tapeline.runtime.backfill_walks import (
    BackfillSettings,
    BackfillStatistics,
    Walk,
)
from tapeline.runtime.healing import BEYOND_REACH, Healer
from tapeline.transport import RequestRefused, RestClient


class Backfiller:
    """Heals the gaps of one feed; one task runs it.

    Args:
        wanted: the streams that the feed wants now, with their channels.
        rest: of the feed's link, so that its budgets are shared.
    """

    def __init__(
        self,
        adapter: ExchangeAdapter,
        config: Any,
        *,
        wanted: Callable[[], Mapping[Subscription, Channel]],
        rest: RestClient,
        healer: Healer,
        clock: Clock,
        rng: random.Random,
        settings: BackfillSettings | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.statistics = BackfillStatistics()
        self._adapter = adapter
        self._config = config
        self._wanted = wanted
        self._rest = rest
        self._healer = healer
        self._clock = clock
        self._random = rng
        self._settings = settings or BackfillSettings()
        self._logger = logger or logging.getLogger("tapeline.backfill")
        self._walks: dict[int, Walk] = {}
        self._begun_ns: dict[Subscription, int] = {}
        self._draining = False
        self._poked = anyio.Event()

    async def run(self) -> None:
        """Fill what can be filled until cancelled."""
        try:
            while True:
                walk = self._next_walk()
                if walk is None:
                    with anyio.move_on_after(self._nap_s()):
                        await self._poked.wait()
                    self._poked = anyio.Event()
                else:
                    await self._turn(walk)
        finally:
            for walk in list(self._walks.values()):
                self._let_go(walk)

    def poke(self) -> None:
        """Look at once: there may be a new gap."""
        self._poked.set()

    async def drain(self) -> None:
        """Wait until nothing is left that a next request could fill.

        What failed is not waited for. The caller sets a deadline, and ``run`` runs.
        """
        self._draining = True
        while True:
            self._look()
            if all(walk.troubled for walk in self._walks.values()):
                return
            self._poked.set()
            await self._clock.sleep(0.02)

    # -- which gap ---------------------------------------------------------------

    def _nap_s(self) -> float:
        """Until the next look, if nobody pokes: longer without any gap."""
        settings = self._settings
        return settings.look_s if self._walks else settings.idle_look_s

    def _next_walk(self) -> Walk | None:
        """The one to work on now: the newest gap that is due."""
        self._look()
        now_ns = self._clock.monotonic_ns()
        due = [
            walk
            for walk in self._walks.values()
            if walk.due_ns <= now_ns
            and not self._is_carried(walk)
            and (walk.pages is not None or self._may_begin(walk, now_ns))
        ]
        return max(due, key=lambda walk: _age_key(walk.gap), default=None)

    def _hand_on(self, walk: Walk) -> None:
        """Its gap is closed: let its pages go on for one that they fill, too."""
        # The same page may have closed others as well.
        stream = walk.gap.stream
        left = {gap.gap_id: gap for gap in self._healer.open_gaps((stream,))}
        carried = [
            one
            for gap_id, one in self._walks.items()
            if one.carrier is walk and gap_id in left
        ]
        if walk.pages is None or not carried:
            return
        heir = max(carried, key=lambda one: _age_key(one.gap))
        gap = left[heir.gap.gap_id]
        for one in carried:
            one.carrier = None if one is heir else heir
        heir.go_on(gap, walk)
        if gap.state != BACKFILLING:
            self._healer.revise(gap, BACKFILLING)

    def _may_begin(self, walk: Walk, now_ns: int) -> bool:
        """Whether enough time has passed since pages of its stream were begun."""
        begun_ns = self._begun_ns.get(walk.gap.stream)
        return (
            begun_ns is None
            or self._draining
            or now_ns - begun_ns >= self._settings.gather_s * 1e9
        )

    def _is_carried(self, walk: Walk) -> bool:
        """Whether the pages of another gap are at work that fill this one, too."""
        carrier = walk.carrier
        return carrier is not None and (
            carrier.pages is not None and self._is_ours(carrier)
        )

    def _widened(self, walk: Walk, gap: Gap) -> Gap:
        """*gap*, reaching over those beside it that the same pages may fill."""
        assert gap.from_id is not None
        assert gap.to_id is not None
        first, last = gap.from_id, gap.to_id
        others = sorted(
            (one.from_id, one.to_id, one.gap_id)
            for one in self._healer.open_gaps((gap.stream,))
            if one.from_id is not None and one.to_id is not None
        )
        joined = self._settings.join_ids
        for low, high, gap_id in others:
            if low <= last:
                continue
            other = self._walks.get(gap_id)
            if low - last > joined or other is None or other.pages is not None:
                break
            other.carrier = walk
            last = high
        for low, high, gap_id in reversed(others):
            if high >= first:
                continue
            other = self._walks.get(gap_id)
            if first - high > joined or other is None or other.pages is not None:
                break
            other.carrier = walk
            first = low
        return attrs.evolve(gap, from_id=first, to_id=last)

    def _look(self) -> None:
        """Bring the walks in step with the gaps that are open and wanted."""
        streams = [
            subscription
            for subscription, channel in self._wanted().items()
            if channel.backfill_reach_s > 0
        ]
        found = {gap.gap_id: gap for gap in self._healer.open_gaps(streams)}
        for gap_id in [one for one in self._walks if one not in found]:
            self._let_go(self._walks[gap_id])
        claimed = self._healer.claimed
        for gap_id, gap in found.items():
            if gap_id not in self._walks and gap_id not in claimed:
                claimed.add(gap_id)
                self._walks[gap_id] = Walk(gap, self._backoff())

    def _let_go(self, walk: Walk) -> None:
        """Not our work any more; an open gap must not say that it is in work."""
        gap_id = walk.gap.gap_id
        self._walks.pop(gap_id, None)
        self._healer.claimed.discard(gap_id)
        gap = self._healer.find(walk.gap.stream, gap_id)
        if gap is not None and gap.state == BACKFILLING:
            self._healer.revise(gap, OPEN)

    def _backoff(self) -> Backoff:
        settings = self._settings
        return Backoff(self._random, settings.first_delay_s, settings.slowest_delay_s)

    # -- one page ----------------------------------------------------------------

    async def _turn(self, walk: Walk) -> None:
        fetch = self._ask(walk)
        if fetch is None:
            return
        walk.fetch = fetch
        self.statistics.pages += 1
        response = await self._answer(walk, fetch)
        pages = walk.pages
        if response is None or pages is None or not self._is_ours(walk):
            return
        walk.fetch = None
        try:
            page = pages.read(response)
        except Exception as error:  # an adapter's bug; other gaps must not see it
            self._fail(walk, f"read() raised {type(error).__name__}: {error}")
            return
        self._take(walk, page)

    async def _answer(self, walk: Walk, fetch: Fetch) -> Response | None:
        """The venue's answer; None when there is none, or none is wanted any more."""
        response: Response | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, walk, tasks.cancel_scope)
            try:
                # Book seeds and probes are urgent; history is not.
                response = await self._rest.fetch(
                    attrs.evolve(fetch, urgent=False), self._settings.page_s
                )
            except RequestRefused as error:
                # Asking for the same page again would be refused again.
                self._fail(walk, str(error))
            except RequestFailed as error:
                self._postpone(walk, str(error))
            tasks.cancel_scope.cancel()
        self._look()
        return response

    async def _watch(self, walk: Walk, scope: anyio.CancelScope) -> None:
        """Cancel a request when its gap closed, or its stream is not wanted."""
        # Ends with the request.
        while self._is_ours(walk):
            await self._clock.sleep(self._settings.look_s)
            self._look()
        scope.cancel()

    def _is_ours(self, walk: Walk) -> bool:
        return self._walks.get(walk.gap.gap_id) is walk

    def _ask(self, walk: Walk) -> Fetch | None:
        """The next request for *walk*; None when there is none now."""
        gap = self._healer.find(walk.gap.stream, walk.gap.gap_id)
        if gap is None:
            return None
        if self._healer.refuses():
            self._fail(walk, "nothing can be stored")
            return None
        try:
            if walk.pages is None:
                wide = self._widened(walk, gap)
                pages = self._adapter.backfill(self._config, wide)
                if pages is None:
                    self._give_up(gap, None)
                    return None
                walk.begin(wide, pages)
                self._begun_ns[gap.stream] = self._clock.monotonic_ns()
                if gap.state != BACKFILLING:
                    self._healer.revise(gap, BACKFILLING)
            assert walk.pages is not None
            fetch = walk.fetch or walk.pages.next()
        except Exception as error:  # an adapter's bug; other gaps must not see it
            self._fail(walk, f"backfill raised {type(error).__name__}: {error}")
            return None
        if fetch is None:
            self._fail(walk, "the pages ended without proving it whole")
        return fetch

    def _take(self, walk: Walk, page: BackfillPage) -> None:
        first, last = walk.gap.from_id, walk.gap.to_id
        assert first is not None
        assert last is not None
        stream = walk.gap.stream
        trades = [
            trade
            for trade in page.trades
            if trade.stream == stream
            and first <= trade.first_id <= trade.last_id <= last
        ]
        if self._healer.refuses():
            self._fail(walk, "nothing can be stored")
            return
        walk.learn(page)
        taken = self._healer.take(stream, trades, walk.empty)
        self.statistics.recovered += taken
        if taken:
            walk.backoff = self._backoff()
            walk.ends = 0
        walk.troubled = False
        gap = self._healer.find(stream, walk.gap.gap_id)
        if gap is None:
            self._hand_on(walk)
            self._let_go(walk)
        elif page.exhausted:
            self._exhausted(walk, gap)
        elif page.stale:
            self.statistics.stale += 1
            pause_s = self._random.uniform(1.0, 2.0) * self._settings.stale_s
            walk.due_ns = self._clock.monotonic_ns() + int(pause_s * 1e9)

    # -- when it does not work out ------------------------------------------------

    def _exhausted(self, walk: Walk, gap: Gap) -> None:
        """The venue says that it has nothing older; a cache may say so wrongly."""
        now_ns = self._clock.monotonic_ns()
        if walk.ends == 0:
            walk.ended_ns = now_ns
        walk.ends += 1
        settings = self._settings
        sure = now_ns - walk.ended_ns >= settings.sure_after_s * 1e9
        if walk.ends >= settings.sure_after and sure:
            self._give_up(gap, BEYOND_REACH)
        else:
            self._fail(walk, "the venue has nothing older")

    def _fail(self, walk: Walk, reason: str) -> None:
        """This try is over; the next one begins from the start."""
        walk.pages = walk.fetch = None
        gap = self._healer.find(walk.gap.stream, walk.gap.gap_id)
        if gap is not None and self._is_beyond_reach(gap):
            self._give_up(gap, BEYOND_REACH)
            return
        if gap is not None and gap.state == BACKFILLING:
            self._healer.revise(gap, OPEN)
        self._postpone(walk, reason)

    def _postpone(self, walk: Walk, reason: str) -> None:
        delay_s = walk.backoff.next_delay_s(self._settings.first_delay_s / 2)
        walk.due_ns = self._clock.monotonic_ns() + int(delay_s * 1e9)
        walk.troubled = True
        self.statistics.failures += 1
        gap = walk.gap
        self._logger.log(
            logging.WARNING if walk.backoff.attempts <= 1 else logging.DEBUG,
            "gap %d of %s, ids %s..%s: %s; next try in %.1f s",
            gap.gap_id,
            gap.stream,
            gap.from_id,
            gap.to_id,
            reason,
            delay_s,
        )

    def _is_beyond_reach(self, gap: Gap) -> bool:
        channel = self._wanted().get(gap.stream)
        ended_ns = gap.detected_ns if gap.to_ns is None else gap.to_ns
        reach_s = 0.0 if channel is None else channel.backfill_reach_s
        return 0 < reach_s * 1e9 < self._clock.wall_ns() - ended_ns

    def _give_up(self, gap: Gap, cause: str | None) -> None:
        self.statistics.given_up += 1
        self._healer.revise(gap, UNRECOVERABLE, cause)
        self._logger.warning(
            "gap %d of %s, ids %s..%s, cannot be filled any more",
            gap.gap_id,
            gap.stream,
            gap.from_id,
            gap.to_id,
        )
        walk = self._walks.get(gap.gap_id)
        if walk is not None:
            self._let_go(walk)


def _age_key(gap: Gap) -> tuple[int, int]:
    """Sorts gaps by what is newest."""
    return (gap.detected_ns if gap.to_ns is None else gap.to_ns, gap.gap_id)
