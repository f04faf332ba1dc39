"""The contract with plugins: everything that an exchange or a sink must be.

``ExchangeSession`` is both the pluggy specification of *connect, subscribe, parse,
health* and the static type. Its methods are bound once per connection, so a
message costs a plain call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import pluggy

from tapeline.clock import Clock, Now
from tapeline.model import (
    Acked,
    Action,
    Backfill,
    Batch,
    Budget,
    Capabilities,
    Channel,
    Closing,
    Dial,
    Fetch,
    Gap,
    Health,
    Instrument,
    LoggedIn,
    Malformed,
    MarketDataPoint,
    Missed,
    Outcome,
    Recovery,
    Rejected,
    Request,
    Response,
    Route,
    SessionHealth,
    SinkHealth,
    StatusChange,
    Subscription,
    Tick,
)
from tapeline.seams import Executor

PROJECT = "tapeline"
ENTRY_POINT_GROUP = "tapeline.plugins.v1"
API_VERSION = (1, 0)

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Parsed = Sequence[
    MarketDataPoint
    | Acked
    | Rejected
    | LoggedIn
    | Closing
    | Malformed
    | Missed
    | Action
]
"""What ``parse`` and ``respond`` give: events, replies, actions, in order."""

Instruments = Mapping[tuple[str, str], Instrument]
"""Live read-only view ``(market, symbol) → Instrument``, owned by core."""


class ExchangeSession(Protocol):
    """One connection's state machine: pure, single-threaded, no I/O, no clock.

    Implementations mark each method ``@hookimpl`` and take exactly these
    parameters. A new session is made for every connection.
    """

    @hookspec(firstresult=True)
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        """Say where to dial; called once before each dial.

        A session may return a ``Fetch`` first (a token, a host list); core sends
        it and calls again with the answer as *prior*.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        """Frames that ask for *wanted*; called after opening and when it grows."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Turn one frame into events, replies and actions; called per frame.

        Must not raise for anything a venue may send (``Malformed`` instead), must
        not block, log or keep *frame*.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def health(self, now: Now) -> SessionHealth:
        """What the session knows of itself; called when status is read."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def opened(self, now: Now) -> Sequence[Action]:
        """First frames on a fresh socket, e.g. a login; called once per open."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def unsubscribe(
        self, unwanted: Sequence[Subscription], now: Now
    ) -> Sequence[Action]:
        """Frames that end *unwanted*; called when what is wanted shrinks."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        """Start *subscription* afresh; called when its book chain broke."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def respond(self, response: Response, now: Now) -> Parsed:
        """Take the answer to a ``Fetch`` of this session."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def tick(self, now: Now) -> Tick:
        """Time has come to *wake_at_ns*, or a second has passed.

        Five seconds, when the session was told nothing since the last tick.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def closed(self, code: int | None, reason: str) -> Recovery:
        """The socket ended; say how to go on. Called once; nothing follows."""
        raise NotImplementedError


class SessionBase:
    """Defaults for the hooks that most sessions do not need."""

    @hookimpl
    def opened(self, now: Now) -> Sequence[Action]:
        """Nothing to send."""
        return ()

    @hookimpl
    def unsubscribe(
        self, unwanted: Sequence[Subscription], now: Now
    ) -> Sequence[Action]:
        """Nothing to send: what comes for it is dropped by core."""
        return ()

    @hookimpl
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        """Nothing to do."""
        return ()

    @hookimpl
    def respond(self, response: Response, now: Now) -> Parsed:
        """Nothing was asked."""
        return ()

    @hookimpl
    def tick(self, now: Now) -> Tick:
        """Nothing to do, and no wish to be woken."""
        return Tick()

    @hookimpl
    def closed(self, code: int | None, reason: str) -> Recovery:
        """Try again."""
        return Recovery.RETRY


class ExchangeAdapter(Protocol):
    """A factory for one exchange; immutable, pure, shared by all its sessions."""

    name: str
    config: type[Any]
    capabilities: Capabilities

    def channel(self, config: Any, data_type: str, timeframe: str) -> Channel:
        """The channel that *config* chooses for *data_type*."""

    def instruments(self, config: Any, market: str) -> Fetch:
        """The request that lists the instruments of *market*."""

    def read_instruments(self, response: Response) -> Sequence[Instrument]:
        """The instruments in the answer to ``instruments``."""

    def route(
        self, config: Any, instrument: Instrument | None, subscription: Subscription
    ) -> Route:
        """Which class of socket carries *subscription*, and what it costs there."""

    def session(
        self, config: Any, instruments: Instruments, route: Route
    ) -> ExchangeSession:
        """A new session for one socket of *route*."""

    def backfill(self, config: Any, gap: Gap) -> Backfill | None:
        """Pages that fill *gap*; None when the venue offers none.

        A gap in a candle stream asks for final candles that open between its times,
        both inclusive; its ids are None.
        """

    def probe(self, config: Any, subscription: Subscription) -> Fetch | None:
        """Ask for the newest id or time the venue knows; None when it cannot."""

    def read_probe(self, response: Response) -> tuple[int | None, int | None]:
        """``(id, time in ns)`` of the newest in the answer to ``probe``."""

    def server_time(self, config: Any) -> Fetch | None:
        """Ask for the venue's clock; None when it offers none."""

    def read_server_time(self, response: Response) -> int:
        """Nanoseconds UTC in the answer to ``server_time``."""

    def budgets(self, config: Any) -> Sequence[Budget]:
        """The limits of the venue that core shall keep."""

    def classify(self, response: Response) -> Outcome:
        """What a REST answer means; must not raise for any body."""

    def sign(self, config: Any, request: Request, now: Now) -> Request:
        """*request* with its signature; called at the moment it is sent."""

    def refused(self, status: int, body: str) -> Recovery:
        """What an HTTP status in place of the WebSocket handshake means."""

    def recorded_subscriptions(self, config: Any, frame: str) -> Sequence[Subscription]:
        """What *frame* of a recording shows to be subscribed; must not raise."""

    def collector_class(self) -> type[Any] | None:
        """The convenience collector of this venue; None for the general one."""

    def book_checksum(
        self, bids: Sequence[Sequence[str]], asks: Sequence[Sequence[str]]
    ) -> int | None:
        """The venue's checksum of a book, best levels first; None if it has none."""

    def simulator(
        self,
        market: SimulatedMarket,
        *,
        faults: Sequence[Any] = (),
        ledger: Any = None,
    ) -> SimulatedExchange | None:
        """A simulator of this venue over *market*; None when there is none.

        Args:
            faults: script of ``tapeline.testing.Fault``s.
            ledger: a ``tapeline.testing.Ledger`` that gets every fill.
        """


class AdapterBase:
    """Defaults for the optional parts of an ``ExchangeAdapter``."""

    capabilities: Capabilities

    def channel(self, config: Any, data_type: str, timeframe: str) -> Channel:
        """The first channel of *data_type* with that *timeframe*."""
        for channel in self.capabilities.channels.get(data_type, ()):
            if channel.timeframe == timeframe:
                return channel
        raise LookupError(
            f"no channel for data type {data_type!r}, timeframe {timeframe!r}"
        )

    def backfill(self, config: Any, gap: Gap) -> Backfill | None:
        """No backfill."""
        return None

    def probe(self, config: Any, subscription: Subscription) -> Fetch | None:
        """No probe."""
        return None

    def read_probe(self, response: Response) -> tuple[int | None, int | None]:
        """Never called when ``probe`` gives None."""
        raise NotImplementedError

    def server_time(self, config: Any) -> Fetch | None:
        """No clock."""
        return None

    def read_server_time(self, response: Response) -> int:
        """Never called when ``server_time`` gives None."""
        raise NotImplementedError

    def budgets(self, config: Any) -> Sequence[Budget]:
        """No limits."""
        return ()

    def sign(self, config: Any, request: Request, now: Now) -> Request:
        """Nothing to sign."""
        return request

    def recorded_subscriptions(self, config: Any, frame: str) -> Sequence[Subscription]:
        """Nothing: its recordings cannot be replayed."""
        return ()

    def collector_class(self) -> type[Any] | None:
        """None: the general collector."""
        return None

    def refused(self, status: int, body: str) -> Recovery:
        """401 and 451 are fatal, 403 blocks, 429 and 5xx back off."""
        if status in (401, 451):
            return Recovery.FATAL
        if status == 403:
            return Recovery.BLOCKED
        return Recovery.BACK_OFF

    def book_checksum(
        self, bids: Sequence[Sequence[str]], asks: Sequence[Sequence[str]]
    ) -> int | None:
        """No checksum."""
        return None

    def simulator(
        self,
        market: SimulatedMarket,
        *,
        faults: Sequence[Any] = (),
        ledger: Any = None,
    ) -> SimulatedExchange | None:
        """No simulator."""
        return None


class SimulatedMarket(Protocol):
    """The seeded market that simulators share; see ``tapeline.testing.market``."""

    seed: int


@attrs.frozen
class SimFrame:
    """A simulator sends *frame* on connection *conn*.

    Args:
        frame: the text.
    """

    conn: int
    frame: str


@attrs.frozen
class SimClose:
    """A simulator ends connection *conn*.

    Args:
        code: of the close frame; None tears the TCP connection down.
    """

    conn: int
    code: int | None = None
    reason: str = ""


@attrs.frozen
class SimPing:
    """A simulator sends a ping frame on connection *conn*.

    Args:
        payload: what the pong must repeat; at most 125 bytes.
    """

    conn: int
    payload: str


SimOutput = SimFrame | SimClose | SimPing
"""What a simulator may have to send."""


@attrs.frozen
class SimRefusal:
    """A handshake that is answered with an HTTP status instead."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class SimResponse:
    """Answer of a simulator's REST side."""

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)


class SimulatedExchange(Protocol):
    """A venue without sockets; a loopback server or a memory transport drives it.

    All times are wall nanoseconds UTC given by the caller.
    """

    def open(
        self, conn: int, path: str, headers: Mapping[str, str], now_ns: int
    ) -> SimRefusal | None:
        """A client asks for a WebSocket on *path*; None accepts it."""

    def receive(self, conn: int, frame: str, now_ns: int) -> None:
        """A client's frame arrived."""

    def closed(self, conn: int, now_ns: int) -> None:
        """A client is gone."""

    def request(
        self, method: str, target: str, headers: Mapping[str, str], now_ns: int
    ) -> SimResponse:
        """Answer a REST request for *target* (path and query)."""

    def advance(self, now_ns: int) -> None:
        """Let the market and all timers run up to *now_ns*."""

    def outputs(self) -> Sequence[SimOutput]:
        """What is to be sent since the last call, in order."""

    def wake_at_ns(self) -> int | None:
        """When ``advance`` has something to do next."""


@attrs.frozen
class SinkContext:
    """What core lends to a sink.

    Args:
        name: of the sink in the configuration.
        data_dir: folder for files of its own.
    """

    name: str
    clock: Clock
    executor: Executor
    logger: logging.Logger
    data_dir: Path


class Sink(Protocol):
    """Where events go; one task calls it, never two calls at once.

    It may also have an attribute ``keeps_dead_letters``, true when it keeps by itself
    what it refuses; for the others the journal keeps it.
    """

    async def open(self, journal_id: str) -> int | None:
        """Connect, make or upgrade the schema, tell how far it has this journal.

        Returns:
            the cursor's position, None when this journal is new to it.

        Raises:
            SinkUnavailable: to be tried again; anything else is final.
        """

    async def write(self, batch: Batch) -> None:
        """Store *batch* and the cursor; returning means stored.

        Raises:
            SinkUnavailable: the same batch comes again.
            SinkRejected: some of it can never be stored.
            SinkReplaced: less is stored than there was; ``open`` comes next.
        """

    async def close(self) -> None:
        """Flush and release; safe twice, safe unopened."""

    def health(self, now: Now) -> SinkHealth:
        """What the sink knows of itself; never the network."""


class DatabaseReader(Protocol):
    """What ``verify``, ``gaps`` and ``replay --database`` need of a database."""

    def trades(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``trades``, ordered by stream and ``last_id``."""

    def gaps(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``gaps``, ordered by ``gap_id``."""

    def coverage(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``coverage``, ordered by stream and ``started_ns``."""

    def candles(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``market_data``, ordered by key."""

    def counts(self) -> Mapping[str, int]:
        """Table name → number of rows."""

    def cursors(self) -> Sequence[Mapping[str, Any]]:
        """Rows of ``tapeline_cursors``."""

    def close(self) -> None:
        """Release the database."""


class SinkAdapter(Protocol):
    """A factory for one kind of sink.

    It may also have ``check(config) -> str | None``: a sentence on what stands
    against these options as seen without writing anything, for ``tapeline check``;
    and ``options_for(url) -> Mapping[str, object] | None``: the options that store
    at *url*, a path or an address, None when it is not ours, for ``--database`` of
    ``tapeline replay``.

    Args:
        accepts: data types it takes; ``None`` for all.
        promise: ``durable`` (reads the journal, owns a cursor) or ``live`` (in
            memory, at most once).
        default: True for the embedded database that is used when none is named.
    """

    name: str
    config: type[Any]
    promise: str
    accepts: Sequence[str] | None
    default: bool

    def sink(self, config: Any, context: SinkContext) -> Sink:
        """A new sink; opens nothing yet."""

    def open_reader(self, url: str) -> DatabaseReader | None:
        """Open the database at *url* for reading; None when it is not ours."""


class Control(Protocol):
    """The running collection, as a service sees and steers it."""

    def status(self) -> Mapping[str, Any]:
        """What ``CollectorManager.get_status()`` gives; JSON-ready."""

    def health(self) -> Health:
        """Whether what is wanted is being delivered, as of now."""

    def add_observer(self, observer: Callable[[StatusChange], None]) -> None:
        """Tell *observer* of every change of state; it must return quickly."""

    async def restart(self, name: str) -> bool:
        """Restart collector *name*; False when unknown, disabled or not started."""

    async def enable(self, name: str) -> bool:
        """Let collector *name* run; False when there is none of that name."""

    async def disable(self, name: str) -> bool:
        """Stop collector *name* and keep it; False when there is none."""


@attrs.frozen
class ServiceContext:
    """What core lends to a service.

    Args:
        name: of the service in the configuration.
    """

    name: str
    clock: Clock
    logger: logging.Logger


class Service(Protocol):
    """Something that runs beside the collection: an HTTP server, an alert."""

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled; call *ready* once it does.

        Raises:
            TapelineError: it cannot serve; its ``recovery`` says whether to try
                again. A failure never reaches the collection.
        """


class ServiceAdapter(Protocol):
    """A factory for one kind of service."""

    name: str
    config: type[Any]

    def service(
        self, config: Any, control: Control, context: ServiceContext
    ) -> Service:
        """A new service; opens nothing yet."""


@attrs.frozen
class PluginInfo:
    """Who a plugin is.

    Args:
        summary: one line, for ``tapeline plugins``.
        docs_url: where its documentation is; empty when nowhere.
        name: also its entry point's name, and the prefix of what it offers.
        api: ``(major, minor)`` of the contract it was written against, a literal.
    """

    name: str
    api: tuple[int, int]
    summary: str
    docs_url: str = ""


class PluginSpecs:
    """Registration hooks: synchronous, once per plugin, no I/O."""

    @hookspec(firstresult=True)
    def tapeline_plugin_info(self) -> PluginInfo:
        """Who the plugin is; mandatory."""
        raise NotImplementedError

    @hookspec
    def tapeline_exchanges(self) -> Sequence[ExchangeAdapter]:
        """The exchanges it offers."""
        raise NotImplementedError

    @hookspec
    def tapeline_sinks(self) -> Sequence[SinkAdapter]:
        """The sinks it offers."""
        raise NotImplementedError

    @hookspec
    def tapeline_services(self) -> Sequence[ServiceAdapter]:
        """The services it offers."""
        raise NotImplementedError

    @hookspec
    def tapeline_session_wrappers(self) -> Sequence[object]:
        """Objects with pluggy wrappers of session hooks: tracers, fault injectors."""
        raise NotImplementedError

    @hookspec
    def tapeline_status_changed(self, change: StatusChange) -> None:
        """A component changed its state; must return quickly."""
        raise NotImplementedError
