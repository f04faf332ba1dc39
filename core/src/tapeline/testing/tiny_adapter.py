"""The adapter of the tiny venue: the smallest that has everything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

import attrs

from tapeline.clock import Now
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

TINY_BASE = "https://venue.test"
"""Of the REST addresses that the adapter asks."""

_TEXT_KEEPALIVE = Keepalive(15.0, 10.0, "ping")


def tiny_stream(symbol: str) -> Subscription:
    """The trade stream of *symbol*."""
    return Subscription("tiny", "spot", symbol, "trade", "trades", "fill")


@attrs.frozen
class TinyConfig:
    """Options of the adapter.

    Args:
        private: whether the socket is one of an account, with a login.
        keepalive: of the socket.
        budgets: limits that core keeps.
        frame_costs, dial_costs: budget name → units of a frame or a dial.
        max_age_s: rotate before a socket is this old; None for no limit.
        capacity: streams on one socket.
        fetch_first: whether ``connect`` asks REST for the address.
        resync_by_frames: whether a resync ends a stream and asks for it again;
            without it, REST is asked.
        time: whether REST tells the venue's time.
    """

    capacity: int = 100
    private: bool = False
    keepalive: Keepalive = _TEXT_KEEPALIVE
    fetch_first: bool = False
    resync_by_frames: bool = False
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
        self._resyncing: set[str] = set()
        self.ended: tuple[int | None, str] | None = None

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        """Dial the venue, with a token from REST where that is wanted."""
        config = self._config
        if config.fetch_first and prior is None:
            return Fetch(Request("GET", f"{TINY_BASE}/token"))
        token = "" if prior is None else "?token=" + prior.body.decode()
        return Dial(
            "wss://venue.test/ws" + token,
            keepalive=config.keepalive,
            costs=config.dial_costs,
            max_age_s=config.max_age_s,
        )

    @hookimpl
    def opened(self, now: Now) -> Sequence[Action]:
        """Log in on a private socket."""
        if not self._config.private:
            return ()
        return (Send(json.dumps({"op": "login"}), purpose="login"),)

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        """Ask for *wanted* in one frame."""
        return self._frame(SUBSCRIBE, wanted)

    @hookimpl
    def unsubscribe(
        self, unwanted: Sequence[Subscription], now: Now
    ) -> Sequence[Action]:
        """End *unwanted* in one frame."""
        return self._frame(UNSUBSCRIBE, unwanted)

    @hookimpl
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        """Begin one stream afresh, over REST or with frames."""
        if self._config.resync_by_frames:
            self._resyncing.add(subscription.symbol)
            return self._frame(UNSUBSCRIBE, (subscription,))
        request = Request("GET", f"{TINY_BASE}/book?symbol={subscription.symbol}")
        return (Fetch(request, tag="book", subscription=subscription),)

    @hookimpl
    def respond(self, response: Response, now: Now) -> Parsed:
        """A trade with the id that REST answered."""
        if response.tag != "book":
            return ()
        symbol = response.request.url.partition("symbol=")[2]
        return (self._trade(symbol, int(response.body), now.wall_ns),)

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Trades and replies; ``boom`` is a frame that it fails on."""
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
            return (Acked(tiny_stream(message["ack"])),)
        if message.get("gone") in self._resyncing:
            self._resyncing.remove(message["gone"])
            return tuple(self._frame(SUBSCRIBE, (tiny_stream(message["gone"]),)))
        if "gone" in message:
            return (Acked(tiny_stream(message["gone"]), active=False),)
        if "refused" in message:
            symbol = message["refused"]
            return (
                Rejected(
                    None if symbol is None else tiny_stream(symbol),
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
        """Code 4001 is final."""
        self.ended = (code, reason)
        return Recovery.FATAL if code == 4001 else Recovery.RETRY

    @hookimpl
    def health(self, now: Now) -> SessionHealth:
        """Counts the streams it was asked for."""
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
            own or tiny_stream(symbol),
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
    """The adapter of ``TinyVenue``."""

    name = "tiny"
    config = TinyConfig
    capabilities = Capabilities(("spot",), {})

    def __init__(self) -> None:
        self.sessions: list[TinySession] = []
        self.signed_ns: list[int] = []

    def instruments(self, config: TinyConfig, market: str) -> Fetch:
        """Ask for the symbols."""
        return Fetch(Request("GET", f"{TINY_BASE}/instruments?market={market}"))

    def read_instruments(self, response: Response) -> Sequence[Instrument]:
        """The symbols, between commas."""
        names = response.body.decode().split(",")
        return [Instrument("tiny", "spot", name, name, name, "USDT") for name in names]

    def route(
        self,
        config: TinyConfig,
        instrument: Instrument | None,
        subscription: Subscription,
    ) -> Route:
        """One kind of socket for all."""
        name = "private" if config.private else "public"
        return Route(name, config.capacity, 1, config.private)

    def session(
        self, config: TinyConfig, instruments: Instruments, route: Route
    ) -> TinySession:
        """A new session, kept in ``sessions``."""
        session = TinySession(config)
        self.sessions.append(session)
        return session

    def server_time(self, config: TinyConfig) -> Fetch | None:
        """Ask for the time, where the options say so."""
        return Fetch(Request("GET", f"{TINY_BASE}/time")) if config.time else None

    def read_server_time(self, response: Response) -> int:
        """Nanoseconds, as the venue wrote them."""
        return int(response.body)

    def budgets(self, config: TinyConfig) -> Sequence[Budget]:
        """Those of the options."""
        return config.budgets

    def classify(self, response: Response) -> Outcome:
        """By status alone; ``x-used`` tells what is used."""
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
        """Write the moment into a header, and into ``signed_ns``."""
        self.signed_ns.append(now.venue_ns)
        return attrs.evolve(request, headers={"sign": str(now.venue_ns)})
