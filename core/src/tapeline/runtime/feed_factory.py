"""Makes the feeds of one engine, and holds what they share: budgets, instruments."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from tapeline.model import Channel, Instrument, Subscription
from tapeline.plugins import bind_session
from tapeline.runtime.bans import JournalBans
from tapeline.runtime.feed import Feed
from tapeline.runtime.settings import FeedSettings
from tapeline.seams import Seams
from tapeline.transport import (
    BudgetPool,
    ExchangeLink,
    Inbox,
    LinkSettings,
    RestClient,
)

Follow = Callable[[FeedSettings, Subscription, Channel], object]


class FeedFactory:
    """Builds feeds that share budgets, instruments and bans of their venues.

    Args:
        inbox: where all of them put what comes.
        instruments: exchange → its instruments; filled by the feeds.
        follow: told of every stream that a feed wants, before its first event.
        wrappers: session wrappers of plugins.
        reconnect_delay_s: bound of the first pause before a socket is dialed again.

    Attributes:
        bans: until when a venue answers no request.
    """

    def __init__(
        self,
        seams: Seams,
        inbox: Inbox,
        instruments: dict[str, dict[tuple[str, str], Instrument]],
        follow: Follow,
        wrappers: Sequence[object],
        reconnect_delay_s: float,
    ) -> None:
        self.bans = JournalBans(seams.clock)
        self._seams = seams
        self._inbox = inbox
        self._instruments = instruments
        self._follow = follow
        self._wrappers = tuple(wrappers)
        self._reconnect_delay_s = reconnect_delay_s
        self._budgets = BudgetPool(seams.clock)
        self._connections = itertools.count(1)

    def build(self, settings: FeedSettings, seams: Seams) -> Feed:
        """A feed that does not run yet.

        Args:
            seams: what its sockets and requests go over; waits and back-offs go by
                the factory's own.
        """
        adapter = settings.adapter
        instruments = self._instruments.setdefault(adapter.name, {})
        # One address for all collectors of a venue, so they share its budgets.
        keeper = self._budgets.keeper(
            adapter.name, adapter.budgets(settings.config), settings.name
        )
        rest = RestClient(
            adapter,
            settings.config,
            seams.http,
            self._seams.clock,
            keeper,
            self._seams.random,
            bans=self.bans,
        )
        link = ExchangeLink(
            adapter,
            settings.config,
            seams=seams,
            instruments=instruments,
            inbox=self._inbox,
            bind=lambda session: bind_session(session, self._wrappers),
            rest=rest,
            settings=LinkSettings(
                first_delay_s=self._reconnect_delay_s,
                redundancy=settings.redundancy,
            ),
            name=settings.name,
            logger=settings.logger("link"),
            numbers=self._connections,
        )

        def register(subscription: Subscription, channel: Channel) -> object:
            return self._follow(settings, subscription, channel)

        return Feed(settings, link, instruments, register, self._seams)
