"""Asks a venue over REST whether a silent stream should have spoken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from tapeline.hookspecs import ExchangeAdapter
from tapeline.model import DataType, Fetch, Subscription
from tapeline.runtime.watch_settings import Known, WatchSettings
from tapeline.transport import RestClient


@attrs.frozen
class Newest:
    """The newest that a venue knows of a stream.

    Args:
        event_id: its id; None where the answer has none.
        event_ns: its time by the venue's clock; None where the answer has none.
        asked_ns: when it was asked, by the venue's clock.
    """

    event_id: int | None
    event_ns: int | None
    asked_ns: int


class Prober:
    """Probes streams within a budget of its own, and compares with what we have.

    Args:
        known: what the pipeline has of a stream.
    """

    def __init__(
        self,
        adapter: ExchangeAdapter,
        config: Any,
        rest: RestClient,
        known: Callable[[Subscription], Known],
        settings: WatchSettings,
    ) -> None:
        self._adapter = adapter
        self._config = config
        self._rest = rest
        self._known = known
        self._settings = settings
        self._asked_ns: list[int] = []

    def may_ask(self) -> bool:
        """Whether the budget allows another probe now; it is spent then."""
        now_ns = self._rest.clock.monotonic_ns()
        edge_ns = now_ns - int(self._settings.probes_per_s * 1e9)
        self._asked_ns = [at_ns for at_ns in self._asked_ns if at_ns > edge_ns]
        if len(self._asked_ns) >= self._settings.probes:
            return False
        self._asked_ns.append(now_ns)
        return True

    def request(self, subscription: Subscription) -> Fetch | None:
        """The request that tells whether *subscription* should have moved."""
        if self._adapter.probe(self._config, subscription) is None:
            return None
        return self._adapter.probe(self._config, self._asked(subscription))

    def _asked(self, subscription: Subscription) -> Subscription:
        """The stream that is asked about to learn of *subscription*.

        Tickers and books are asked about by the instrument's trades where there are
        some: venues stamp the others with the time of asking.
        """
        if subscription.data_type == DataType.TRADE:
            return subscription
        try:
            channel = self._adapter.channel(self._config, DataType.TRADE.value, "")
        except LookupError:
            return subscription
        return Subscription(
            subscription.exchange,
            subscription.market,
            subscription.symbol,
            channel.data_type,
            channel.name,
            channel.id_kind,
        )

    async def ask(self, fetch: Fetch) -> Newest:
        """What the venue answers.

        Raises:
            RequestFailed: it does not.
            DataValidationError: the answer could not be read.
        """
        asked_ns = self._rest.now().venue_ns
        response = await self._rest.fetch(
            attrs.evolve(fetch, urgent=True), self._settings.probe_s
        )
        return Newest(*self._adapter.read_probe(response), asked_ns)

    def age_s(self, newest: Newest) -> float:
        """How long ago it happened; long enough where the answer has no time."""
        if newest.event_ns is None:
            return self._settings.confirm_s
        return (self._rest.now().venue_ns - newest.event_ns) / 1e9

    def has_newer(
        self, subscription: Subscription, newest: Newest, silent_since_ns: int
    ) -> bool:
        """Whether the venue has what we should have got and did not.

        Args:
            silent_since_ns: since when the stream has said nothing, monotonic.
        """
        known = self._known(subscription)
        by_id = subscription.data_type == DataType.TRADE
        if by_id and newest.event_id is not None and known.last_id is not None:
            return newest.event_id > known.last_id
        if newest.event_ns is None:
            return False
        # What we have is as new as its own time, and as its subscription.
        since_ns = silent_since_ns - self._rest.clock.monotonic_ns()
        venue_since_ns = self._rest.now().venue_ns + since_ns
        margin_ns = int(self._settings.confirm_s * 1e9)
        return newest.event_ns > max(venue_since_ns, known.exchange_ns or 0) + margin_ns

    def is_behind(self, subscription: Subscription, newest: Newest) -> bool:
        """Whether the answer knows less than we do, as an old cache does.

        It tells nothing then, and a stream of which nothing can be told is not quiet.
        """
        asked = self._asked(subscription)
        known_id = self._known(asked).last_id
        if asked.data_type != DataType.TRADE or known_id is None:
            return False
        if newest.event_id is None:
            return newest.event_ns is None
        return newest.event_id < known_id

    def quiet_until_ns(self, subscription: Subscription, newest: Newest) -> int | None:
        """Until when nobody traded, by the venue's clock; None when that is not told.

        It is when the venue's newest trade is ours, too.
        """
        if (
            subscription.data_type != DataType.TRADE
            or newest.event_id is None
            or newest.event_id != self._known(subscription).last_id
        ):
            return None
        # A trade of the last moment may not be in the answer yet.
        return newest.asked_ns - int(self._settings.confirm_s * 1e9)
