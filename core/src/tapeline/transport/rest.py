"""REST with manners: budgets, signing at send time, retries, bans."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import anyio
import attrs

from tapeline.backoff import Backoff
from tapeline.clock import Clock, Now, now
from tapeline.errors import RequestFailed
from tapeline.hookspecs import ExchangeAdapter
from tapeline.model import Fetch, Outcome, OutcomeKind, Response
from tapeline.seams import Http
from tapeline.transport.addresses import shown_url
from tapeline.transport.bans import BanMemory, MemoryBans
from tapeline.transport.budgets import BudgetKeeper
from tapeline.transport.failures import (
    RequestExpired,
    RequestRefused,
    TooManyWaiting,
)
from tapeline.transport.retry_after import read_retry_after_s

_LIMITED_WAIT_S = 1.0
_BANNED_WAIT_S = 120.0


@attrs.frozen
class RestSettings:
    """Bounds of REST requests.

    Args:
        timeout_s: for one try, from sending to the last byte.
        deadline_s: for the whole request, with all waiting and retries.
        max_waiting: requests under way or waiting at the same time.
    """

    timeout_s: float = 10.0
    deadline_s: float = 60.0
    max_waiting: int = 512


@attrs.define
class RestCounters:
    """What a ``RestClient`` has done so far."""

    sent: int = 0
    retries: int = 0
    limited: int = 0
    banned: int = 0
    failed: int = 0


class RestClient:
    """Fetches for one exchange configuration; used by many tasks at once.

    Args:
        budgets: of the exchange; shared by all that use the same address or key.
        bans: where bans are remembered, shared by all of the same exchange.
        venue_offset_ns: the venue's clock minus ours, kept by ``VenueTime``.
    """

    def __init__(
        self,
        adapter: ExchangeAdapter,
        config: Any,
        http: Http,
        clock: Clock,
        budgets: BudgetKeeper,
        rng: random.Random,
        bans: BanMemory | None = None,
        settings: RestSettings | None = None,
    ) -> None:
        self.adapter = adapter
        self.config = config
        self.clock = clock
        self.budgets = budgets
        self.settings = settings or RestSettings()
        self.counters = RestCounters()
        self.venue_offset_ns = 0
        self._http = http
        self._rng = rng
        self._bans = bans or MemoryBans(clock)
        self._pause = f"{adapter.name}:limited"
        self._waiting = 0

    def now(self) -> Now:
        """This moment, with the venue's clock as far as it is known."""
        return now(self.clock, self.venue_offset_ns)

    @property
    def waiting(self) -> int:
        """Requests under way or waiting."""
        return self._waiting

    def banned_for_s(self) -> float:
        """Seconds until the venue's ban ends; 0 when there is none."""
        return self._bans.left_s(self.adapter.name)

    async def fetch(
        self,
        fetch: Fetch,
        deadline_s: float | None = None,
        on_retry: Callable[[str], None] | None = None,
    ) -> Response:
        """Send *fetch* when its budgets allow it; try again while that may help.

        Args:
            deadline_s: instead of the one of the settings.
            on_retry: told why, before each new try.

        Raises:
            RequestRefused: the venue's answer is final, or it bans us.
            RequestExpired: no usable answer in time.
            TooManyWaiting: too many requests wait already.
        """
        shown = f"{fetch.request.method} {shown_url(fetch.request.url)}"
        if self._waiting >= self.settings.max_waiting:
            self.counters.failed += 1
            raise TooManyWaiting(shown, self.settings.max_waiting)
        bound_s = self.settings.deadline_s if deadline_s is None else deadline_s
        trial = _Trial(shown, bound_s, on_retry)
        self._waiting += 1
        try:
            with anyio.fail_after(bound_s):
                response = await self._try_until_done(fetch, trial)
        except TimeoutError:
            self.counters.failed += 1
            raise RequestExpired(shown, bound_s, trial.last) from None
        except RequestFailed:
            self.counters.failed += 1
            raise
        finally:
            self._waiting -= 1
        return attrs.evolve(response, request=fetch.request, tag=fetch.tag)

    async def _try_until_done(self, fetch: Fetch, trial: _Trial) -> Response:
        backoff = Backoff(self._rng, base_s=0.5, cap_s=10.0)
        while True:
            await self._wait_for_turn(fetch, trial)
            request = fetch.request
            if request.private:
                request = self.adapter.sign(self.config, request, self.now())
            self.counters.sent += 1
            try:
                response = await self._http.send(request, self.settings.timeout_s)
            except RequestFailed as error:
                trial.last = str(error)
                self.counters.retries += 1
                trial.tell()
                await self.clock.sleep(backoff.next_delay_s())
                continue
            outcome = self.adapter.classify(response)
            if outcome.used:
                self.budgets.observe(outcome.used)
            if outcome.kind is OutcomeKind.OK:
                return response
            trial.last = f"HTTP {response.status} ({outcome.kind.value})"
            delay_s = self._judge(outcome, response, trial)
            self.counters.retries += 1
            trial.tell()
            await self.clock.sleep(delay_s + backoff.next_delay_s())

    async def _wait_for_turn(self, fetch: Fetch, trial: _Trial) -> None:
        """Wait for the end of pauses, then for the budgets, until both are so."""
        while True:
            banned_s = self.banned_for_s()
            if banned_s > trial.deadline_s:
                raise RequestRefused(
                    trial.shown,
                    OutcomeKind.BANNED,
                    None,
                    f"banned for another {banned_s:.0f} s",
                )
            wait_s = max(banned_s, self._bans.left_s(self._pause))
            if wait_s > 0:
                await self.clock.sleep(wait_s + self._rng.uniform(0.0, 0.1))
                continue
            if self.budgets.try_take(fetch.costs):
                return
            await self.budgets.take(fetch.costs, fetch.urgent)
            if self.banned_for_s() == 0.0 and not self._paused():
                return

    def _paused(self) -> bool:
        return self._bans.left_s(self._pause) > 0

    def _judge(self, outcome: Outcome, response: Response, trial: _Trial) -> float:
        """Seconds to stay away before the next try.

        Raises:
            RequestRefused: there must be no next try.
        """
        kind = outcome.kind
        asked_s = outcome.wait_s
        if asked_s is None:
            asked_s = read_retry_after_s(response.headers)
        refused = RequestRefused(trial.shown, kind, response.status, outcome.reason)
        if kind is OutcomeKind.BANNED:
            self.counters.banned += 1
            wait_s = _BANNED_WAIT_S if asked_s is None else asked_s
            self._bans.remember(self.adapter.name, wait_s)
            if wait_s > trial.deadline_s:
                raise refused
            return 0.0
        if kind is OutcomeKind.LIMITED:
            self.counters.limited += 1
            wait_s = _LIMITED_WAIT_S if asked_s is None else asked_s
            self._bans.remember(self._pause, wait_s)
            return 0.0
        if kind is OutcomeKind.RETRY:
            return asked_s or 0.0
        raise refused


@attrs.define
class _Trial:
    shown: str
    deadline_s: float
    on_retry: Callable[[str], None] | None
    last: str = ""

    def tell(self) -> None:
        if self.on_retry is not None:
            self.on_retry(f"{self.shown}: {self.last}")
