"""What the simulators of all venues share: connections, timers, faults, police."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

import attrs

from tapeline.hookspecs import (
    SimClose,
    SimFrame,
    SimOutput,
    SimPing,
    SimRefusal,
    SimResponse,
)
from tapeline.testing.faults import Fault, FaultRun
from tapeline.testing.ledger import Ledger
from tapeline.testing.market import Execution, Market
from tapeline.testing.police import Limit, LimitsPolice
from tapeline.testing.timers import Timers

Levels = Sequence[Sequence[str]]
"""Price and size of each level, as the venue writes them."""

_ON_THE_WAY_NS = 100_000_000
_ONE_ADDRESS = "ip"
"""All clients of a simulator share one address, as behind one router."""


@attrs.define(eq=False)
class SimConnection:
    """One client of a simulated venue.

    Args:
        id: number of the connection.
        path: that the client asked for.
        opened_ns: when it was opened.
        silent: half-open: nothing is sent or answered any more.
        muted: ``(channel, symbol)`` pairs that were acked and never flow.
        last_ns: when the last frame passed, in either direction.
        bytes_left: that still pass before it is torn; None for no limit.
    """

    id: int
    path: str
    opened_ns: int
    last_ns: int
    silent: bool = False
    bytes_left: int | None = None
    muted: set[tuple[str, str]] = attrs.field(factory=set)


@runtime_checkable
class HalfOpen(Protocol):
    """A simulator that can tell which connections play dead.

    A transport stops reading from these too, so that not even protocol pings
    are answered.
    """

    def half_open(self) -> Collection[int]:
        """Connections on which nothing passes any more."""


@runtime_checkable
class HearsPongs(Protocol):
    """A simulator that sends ``SimPing`` and wants to know what came back.

    A transport tells it of every pong frame, asked for or not.
    """

    def pong(self, conn: int, payload: str, now_ns: int) -> None:
        """A client's pong arrived."""


@runtime_checkable
class HearsPings(Protocol):
    """A simulator that counts the ping frames of its clients.

    The transport answers them by itself.
    """

    def pinged(self, conn: int, now_ns: int) -> None:
        """A client's ping arrived."""


class SimulatorBase(ABC):
    """The common half of a ``SimulatedExchange``; a venue adds its protocol.

    Time only moves in ``advance``: market, timers and faults are taken in time
    order, so what is sent does not depend on how often it is called.

    Args:
        market: owned by this simulator from now on.
        exchange: the name in the ledger.
        faults: an empty script takes the market's.
        ledger: None takes the market's.
        limits: what the police watches.
    """

    names_executions = False
    """True writes the number of its execution beside each fill of the ledger."""

    def __init__(
        self,
        market: Market,
        exchange: str,
        *,
        faults: Sequence[Fault] = (),
        ledger: Ledger | None = None,
        limits: Sequence[Limit] = (),
        seed: int | None = None,
    ) -> None:
        self.market = market
        self.exchange = exchange
        self.ledger = market.ledger if ledger is None else ledger
        self.police = LimitsPolice(limits)
        self.timers = Timers()
        self.connections: dict[int, SimConnection] = {}
        self.seed = market.seed if seed is None else seed
        self.emitted = 0
        self.opened = 0
        self.closes = 0
        self._script = faults or market.faults
        self.faults = FaultRun(self._script, self.seed, market.now_ns)
        self._begun = False
        self._outputs: list[SimOutput] = []
        # REST path → from when until when it may not be asked for.
        self._asked_away: dict[str, tuple[int, int]] = {}

    # What a venue adds.

    @abstractmethod
    def accept(
        self, connection: SimConnection, headers: Mapping[str, str], now_ns: int
    ) -> SimRefusal | None:
        """A handshake that no fault refused; None lets it in."""

    @abstractmethod
    def on_frame(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        """A client's frame; the connection is not half-open."""

    @abstractmethod
    def on_gone(self, connection: SimConnection) -> None:
        """Forget all that is kept for *connection*."""

    @abstractmethod
    def on_executions(self, executions: Sequence[Execution]) -> None:
        """The market moved; everything is in the ledger already."""

    @abstractmethod
    def on_fault(
        self, fault: Fault, connections: Sequence[SimConnection], now_ns: int
    ) -> None:
        """A moment of a kind that only the venue knows how to play."""

    @abstractmethod
    def answer(
        self, method: str, target: str, headers: Mapping[str, str], now_ns: int
    ) -> SimResponse:
        """A REST request that no fault answered."""

    def on_pong(self, connection: SimConnection, payload: str, now_ns: int) -> None:
        """A client's pong; for venues that send pings."""
        return

    def on_ping(self, connection: SimConnection, now_ns: int) -> None:
        """A client's ping, answered already; for venues that count them."""
        return

    def elsewhere(self, target: str) -> str:
        """*target* asking for another page than it does; itself where it has none."""
        return target

    def book_now(self, market: str, symbol: str) -> tuple[int, Levels, Levels] | None:
        """Last id, bids and asks of the book as subscribers of changes have it now.

        Best first; None while changes are not sent, or wait to be.
        """
        return None

    # What transports call.

    def open(
        self, conn: int, path: str, headers: Mapping[str, str], now_ns: int
    ) -> SimRefusal | None:
        """A client asks for a WebSocket on *path*; None accepts it."""
        self.advance(now_ns)
        if not self.police.hit("connects", _ONE_ADDRESS, now_ns):
            return SimRefusal(429, "too many connections")
        fault = self.faults.active("refuse", now_ns)
        if fault is not None:
            return SimRefusal(fault.status, fault.body)
        connection = SimConnection(conn, path, now_ns, now_ns)
        connection.bytes_left = self.faults.cut_after(now_ns)
        refusal = self.accept(connection, headers, now_ns)
        if refusal is None:
            self.connections[conn] = connection
            self.opened += 1
        return refusal

    def receive(self, conn: int, frame: str, now_ns: int) -> None:
        """A client's frame arrived; one from a closed connection is ignored."""
        self.advance(now_ns)
        connection = self.connections.get(conn)
        if connection is not None and not connection.silent:
            connection.last_ns = now_ns
            self.on_frame(connection, frame, now_ns)

    def pong(self, conn: int, payload: str, now_ns: int) -> None:
        """A client's pong arrived; one from a closed connection is ignored."""
        self.advance(now_ns)
        connection = self.connections.get(conn)
        if connection is not None and not connection.silent:
            self.on_pong(connection, payload, now_ns)

    def pinged(self, conn: int, now_ns: int) -> None:
        """A client's ping arrived; one from a closed connection is ignored."""
        self.advance(now_ns)
        connection = self.connections.get(conn)
        if connection is not None and not connection.silent:
            self.on_ping(connection, now_ns)

    def closed(self, conn: int, now_ns: int) -> None:
        """A client is gone; safe when the simulator closed it itself."""
        self.advance(now_ns)
        self._remove(conn)

    def request(
        self, method: str, target: str, headers: Mapping[str, str], now_ns: int
    ) -> SimResponse:
        """Answer a REST request for *target* (path and query)."""
        self.advance(now_ns)
        path = target.partition("?")[0]
        since_ns, until_ns = self._asked_away.get(path, (0, 0))
        if since_ns <= now_ns < until_ns:
            self.police.note("retry-after")
        fault = self.faults.rest("rest-status", target, now_ns)
        if fault is not None:
            return self._fail(fault, path, now_ns)
        if self.faults.rest("wrong-page", target, now_ns) is not None:
            target = self.elsewhere(target)
        return self.answer(method, target, headers, now_ns)

    def _fail(self, fault: Fault, path: str, now_ns: int) -> SimResponse:
        html = fault.body.lstrip().startswith("<")
        sent = {"content-type": "text/html" if html else "application/json"}
        if fault.retry_after_s is not None:
            sent["retry-after"] = str(math.ceil(fault.retry_after_s))
            # What was on its way already is not held against the client.
            wait_ns = int(fault.retry_after_s * 1e9)
            self._asked_away[path] = (now_ns + _ON_THE_WAY_NS, now_ns + wait_ns)
        return SimResponse(fault.status, fault.body.encode(), sent)

    def advance(self, now_ns: int) -> None:
        """Let market, timers and faults run up to *now_ns*, in time order."""
        if not self._begun:
            self._begun = True
            self.faults = FaultRun(self._script, self.seed, now_ns)
        recorded = self.emitted
        while True:
            at_ns = self.wake_at_ns()
            if at_ns is None or at_ns > now_ns:
                break
            executions = self.market.advance(at_ns)
            if executions:
                self._record(executions)
                self.on_executions(executions)
            self.timers.run(at_ns)
            for fault in self.faults.due(at_ns):
                self._play(fault, at_ns)
        if self.ledger is not None and self.emitted > recorded:
            self.ledger.flush()

    def outputs(self) -> Sequence[SimOutput]:
        """What is to be sent since the last call, in order."""
        taken = self._outputs
        self._outputs = []
        return taken

    def wake_at_ns(self) -> int | None:
        """When ``advance`` has something to do next."""
        at_ns = self.market.next_ns()
        for other_ns in (self.timers.next_ns(), self.faults.wake_at_ns()):
            if other_ns is not None and (at_ns is None or other_ns < at_ns):
                at_ns = other_ns
        return at_ns

    def half_open(self) -> Collection[int]:
        """Connections on which nothing passes any more."""
        return [c.id for c in self.connections.values() if c.silent]

    # What a venue uses.

    def send(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        """Send a control frame: an ack, an error, a pong."""
        if not connection.silent:
            self._write(connection, frame, now_ns)

    def push(
        self,
        connection: SimConnection,
        channel: str,
        symbol: str,
        frame: str,
        now_ns: int,
    ) -> None:
        """Send a frame of data, unless a fault has other plans for it."""
        if connection.silent:
            return
        if connection.muted and (channel, symbol) in connection.muted:
            return
        if not self.faults.shapes_frames:
            self._write(connection, frame, now_ns)
            return
        for shaped in self.faults.shape(connection.id, channel, symbol, frame, now_ns):
            self._write(connection, shaped, now_ns)

    def _write(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        left = connection.bytes_left
        if left is not None:
            connection.bytes_left = left = left - len(frame)
            if left <= 0:
                # The frame in which the wire was cut never arrives.
                connection.silent = True
                self.timers.at(now_ns, lambda _: self.close(connection, None))
                return
        connection.last_ns = now_ns
        self._outputs.append(SimFrame(connection.id, frame))

    def ping(self, connection: SimConnection, payload: str) -> None:
        """Send a ping frame; its pong comes to ``on_pong``."""
        if not connection.silent:
            self._outputs.append(SimPing(connection.id, payload))

    def close(
        self, connection: SimConnection, code: int | None, reason: str = ""
    ) -> None:
        """End *connection*; *code* None tears it down without a close frame."""
        if connection.id in self.connections:
            self._outputs.append(SimClose(connection.id, code, reason))
            self.closes += 1
            self._remove(connection.id)

    def _remove(self, conn: int) -> None:
        connection = self.connections.pop(conn, None)
        if connection is not None:
            self.on_gone(connection)
            self.faults.forget(conn)
            self.police.forget(conn)

    def _record(self, executions: Sequence[Execution]) -> None:
        ledger = self.ledger
        for execution in executions:
            self.emitted += len(execution.fills)
            if ledger is not None:
                instrument = execution.feed.instrument
                ledger.write(
                    self.exchange,
                    instrument.market,
                    instrument.symbol,
                    execution.fills,
                    execution.aggregate_id if self.names_executions else None,
                )

    def _play(self, fault: Fault, now_ns: int) -> None:
        met = list(self.connections.values())
        if fault.target == "one" and met:
            met = [self.faults.random.choice(met)]
        if fault.kind == "close":
            for connection in met:
                self.close(connection, fault.code, fault.reason)
        elif fault.kind == "abort":
            for connection in met:
                self.close(connection, None)
        elif fault.kind == "half-open":
            for connection in met:
                connection.silent = True
        elif fault.kind == "malformed":
            frame = self.faults.malformed(fault)
            for connection in met:
                self.send(connection, frame, now_ns)
        else:
            if fault.kind in ("halt", "delist", "relist"):
                trade = self.market.halt
                if fault.kind == "relist":
                    trade = self.market.resume
                for market, symbol in self.market.feeds:
                    if symbol == fault.symbol and fault.market in ("", market):
                        trade(market, symbol, now_ns)
            self.on_fault(fault, met, now_ns)
