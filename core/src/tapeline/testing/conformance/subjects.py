"""What the author of a plugin gives to the conformance kits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

import attrs

from tapeline.hookspecs import API_VERSION, ExchangeAdapter, SinkAdapter
from tapeline.model import (
    Instrument,
    MarketDataPoint,
    Record,
    Send,
    Subscription,
)

Answers = Callable[[Send, Collection[Subscription]], Sequence[str]]
"""``(send, refused)`` → the frames with which the venue answers *send*.

*refused* are those of its subscriptions that the venue does not accept; the frames
must say so in the venue's way.
"""


@attrs.frozen
class Recording:
    """Frames of one socket, as the venue sent them.

    Args:
        name: for messages, e.g. ``trades``.
        subscriptions: what was subscribed on the socket, all of one route.
        frames: data frames in order, at least one for each subscription.
        events: exactly what the frames mean, in order; ``received_ns`` is not
            compared. None leaves that case unshown.
        config: options of the adapter; None takes those of the whole.
        responses: path of a REST address → body, for what the session fetches.
    """

    name: str
    subscriptions: Sequence[Subscription]
    frames: Sequence[str]
    events: Sequence[MarketDataPoint] | None = None
    config: Any = None
    responses: Mapping[str, bytes] = MappingProxyType({})


@attrs.frozen
class SimulatedCollection:
    """What is collected from the simulator.

    Args:
        market: of the simulated instruments to collect.
        config: options of the adapter; None takes those of the whole.
        trades, books: the venue's words for the channels, as fault scripts name
            them; empty where *config* has no such channel.
        symbols: how many instruments the cold start has.
    """

    market: str = "spot"
    config: Any = None
    trades: str = ""
    books: str = ""
    symbols: int = 60


@attrs.frozen
class ExchangeUnderTest:
    """An exchange adapter and what is needed to hold it to its rules.

    Args:
        adapter: a fresh one.
        recordings: of at least one socket; together they should show every kind of
            channel.
        config: options of the adapter; None takes its defaults.
        instruments: ``(market, symbol)`` → instrument, as the recordings need them.
        answers: how the venue answers requests; without it the cases about
            acknowledgments are not shown.
        simulated: what to collect from the adapter's simulator; None when the adapter
            has none.
        cost_ratio: how many times the cost of decoding the JSON of a frame its
            ``parse`` may have.
        secrets: options whose secrets all contain ``SECRET_TEXT``; None when the
            adapter has no secrets.
        plugin: name of the installed plugin that offers it; empty when none does.
        api: of the contract it was written against.
    """

    adapter: ExchangeAdapter
    recordings: Sequence[Recording]
    config: Any = None
    instruments: Mapping[tuple[str, str], Instrument] = MappingProxyType({})
    answers: Answers | None = None
    simulated: SimulatedCollection | None = None
    cost_ratio: float = 8.0
    secrets: Any = None
    plugin: str = ""
    api: tuple[int, int] = API_VERSION

    def config_of(self, own: Any = None) -> Any:
        """*own*, else the configuration of the whole, else the defaults."""
        if own is not None:
            return own
        return self.adapter.config() if self.config is None else self.config


SECRET_TEXT = "conformance-secret"
"""To be part of every secret in ``ExchangeUnderTest.secrets``."""


@attrs.frozen
class Destination:
    """An empty place for a sink to store in, and a way to look into it from outside.

    Args:
        config: the sink's options, pointing there.
        stored: ``last_id`` of every stored trade, repeats included, in the order of
            storing where there is one. It must not go through the sink; it is called
            in a worker thread.
        outage: takes the destination away while it is entered. None leaves the cases
            about outages unshown.
        poison: a record that the destination can never store. None when it stores
            everything.
    """

    config: Any
    stored: Callable[[], Sequence[int]]
    outage: Callable[[], AbstractContextManager[None]] | None = None
    poison: Record | None = None


@attrs.frozen
class SinkUnderTest:
    """A sink adapter and what is needed to hold it to its promise.

    Args:
        adapter: the sink's.
        destination: enters an empty ``Destination``; called for every case.
        cost_ratio: how many times the cost of encoding events as JSON ``write`` may
            have.
        deadline_s: for every call of the sink, real time.
        secrets: options whose secrets all contain ``SECRET_TEXT``; None when the
            sink has no secrets.
        plugin: name of the installed plugin that offers it; empty when none does.
        api: of the contract it was written against.
    """

    adapter: SinkAdapter
    destination: Callable[[], AbstractContextManager[Destination]]
    cost_ratio: float = 50.0
    deadline_s: float = 30.0
    secrets: Any = None
    plugin: str = ""
    api: tuple[int, int] = API_VERSION

    @property
    def is_durable(self) -> bool:
        """Whether it promises to keep what it accepted."""
        return self.adapter.promise == "durable"
