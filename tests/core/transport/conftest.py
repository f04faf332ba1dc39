"""A tiny venue in memory, an adapter for it, and a link between them."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from tapeline.clock import Clock, Now
from tapeline.errors import RequestFailed, SocketClosed
from tapeline.hookspecs import (
    AdapterBase,
    Instruments,
    Parsed,
    SessionBase,
    hookimpl,
)
from tapeline.model import (
    SUBSCRIBE,
    UNSUBSCRIBE,
    Acked,
    Action,
    Budget,
    Capabilities,
    Closing,
    Dial,
    Fetch,
    Instrument,
    Keepalive,
    LoggedIn,
    Malformed,
    Outcome,
    OutcomeKind,
    Recovery,
    Rejected,
    Request,
    Response,
    Route,
    Send,
    SessionHealth,
    Subscription,
    Trade,
)
from tapeline.plugins import bind_session
from tapeline.seams import Seams
from tapeline.testing.executor import InlineExecutor
from tapeline.testing.virtual_time import VirtualClock, run_virtual
from tapeline.transport import (
    BudgetKeeper,
    ExchangeLink,
    Inbox,
    LinkChange,
    LinkSettings,
    MemoryBans,
    RestClient,
    RestSettings,
    StreamLost,
    StreamOpened,
)

BASE = "https://venue.test"
TEXT_KEEPALIVE = Keepalive(15.0, 10.0, "ping")


def stream(symbol: str) -> Subscription:
    """The trade stream of *symbol*."""
    return Subscription("tiny", "spot", symbol, "trade", "trades", "fill")


@attrs.define
class VenueRules:
    """How the venue behaves; tests change it at any time."""

    silent_for: set[str] = attrs.field(factory=set)
    lost_acks: dict[str, int] = attrs.field(factory=dict)
    refused: dict[str, tuple[str, bool]] = attrs.field(factory=dict)
    answers_with_wrong_id: bool = False
    first_data: bool = True
    mute: bool = False
    dead: bool = False
    closes_at_once: bool = False
    refuses_anonymously: bool = False
    dial_errors: deque[Exception] = attrs.field(factory=deque)
    dial_takes_s: float = 0.0
    login: str = "ok"


class MemorySocket:
    """A client's end of a socket to ``Venue``."""

    def __init__(self, venue: Venue, dial: Dial, number: int) -> None:
        self.venue = venue
        self.dial = dial
        self.number = number
        self.active: set[str] = set()
        self.sent: list[tuple[int, str]] = []
        self.pings: list[int] = []
        self.opened_ns = venue.clock.monotonic_ns()
        self.closed_ns: int | None = None
        self._frames: deque[str | bytes] = deque()
        self._end: SocketClosed | None = None
        self._something = anyio.Event()

    @property
    def open(self) -> bool:
        return self._end is None

    async def receive(self) -> str | bytes:
        while not self._frames:
            if self._end is not None:
                raise self._end
            self._something = anyio.Event()
            await self._something.wait()
        return self._frames.popleft()

    async def send(self, frame: str) -> None:
        await anyio.lowlevel.checkpoint()
        if self._end is not None:
            raise self._end
        self.sent.append((self.venue.clock.monotonic_ns(), frame))
        self.venue.receive(self, frame)

    async def ping(self) -> None:
        self.pings.append(self.venue.clock.monotonic_ns())
        if self.venue.rules.dead:
            await anyio.sleep_forever()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await anyio.lowlevel.checkpoint()
        self.end(code, reason)

    def push(self, frame: str | bytes) -> None:
        """Let the client receive *frame*."""
        if self.open:
            self._frames.append(frame)
            self._something.set()

    def end(self, code: int | None = None, reason: str = "") -> None:
        """End it, as the network or either side does."""
        if self._end is None:
            self._end = SocketClosed(code, reason)
            self.closed_ns = self.venue.clock.monotonic_ns()
            self._something.set()


class Venue:
    """The venue's side; also the ``Dialer``."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.rules = VenueRules()
        self.sockets: list[MemorySocket] = []
        self.dialed_ns: list[int] = []
        self.next_id = 1

    async def dial(self, dial: Dial) -> MemorySocket:
        self.dialed_ns.append(self.clock.monotonic_ns())
        await anyio.sleep(self.rules.dial_takes_s)
        if self.rules.dial_errors:
            raise self.rules.dial_errors.popleft()
        socket = MemorySocket(self, dial, len(self.sockets))
        self.sockets.append(socket)
        if self.rules.closes_at_once:
            socket.end(1006)
        return socket

    @property
    def open_sockets(self) -> list[MemorySocket]:
        return [socket for socket in self.sockets if socket.open]

    @property
    def active(self) -> set[str]:
        return {symbol for socket in self.open_sockets for symbol in socket.active}

    def trade(self, symbol: str) -> None:
        """One trade of *symbol*, to every socket that follows it."""
        frame = json.dumps({"trade": symbol, "id": self.next_id})
        self.next_id += 1
        for socket in self.open_sockets:
            if symbol in socket.active:
                socket.push(frame)

    def receive(self, socket: MemorySocket, frame: str) -> None:
        rules = self.rules
        if rules.dead:
            return
        if frame == "ping":
            socket.push("pong")
            return
        message = json.loads(frame)
        if message["op"] == "login":
            if rules.login == "ok":
                socket.push(json.dumps({"logged": True}))
            elif rules.login == "refused":
                socket.push(json.dumps({"refused": None, "code": "60009"}))
            return
        for symbol in message["symbols"]:
            self._steer(socket, message["op"], symbol)

    def _steer(self, socket: MemorySocket, op: str, symbol: str) -> None:
        rules = self.rules
        if symbol in rules.silent_for:
            return
        if op == "unsubscribe":
            socket.active.discard(symbol)
            socket.push(json.dumps({"gone": symbol}))
            return
        if symbol in rules.refused:
            code, permanent = rules.refused[symbol]
            named = None if rules.refuses_anonymously else symbol
            socket.push(
                json.dumps({"refused": named, "code": code, "permanent": permanent})
            )
            return
        socket.active.add(symbol)
        if rules.lost_acks.get(symbol, 0) > 0:
            rules.lost_acks[symbol] -= 1
        elif rules.answers_with_wrong_id:
            socket.push(json.dumps({"ack": symbol + "?"}))
        else:
            socket.push(json.dumps({"ack": symbol}))
        if rules.first_data and not rules.mute:
            self.trade_to(socket, symbol)

    def trade_to(self, socket: MemorySocket, symbol: str) -> None:
        """One trade of *symbol* to *socket* alone."""
        socket.push(json.dumps({"trade": symbol, "id": self.next_id}))
        self.next_id += 1


@attrs.frozen
class TinyConfig:
    """Options of the adapter.

    Args:
        capacity: streams on one socket.
        fetch_first: whether ``connect`` asks REST for the address.
    """

    capacity: int = 100
    private: bool = False
    keepalive: Keepalive = TEXT_KEEPALIVE
    fetch_first: bool = False
    budgets: tuple[Budget, ...] = ()
    frame_costs: Mapping[str, int] = {}
    dial_costs: Mapping[str, int] = {}
    max_age_s: float | None = None
    time: bool = False


class TinySession(SessionBase):
    """Speaks the venue's protocol."""

    def __init__(self, config: TinyConfig) -> None:
        self._config = config
        self._streams: dict[str, Subscription] = {}
        self.ended: tuple[int | None, str] | None = None

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        config = self._config
        if config.fetch_first and prior is None:
            return Fetch(Request("GET", f"{BASE}/token"))
        token = "" if prior is None else "?token=" + prior.body.decode()
        return Dial(
            "wss://venue.test/ws" + token,
            keepalive=config.keepalive,
            costs=config.dial_costs,
            max_age_s=config.max_age_s,
        )

    @hookimpl
    def opened(self, now: Now) -> Sequence[Action]:
        if not self._config.private:
            return ()
        return (Send(json.dumps({"op": "login"}), purpose="login"),)

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        return self._frame(SUBSCRIBE, wanted)

    @hookimpl
    def unsubscribe(
        self, unwanted: Sequence[Subscription], now: Now
    ) -> Sequence[Action]:
        return self._frame(UNSUBSCRIBE, unwanted)

    @hookimpl
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        request = Request("GET", f"{BASE}/book?symbol={subscription.symbol}")
        return (Fetch(request, tag="book", subscription=subscription),)

    @hookimpl
    def respond(self, response: Response, now: Now) -> Parsed:
        if response.tag != "book":
            return ()
        symbol = response.request.url.partition("symbol=")[2]
        return (self._trade(symbol, int(response.body), now.wall_ns),)

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        if frame == "pong":
            return ()
        if frame == "boom":
            raise KeyError("a bug of the adapter")
        try:
            message = json.loads(frame)
        except ValueError:
            return (Malformed("json", str(frame)),)
        if "trade" in message:
            return (self._trade(message["trade"], message["id"], received_ns),)
        if "ack" in message:
            return (Acked(stream(message["ack"])),)
        if "gone" in message:
            return (Acked(stream(message["gone"]), active=False),)
        if "refused" in message:
            symbol = message["refused"]
            return (
                Rejected(
                    None if symbol is None else stream(symbol),
                    message["code"],
                    "not for you",
                    message.get("permanent", True),
                ),
            )
        if "logged" in message:
            return (LoggedIn(),)
        if "closing" in message:
            return (Closing(message["closing"], "maintenance"),)
        return (Malformed("unknown", str(frame)),)

    @hookimpl
    def closed(self, code: int | None, reason: str) -> Recovery:
        self.ended = (code, reason)
        return Recovery.FATAL if code == 4001 else Recovery.RETRY

    @hookimpl
    def health(self, now: Now) -> SessionHealth:
        return SessionHealth(counters={"streams": len(self._streams)})

    def _frame(
        self, purpose: str, subscriptions: Sequence[Subscription]
    ) -> Sequence[Action]:
        for one in subscriptions:
            self._streams[one.symbol] = one
        symbols = [one.symbol for one in subscriptions]
        frame = json.dumps({"op": purpose, "symbols": symbols})
        costs = self._config.frame_costs
        return (Send(frame, tuple(subscriptions), purpose, costs),)

    def _trade(self, symbol: str, trade_id: int, received_ns: int) -> Trade:
        # A session may give equal identities as other objects: some events do.
        own = self._streams.get(symbol) if trade_id % 2 else None
        return Trade(
            own or stream(symbol),
            str(trade_id),
            trade_id,
            trade_id,
            1,
            "buy",
            Decimal(1),
            Decimal(1),
            received_ns,
            received_ns,
        )


class TinyAdapter(AdapterBase):
    """The adapter of ``Venue``."""

    name = "tiny"
    config = TinyConfig
    capabilities = Capabilities(("spot",), {})

    def __init__(self) -> None:
        self.sessions: list[TinySession] = []
        self.signed_ns: list[int] = []

    def instruments(self, config: TinyConfig, market: str) -> Fetch:
        return Fetch(Request("GET", f"{BASE}/instruments?market={market}"))

    def read_instruments(self, response: Response) -> Sequence[Instrument]:
        names = response.body.decode().split(",")
        return [Instrument("tiny", "spot", name, name, name, "USDT") for name in names]

    def route(
        self,
        config: TinyConfig,
        instrument: Instrument | None,
        subscription: Subscription,
    ) -> Route:
        name = "private" if config.private else "public"
        return Route(name, config.capacity, 1, config.private)

    def session(
        self, config: TinyConfig, instruments: Instruments, route: Route
    ) -> TinySession:
        session = TinySession(config)
        self.sessions.append(session)
        return session

    def server_time(self, config: TinyConfig) -> Fetch | None:
        return Fetch(Request("GET", f"{BASE}/time")) if config.time else None

    def read_server_time(self, response: Response) -> int:
        return int(response.body)

    def budgets(self, config: TinyConfig) -> Sequence[Budget]:
        return config.budgets

    def classify(self, response: Response) -> Outcome:
        used = response.headers.get("x-used")
        usage = {"weight": int(used)} if used is not None else {}
        kinds = {
            200: OutcomeKind.OK,
            400: OutcomeKind.FATAL,
            401: OutcomeKind.AUTH,
            418: OutcomeKind.BANNED,
            429: OutcomeKind.LIMITED,
        }
        kind = kinds.get(response.status, OutcomeKind.RETRY)
        return Outcome(kind, used=usage, reason=f"code {response.status}")

    def sign(self, config: TinyConfig, request: Request, now: Now) -> Request:
        self.signed_ns.append(now.venue_ns)
        return attrs.evolve(request, headers={"sign": str(now.venue_ns)})


class ScriptedHttp:
    """``seams.Http`` that answers by path, or from a list of answers."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.script: deque[tuple[int, bytes, Mapping[str, str]] | Exception] = deque()
        self.paths: dict[str, bytes] = {}
        self.sent: list[tuple[int, Request]] = []
        self.takes_s = 0.01

    async def send(self, request: Request, timeout_s: float) -> Response:
        self.sent.append((self.clock.monotonic_ns(), request))
        if self.takes_s > timeout_s:
            await anyio.sleep(timeout_s)
            raise RequestFailed("no answer in time")
        await anyio.sleep(self.takes_s)
        if self.script:
            answer = self.script.popleft()
            if isinstance(answer, Exception):
                raise answer
        else:
            path = request.url.removeprefix(BASE).partition("?")[0]
            answer = (200, self.paths.get(path, b"1"), {})
        status, body, headers = answer
        return Response(request, status, headers, body, self.clock.wall_ns())

    async def aclose(self) -> None:
        """Nothing to release."""


class World:
    """Venue, adapter, REST and one link, on virtual time."""

    def __init__(
        self,
        config: TinyConfig,
        settings: LinkSettings,
        max_items: int,
        seed: int,
        rest: RestSettings,
    ) -> None:
        self.clock = VirtualClock()
        self.random = random.Random(seed)
        self.venue = Venue(self.clock)
        self.rules = self.venue.rules
        self.http = ScriptedHttp(self.clock)
        self.adapter = TinyAdapter()
        self.bans = MemoryBans()
        self.budgets = BudgetKeeper(config.budgets, self.clock)
        self.inbox = Inbox(max_items)
        self.items: list[Any] = []
        self.changes: list[LinkChange] = []
        self.rest = RestClient(
            self.adapter,
            config,
            self.http,
            self.clock,
            self.budgets,
            self.random,
            self.bans,
            rest,
        )
        self.link = ExchangeLink(
            self.adapter,
            config,
            seams=Seams(
                self.clock, self.venue, self.http, InlineExecutor(), self.random
            ),
            instruments={},
            inbox=self.inbox,
            bind=bind_session,
            rest=self.rest,
            settings=settings,
            on_change=self.changes.append,
        )

    stream = staticmethod(stream)
    base = BASE

    def want(self, symbols: Sequence[str]) -> None:
        """Want the trade streams of *symbols*."""
        self.link.want([stream(symbol) for symbol in symbols])

    @asynccontextmanager
    async def running(
        self, *symbols: str, settle_s: float = 1.0
    ) -> AsyncIterator[None]:
        """The link, wanting *symbols*, run for a while already."""
        self.want(symbols)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.link.run)
            tasks.start_soon(self._consume)
            await anyio.sleep(settle_s)
            yield
            await self.link.stop()
            tasks.cancel_scope.cancel()
        self.take()

    async def _consume(self) -> None:
        while True:
            await self.inbox.wait()
            self.take()

    def take(self) -> list[Any]:
        """Everything that came out so far."""
        self.items.extend(self.inbox.swap())
        return self.items

    def ids(self, symbol: str) -> list[int]:
        """Ids of the trades of *symbol* that came out."""
        return [
            item.first_id
            for item in self.take()
            if isinstance(item, Trade) and item.symbol == symbol
        ]

    def marks(self, symbol: str) -> list[str]:
        """``opened``, ``lost <cause>`` and ``trade`` of *symbol*, in order."""
        names: list[str] = []
        for item in self.take():
            if isinstance(item, StreamOpened | StreamLost | Trade):
                about = getattr(item, "subscription", None) or item.stream  # type: ignore[union-attr]
                if about.symbol != symbol:
                    continue
                if isinstance(item, StreamOpened):
                    names.append("opened")
                elif isinstance(item, StreamLost):
                    names.append(f"lost {item.cause}")
                else:
                    names.append("trade")
        return names

    def states(self) -> dict[str, str]:
        """Symbol → state, as status shows it."""
        return {
            one.subscription.symbol: one.state.value
            for one in self.link.status().subscriptions
        }


@pytest.fixture(scope="session")
def tiny_config() -> type[TinyConfig]:
    """The adapter's options."""
    return TinyConfig


@pytest.fixture(scope="session")
def run_world() -> Callable[..., None]:
    """Run ``async scenario(world)`` on virtual time."""

    def run(
        scenario: Callable[[World], Awaitable[None]],
        *,
        config: TinyConfig | None = None,
        settings: LinkSettings | None = None,
        max_items: int = 200_000,
        seed: int = 1,
        rest: RestSettings | None = None,
    ) -> None:
        async def main() -> None:
            with anyio.fail_after(10 * 24 * 3600):
                await scenario(
                    World(
                        config or TinyConfig(),
                        settings or LinkSettings(),
                        max_items,
                        seed,
                        rest or RestSettings(),
                    )
                )

        run_virtual(main, seed=seed)

    return run
