"""A tiny venue in memory: a protocol of a few words, and every way to break it."""

from __future__ import annotations

import json
from collections import deque

import anyio
import anyio.lowlevel
import attrs

from tapeline.clock import Clock
from tapeline.errors import SocketClosed
from tapeline.model import Dial


@attrs.define
class TinyRules:
    """How the venue behaves; change it at any time.

    Args:
        dial_takes_s: how long a handshake takes.
        silent_for: symbols whose requests it does not even read.
        lost_acks: symbol → acknowledgments that it will not send.
        refused: symbol → code, and whether it is final.
        refuses_anonymously: its refusals do not say which symbol they are about.
        answers_with_wrong_id: its acknowledgments name another symbol.
        first_data: a trade follows each acknowledgment.
        mute: no data at all.
        dead: half-open: nothing is answered, not even pings.
        closes_at_once: each socket, after the handshake.
        dial_errors: raised by the next dials.
        login: ``ok``, ``refused``, or anything else for no answer.
    """

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


class TinySocket:
    """A client's end of a socket to ``TinyVenue``."""

    def __init__(self, venue: TinyVenue, dial: Dial, number: int) -> None:
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
        """False once either side has closed it."""
        return self._end is None

    async def receive(self) -> str | bytes:
        """The next frame.

        Raises:
            SocketClosed: it has ended and all frames were read.
        """
        while not self._frames:
            if self._end is not None:
                raise self._end
            self._something = anyio.Event()
            await self._something.wait()
        return self._frames.popleft()

    async def send(self, frame: str) -> None:
        """Let the venue have *frame*.

        Raises:
            SocketClosed: it has ended.
        """
        await anyio.lowlevel.checkpoint()
        if self._end is not None:
            raise self._end
        self.sent.append((self.venue.clock.monotonic_ns(), frame))
        self.venue.receive(self, frame)

    async def ping(self) -> None:
        """A protocol ping, answered at once unless the venue is dead."""
        self.pings.append(self.venue.clock.monotonic_ns())
        if self.venue.rules.dead:
            await anyio.sleep_forever()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close it from the client's side."""
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


class TinyVenue:
    """The venue's side; also the ``Dialer``."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.rules = TinyRules()
        self.sockets: list[TinySocket] = []
        self.dialed_ns: list[int] = []
        self.next_id = 1

    async def dial(self, dial: Dial) -> TinySocket:
        """A new socket, or the next of the errors that the rules have."""
        self.dialed_ns.append(self.clock.monotonic_ns())
        await anyio.sleep(self.rules.dial_takes_s)
        if self.rules.dial_errors:
            raise self.rules.dial_errors.popleft()
        socket = TinySocket(self, dial, len(self.sockets))
        self.sockets.append(socket)
        if self.rules.closes_at_once:
            socket.end(1006)
        return socket

    @property
    def open_sockets(self) -> list[TinySocket]:
        """Sockets that nobody has closed."""
        return [socket for socket in self.sockets if socket.open]

    @property
    def active(self) -> set[str]:
        """Symbols that are subscribed on any open socket."""
        return {symbol for socket in self.open_sockets for symbol in socket.active}

    def trade(self, symbol: str) -> None:
        """One trade of *symbol*, to every socket that follows it."""
        frame = json.dumps({"trade": symbol, "id": self.next_id})
        self.next_id += 1
        for socket in self.open_sockets:
            if symbol in socket.active:
                socket.push(frame)

    def receive(self, socket: TinySocket, frame: str) -> None:
        """Read a client's frame and answer it."""
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

    def _steer(self, socket: TinySocket, op: str, symbol: str) -> None:
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

    def trade_to(self, socket: TinySocket, symbol: str) -> None:
        """One trade of *symbol* to *socket* alone."""
        socket.push(json.dumps({"trade": symbol, "id": self.next_id}))
        self.next_id += 1
