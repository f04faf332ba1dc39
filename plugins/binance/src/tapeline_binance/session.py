"""One stream connection to Binance as a pure state machine.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from tapeline.clock import Now
from tapeline.hookspecs import Instruments, Parsed, SessionBase, hookimpl
from tapeline.model import (
    SUBSCRIBE,
    UNSUBSCRIBE,
    Acked,
    Action,
    Closing,
    DataType,
    Dial,
    Fetch,
    Keepalive,
    Malformed,
    MarketDataPoint,
    Recovery,
    Rejected,
    Response,
    Rotate,
    Route,
    SessionHealth,
    Subscription,
    Tick,
)
from tapeline_binance import rest
from tapeline_binance.answers import candles_in, is_page_of, snapshot_in, trades_in
from tapeline_binance.channels import FUTURES_MARKET, FUTURES_PUBLIC, stream_name_of
from tapeline_binance.config import COINM, SPOT, USDM, BinanceConfig
from tapeline_binance.errors import CLOSE_CODES, UNKNOWN_WS_ERROR, WS_ERRORS
from tapeline_binance.reader import ReaderSettings, sample
from tapeline_binance.requests import Request, Requests
from tapeline_binance.seeds import Seed
from tapeline_binance.streams import Stream, Streams
from tapeline_binance.wire import UNDECODABLE, Envelope, decode_envelope

Out = MarketDataPoint | Acked | Rejected | Closing | Malformed | Action

REASON_LENGTH = 300
MAX_AGE_S = 24 * 3_600.0 - 60.0
SHUTDOWN = "serverShutdown"
RECORDED = "recorded"
"""Tag of a REST answer that a recording holds and nobody asked for."""

COINM_ROUTE = "coinm"
_FAMILY_OF_ROUTE = {
    SPOT: SPOT,
    FUTURES_PUBLIC: USDM,
    FUTURES_MARKET: USDM,
    COINM_ROUTE: COINM,
}
_PATH_OF_ROUTE = {FUTURES_PUBLIC: "/public", FUTURES_MARKET: "/market"}


class BinanceSession(SessionBase):
    """Speaks on one of Binance's stream sockets; *route* says which."""

    def __init__(
        self, config: BinanceConfig, instruments: Instruments, route: Route
    ) -> None:
        self._config = config
        self._instruments = instruments
        self._route = route
        family = _FAMILY_OF_ROUTE.get(route.name, SPOT)
        self._family = family
        frames = rest.SPOT_FRAMES if family == SPOT else rest.FUTURES_FRAMES
        self._requests = Requests(frames)
        settings = ReaderSettings(config.keep_raw, config.forming_candles)
        self._streams = Streams(settings)
        self._fast = self._streams.fast
        self._fetches: dict[str, str] = {}
        self._fetch_count = 0
        self._counters: Counter[str] = Counter()

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        """Dial the combined socket of the route; it lives for 24 hours."""
        base = self._config.ws_base(self._family)
        path = _PATH_OF_ROUTE.get(self._route.name, "") if self._config.split else ""
        return Dial(
            f"{base}{path}/stream",
            keepalive=Keepalive(self._config.ping_interval_s),
            costs={rest.CONNECTS: 1},
            max_age_s=MAX_AGE_S,
        )

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        """Ask for *wanted*, many to a frame."""
        asked = []
        for subscription in wanted:
            name = stream_name_of(subscription, self._instruments)
            self._streams.follow(name, subscription)
            asked.append((name, subscription))
        return self._requests.send(SUBSCRIBE, asked)

    @hookimpl
    def unsubscribe(
        self, unwanted: Sequence[Subscription], now: Now
    ) -> Sequence[Action]:
        """End *unwanted*, many to a frame."""
        ending = []
        for subscription in unwanted:
            name = stream_name_of(subscription, self._instruments)
            if self._streams.leave(name):
                ending.append((name, subscription))
        return self._requests.send(UNSUBSCRIBE, ending)

    @hookimpl
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        """Ask REST again: for a book's snapshot, or for candles that were missed."""
        name = stream_name_of(subscription, self._instruments)
        stream = self._streams.get(name)
        if stream is None:
            return self.subscribe([subscription], now)
        if subscription.data_type == DataType.CANDLE.value:
            return [self._ask_candles(stream)]
        seed = stream.reader.seed
        if seed is None or not seed.broke(now.wall_ns):
            return []
        self._counters["resyncs"] += 1
        return [self._ask_snapshot(stream, now.wall_ns)]

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Events, replies and actions in *frame*."""
        # hot path
        if isinstance(frame, str):
            frame = frame.encode("utf-8", "surrogatepass")
        read = self._fast.get(frame.partition(b",")[0])
        if read is not None:
            events = read(frame, received_ns)
            if events is not None:
                return events
        return self._parse_carefully(frame, received_ns)

    @hookimpl
    def respond(self, response: Response, now: Now) -> Parsed:
        """A book's snapshot, or candles that may have been missed."""
        if response.tag == RECORDED:
            return self._recorded(response)
        stream = self._streams.get(self._fetches.pop(response.tag, ""))
        if stream is None:
            # it was unsubscribed, or asked for again, while this was under way
            self._counters["late_answers"] += 1
            return ()
        seed = stream.reader.seed
        if seed is None:
            return self._candles(stream, response, now)
        return self._snapshot(stream, seed, response, now)

    @hookimpl
    def tick(self, now: Now) -> Tick:
        """Ask again for snapshots that came too old."""
        actions: list[Action] = []
        times: list[int] = []
        for stream in self._streams:
            seed = stream.reader.seed
            if seed is None or seed.again_ns is None:
                continue
            if now.monotonic_ns >= seed.again_ns:
                actions.append(self._ask_snapshot(stream, now.wall_ns))
            else:
                times.append(seed.again_ns)
        return Tick(actions, min(times, default=None))

    @hookimpl
    def health(self, now: Now) -> SessionHealth:
        """Counters only: what is wrong with a socket shows in its streams."""
        return SessionHealth(True, (), dict(self._counters))

    @hookimpl
    def closed(self, code: int | None, reason: str) -> Recovery:
        """Too many requests want a pause; all else, also the 24 hour cut, none."""
        if code is None:
            return Recovery.RETRY
        return CLOSE_CODES.get(code, Recovery.RETRY)

    # requests to REST

    def _tag(self, stream: Stream) -> str:
        self._fetch_count += 1
        tag = f"{stream.subscription.data_type}-{self._fetch_count}"
        self._fetches[tag] = stream.name
        return tag

    def _ask_snapshot(self, stream: Stream, wall_ns: int) -> Fetch:
        seed = stream.reader.seed
        tag = self._tag(stream)
        if seed is not None:
            self._fetches.pop(seed.tag, None)
            seed.ask(tag, wall_ns)
        subscription = stream.subscription
        return rest.depth(self._config, subscription, self._instruments, tag)

    def _ask_candles(self, stream: Stream) -> Fetch:
        tag = self._tag(stream)
        subscription = stream.subscription
        return rest.klines(self._config, subscription, self._instruments, tag)

    def _snapshot(
        self, stream: Stream, seed: Seed, response: Response, now: Now
    ) -> list[Out]:
        found = snapshot_in(response, stream.subscription)
        if isinstance(found, Malformed):
            self._counters["malformed"] += 1
            seed.postpone(now.monotonic_ns)
            return [found]
        row, snapshot = found
        if not seed.reaches(row.lastUpdateId):
            self._counters["old_snapshots"] += 1
            seed.postpone(now.monotonic_ns)
            return []
        seed.settle()
        return [seed.timed(snapshot, row.T is not None or row.E is not None)]

    def _candles(self, stream: Stream, response: Response, now: Now) -> list[Out]:
        found = candles_in(response, stream.subscription, now.venue_ns)
        if isinstance(found, Malformed):
            self._counters["malformed"] += 1
            return [found]
        return list(found)

    def _recorded(self, response: Response) -> list[Out]:
        """Trades in an answer that a recording holds."""
        url = response.request.url
        for stream in self._streams:
            subscription = stream.subscription
            if is_page_of(url, stream.name, subscription.channel):
                return list(trades_in(response, subscription))
        return []

    # frames that are not plain data

    def _parse_carefully(self, frame: bytes, received_ns: int) -> Parsed:
        try:
            envelope = decode_envelope(frame)
        except UNDECODABLE:
            known = self._streams.of_broken(frame)
            return [self._malformed("json", frame, known)]
        if isinstance(envelope.stream, str):
            return self._combined(envelope, frame, received_ns)
        if envelope.e == SHUTDOWN:
            return self._shutdown()
        if isinstance(envelope.s, str):
            return self._unwrapped(envelope, frame, received_ns)
        if envelope.lastUpdateId is not None:
            return self._nameless(frame, received_ns)
        if envelope.result is not msgspec.UNSET:
            return self._answered(envelope, received_ns)
        if envelope.error is not None or envelope.code is not None:
            return self._refused(envelope)
        return [self._malformed("envelope", frame)]

    def _combined(self, envelope: Envelope, frame: bytes, received_ns: int) -> Parsed:
        stream = self._streams.get(envelope.stream)
        if stream is not None:
            return self._read(stream, bytes(envelope.data), received_ns)
        if envelope.stream == f"!{SHUTDOWN}":
            return self._shutdown()
        if self._streams.is_late(envelope.stream):
            # it was on its way while we unsubscribed
            self._counters["late"] += 1
            return ()
        return [self._malformed("unknown-stream", frame)]

    def _unwrapped(self, envelope: Envelope, frame: bytes, received_ns: int) -> Parsed:
        stream = self._streams.of_raw(envelope)
        if stream is None:
            return [self._malformed("unknown-stream", frame)]
        return self._read(stream, frame, received_ns)

    def _nameless(self, frame: bytes, received_ns: int) -> Parsed:
        """Partial depth of spot without a wrapper: clear only where there is one."""
        stream = self._streams.nameless()
        if stream is None:
            return [self._malformed("no-symbol", frame)]
        return self._read(stream, frame, received_ns)

    def _read(self, stream: Stream, item: bytes, received_ns: int) -> list[Out]:
        items: list[Out] = list(stream.reader.careful(item, received_ns))
        for one in items:
            if one.__class__ is Malformed:
                self._counters["malformed"] += 1
        seed = stream.reader.seed
        if seed is not None and not seed.wanted and seed.newest_id >= 0:
            items.append(self._ask_snapshot(stream, received_ns))
        return items

    def _malformed(
        self, reason: str, frame: bytes, subscription: Subscription | None = None
    ) -> Malformed:
        self._counters["malformed"] += 1
        return Malformed(reason, sample(frame), subscription)

    def _shutdown(self) -> list[Out]:
        reason = "the venue announced a shutdown of the server"
        self._counters["shutdowns"] += 1
        # no fixed time ahead is promised
        return [Rotate(reason), Closing(None, reason)]

    # answers to requests

    def _answered(self, envelope: Envelope, received_ns: int) -> list[Out]:
        request = self._requests.take(envelope.id)
        if request is None:
            self._counters["unmatched_answers"] += 1
            return []
        if request.op == UNSUBSCRIBE:
            return self._ended(request)
        replies: list[Out] = []
        for name, subscription in request.waiting:
            stream = self._streams.get(name)
            if stream is None:
                continue
            replies.append(Acked(subscription))
            seed = stream.reader.seed
            if seed is not None and not seed.wanted:
                replies.append(self._ask_snapshot(stream, received_ns))
            elif subscription.data_type == DataType.CANDLE.value:
                replies.append(self._ask_candles(stream))
        return replies

    def _refused(self, envelope: Envelope) -> list[Out]:
        # the guide shows flat objects, the wire mostly nests them
        nested = envelope.error
        told = nested if isinstance(nested, dict) else {}
        code = told.get("code", envelope.code)
        reason = str(told.get("msg", envelope.msg))[:REASON_LENGTH]
        self._counters["errors"] += 1
        error = UNKNOWN_WS_ERROR
        if type(code) is int:
            error = WS_ERRORS.get(code, UNKNOWN_WS_ERROR)
        if envelope.id is None:
            # answers come in order, so it must be about the oldest
            request = self._requests.take_oldest()
        else:
            request = self._requests.take(envelope.id)
        if request is None:
            return [Rejected(None, str(code), reason, error.permanent)]
        if request.op == UNSUBSCRIBE:
            # what cannot be unsubscribed is not there
            return self._ended(request)
        if error.blames_one and len(request.waiting) > 1:
            return list(self._requests.split(request))
        return self._rejected(request, str(code), reason, error.permanent)

    def _ended(self, request: Request) -> list[Out]:
        return [
            Acked(subscription, active=False)
            for name, subscription in request.waiting
            if self._streams.ended(name)
        ]

    def _rejected(
        self, request: Request, code: str, reason: str, permanent: bool
    ) -> list[Out]:
        replies: list[Out] = []
        for name, subscription in request.waiting:
            self._streams.forget(name)
            replies.append(Rejected(subscription, code, reason, permanent))
        return replies
