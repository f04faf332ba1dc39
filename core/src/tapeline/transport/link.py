"""All sockets of one exchange configuration."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import anyio
import anyio.abc
import attrs

from tapeline.errors import ContractError
from tapeline.hookspecs import ExchangeAdapter, Instruments
from tapeline.logs import RateLimitedLog
from tapeline.model import Instrument, Route, Subscription
from tapeline.seams import Seams
from tapeline.transport.bundle import Bundle
from tapeline.transport.endings import STALL
from tapeline.transport.inbox import Inbox, StreamDropped
from tapeline.transport.rest import RestClient
from tapeline.transport.routes import RoutePacker
from tapeline.transport.status import (
    LinkChange,
    LinkPulse,
    LinkStatus,
    SubscriptionStatus,
)
from tapeline.transport.venue_time import VenueTime
from tapeline.transport.wiring import Bind, LinkSettings, Wiring

_TIME_BEFORE_LOGIN_S = 5.0
_LEVELS = {
    "connected": logging.INFO,
    "replacing": logging.INFO,
    "failed": logging.ERROR,
    "crashed": logging.ERROR,
}


class ExchangeLink:
    """Keeps what is wanted of one exchange flowing into an inbox.

    Args:
        instruments: live view ``(market, symbol) → Instrument``.
        inbox: takes events and marks of all sockets.
        bind: makes a session callable, with its wrappers.
        rest: shared by all links of the same address and key.
        name: for logs and status.
        on_change: told of what happens; must return quickly.
        logger: told the same; None is silent.
        numbers: of connections; shared by links whose streams are told apart by them.
    """

    def __init__(
        self,
        adapter: ExchangeAdapter,
        config: Any,
        *,
        seams: Seams,
        instruments: Instruments,
        inbox: Inbox,
        bind: Bind,
        rest: RestClient,
        settings: LinkSettings | None = None,
        name: str = "",
        on_change: Callable[[LinkChange], None] | None = None,
        logger: logging.Logger | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.name = name or adapter.name
        self.rest = rest
        self._adapter = adapter
        self._config = config
        self._instruments = instruments
        self._inbox = inbox
        self._clock = seams.clock
        self._wiring = Wiring(
            adapter,
            config,
            instruments,
            bind,
            seams,
            inbox,
            rest,
            settings or LinkSettings(),
        )
        self._on_change = on_change
        self._logger = logger
        self._packer = RoutePacker()
        self._bundles: dict[int, Bundle] = {}
        self._numbers = itertools.count(1) if numbers is None else numbers
        self._tasks: anyio.abc.TaskGroup | None = None
        self._stopping = anyio.Event()
        self._stopped = anyio.Event()
        self._venue_time = VenueTime(rest)
        self._rarely = logger and RateLimitedLog(logger, seams.clock)
        # Of the requests that come before there is any socket.
        self._first_error = ""
        self._first_attempts = 0
        self._turns = 0

    # -- what is wanted --------------------------------------------------------

    @property
    def wanted(self) -> list[Subscription]:
        """The desired state."""
        return list(self._packer)

    def want(self, subscriptions: Collection[Subscription]) -> None:
        """Want exactly *subscriptions*, at any time; healthy streams do not move.

        Raises:
            Exception: whatever the adapter's ``route`` raises; nothing has changed.
        """
        desired = dict.fromkeys(subscriptions)
        routes = {
            subscription: self._route(subscription)
            for subscription in desired
            if subscription not in self._packer
        }
        touched: set[int] = set()
        gone: dict[Subscription, Collection[int]] = {}
        for subscription in list(self._packer):
            if subscription not in desired:
                packed = self._packer.remove(subscription)
                gone[subscription] = ()
                if packed is not None:
                    touched.add(packed.number)
                    if packed.number in self._bundles:
                        gone[subscription] = self._bundles[packed.number].connections()
        for subscription, route in routes.items():
            touched.add(self._packer.add(subscription, route).number)
        for number in sorted(touched):
            self._apply(number)
        at_ns = self._clock.wall_ns()
        for subscription, connections in gone.items():
            self._inbox.put(StreamDropped(subscription, at_ns, connections))

    def give_up(self, subscriptions: Iterable[Subscription]) -> None:
        """Say of *subscriptions*, which nothing carries, that nobody wants them."""
        at_ns = self._clock.wall_ns()
        self._inbox.put(*(StreamDropped(one, at_ns) for one in subscriptions))

    def resync(self, subscription: Subscription, connection: int | None = None) -> None:
        """Let sessions start *subscription* afresh: its book chain broke.

        Args:
            connection: the one whose session is meant; None for all.
        """
        bundle = self._bundle_of(subscription)
        if bundle is not None:
            bundle.resync(subscription, connection)

    def resubscribe(self, subscription: Subscription, cause: str = STALL) -> None:
        """End *subscription* and ask for it anew, leaving its neighbors alone."""
        self.resubscribe_all((subscription,), cause)

    def resubscribe_all(
        self, subscriptions: Collection[Subscription], cause: str = STALL
    ) -> None:
        """``resubscribe`` for many, in as few frames as the venue takes."""
        places: dict[int, list[Subscription]] = {}
        for subscription in subscriptions:
            packed = self._packer.find(subscription)
            if packed is not None and packed.number in self._bundles:
                places.setdefault(packed.number, []).append(subscription)
        for number, found in places.items():
            self._bundles[number].resubscribe(found, cause)

    def socket_of(self, subscription: Subscription) -> int | None:
        """Number of the socket that carries *subscription*; None when none does."""
        packed = self._packer.find(subscription)
        return None if packed is None else packed.number

    def pending(self, subscription: Subscription) -> str:
        """What is under way for *subscription*.

        Returns:
            ``request`` or ``frame``, which may wait for a budget of ours;
            ``answer``, which the venue owes; empty when nothing is under way.
        """
        bundle = self._bundle_of(subscription)
        return "" if bundle is None else bundle.pending(subscription)

    def drop_socket(self, number: int, cause: str = STALL) -> None:
        """End a connection of socket *number* and dial another."""
        bundle = self._bundles.get(number)
        if bundle is not None:
            bundle.drop("dropped on request", cause)

    def replace_sockets(
        self, subscriptions: Collection[Subscription], reason: str
    ) -> None:
        """Have the sockets that carry *subscriptions* replaced, with overlap."""
        packed = (self._packer.find(subscription) for subscription in subscriptions)
        for number in {one.number for one in packed if one is not None}:
            if number in self._bundles:
                self._bundles[number].replace(reason)

    # -- running ---------------------------------------------------------------

    async def run(self) -> None:
        """Own all sockets until ``stop``, ``request_stop`` or cancellation."""
        if self._tasks is not None:
            raise ContractError(
                "expected a link to run once at a time, found it running"
            )
        self._stopping = anyio.Event()
        self._stopped = anyio.Event()
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                helpers = anyio.CancelScope()
                tasks.start_soon(self._keep_time, helpers)
                for bundle in self._bundles.values():
                    tasks.start_soon(self._run_bundle, bundle)
                # As long as the collector runs.
                await self._stopping.wait()
                helpers.cancel()
                for bundle in self._bundles.values():
                    bundle.close()
        finally:
            self._tasks = None
            self._stopped.set()

    def request_stop(self) -> None:
        """Let ``run`` close all sockets and return."""
        self._stopping.set()

    async def stop(self) -> None:
        """Close all sockets and wait for ``run``; bounded by each socket's close."""
        self.request_stop()
        if self._tasks is not None:
            await self._stopped.wait()

    async def load_instruments(
        self, market: str, deadline_s: float = 60.0
    ) -> Sequence[Instrument]:
        """The instruments of *market*; tried again until *deadline_s*.

        Raises:
            RequestFailed: no usable answer.
        """
        fetch = self._adapter.instruments(self._config, market)
        response = await self.rest.fetch(fetch, deadline_s, self._no_instruments)
        self._first_error, self._first_attempts = "", 0
        return self._adapter.read_instruments(response)

    # -- status ----------------------------------------------------------------

    def subscriptions(self) -> list[SubscriptionStatus]:
        """How each wanted stream is; cheaper than the whole ``status``."""
        return [
            one for bundle in self._bundles.values() for one in bundle.subscriptions()
        ]

    def subscription(self, subscription: Subscription) -> SubscriptionStatus | None:
        """How one wanted stream is; None when it is not wanted."""
        bundle = self._bundle_of(subscription)
        return None if bundle is None else bundle.subscription(subscription)

    def activity(self) -> tuple[int, int]:
        """Something that changes with every frame, and with every socket's state."""
        bundles = self._bundles.values()
        return sum(bundle.frames for bundle in bundles), self._turns

    def frames(self, number: int) -> int:
        """Frames received on socket *number* so far, over all its connections."""
        bundle = self._bundles.get(number)
        return 0 if bundle is None else bundle.frames

    def pulse(self) -> LinkPulse:
        """The few figures of ``status`` that are cheap."""
        bundles = self._bundles.values()
        failed = next((bundle.failed for bundle in bundles if bundle.failed), "")
        worst = max(bundles, key=lambda bundle: bundle.attempts, default=None)
        return LinkPulse(
            failed,
            worst.last_error if worst is not None else self._first_error,
            worst.attempts if worst is not None else self._first_attempts,
            sum(bundle.frames for bundle in bundles),
        )

    def status(self) -> LinkStatus:
        """How the link, its sockets and its streams are; never the network."""
        bundles = list(self._bundles.values())
        sockets = [one for bundle in bundles for one in bundle.status()]
        failed = next((bundle.failed for bundle in bundles if bundle.failed), "")
        worst = max(bundles, key=lambda bundle: bundle.attempts, default=None)
        return LinkStatus(
            self._adapter.name,
            self.name,
            self._state({bundle.state for bundle in bundles}),
            failed,
            worst.last_error if worst is not None else self._first_error,
            worst.attempts if worst is not None else self._first_attempts,
            sum(bundle.reconnects for bundle in bundles),
            self.rest.banned_for_s(),
            self.rest.venue_offset_ns,
            sockets,
            self.subscriptions(),
            self.rest.budgets.statistics(),
            attrs.asdict(self.rest.counters),
        )

    def _state(self, states: set[str]) -> str:
        if "failed" in states:
            return "failed"
        if self._tasks is None:
            return "stopped"
        if "backing-off" in states:
            return "backing-off"
        return "open" if states <= {"open"} else "connecting"

    # -- inside ----------------------------------------------------------------

    def _route(self, subscription: Subscription) -> Route:
        key = (subscription.market, subscription.symbol)
        return self._adapter.route(
            self._config, self._instruments.get(key), subscription
        )

    def _bundle_of(self, subscription: Subscription) -> Bundle | None:
        packed = self._packer.find(subscription)
        return self._bundles.get(packed.number) if packed is not None else None

    def _apply(self, number: int) -> None:
        """Bring socket *number* in step with what is packed on its socket."""
        packed = self._packer.sockets.get(number)
        bundle = self._bundles.get(number)
        if packed is None:
            if bundle is not None:
                bundle.want(())
                bundle.close()
                del self._bundles[number]
            return
        if bundle is None:
            bundle = Bundle(
                self._wiring,
                number,
                packed.route,
                self._wiring.settings.redundancy,
                lambda: next(self._numbers),
                self._tell,
            )
            self._bundles[number] = bundle
            if self._tasks is not None:
                self._tasks.start_soon(self._run_bundle, bundle)
        bundle.want(packed.subscriptions)

    async def _run_bundle(self, bundle: Bundle) -> None:
        if bundle.route.private:
            # Signatures carry the venue's time; without it they may still do.
            with anyio.move_on_after(_TIME_BEFORE_LOGIN_S):
                await self._venue_time.synced.wait()
        await bundle.run()

    async def _keep_time(self, scope: anyio.CancelScope) -> None:
        with scope:
            await self._venue_time.run()

    def _no_instruments(self, reason: str) -> None:
        self._first_error = reason
        self._first_attempts += 1
        if self._rarely is not None:
            text = "%s: no list of instruments yet, trying again: %s"
            self._rarely.warning("instruments", text, self.name, reason)

    def _tell(self, kind: str, socket: int, copy: int, detail: str) -> None:
        self._turns += 1
        shown = f"{socket}" if copy == 1 else f"{socket}, copy {copy}"
        if kind == "unreachable" and self._rarely is not None:
            text = "%s: socket %s could not be opened, trying again: %s"
            self._rarely.warning(kind, text, self.name, shown, detail)
        elif self._logger is not None:
            level = _LEVELS.get(kind, logging.WARNING)
            text = "%s: socket %s %s%s%s"
            colon = ": " if detail else ""
            self._logger.log(level, text, self.name, shown, kind, colon, detail)
        if self._on_change is not None:
            at_ns = self._clock.wall_ns()
            self._on_change(LinkChange(kind, socket, detail, at_ns, copy))
