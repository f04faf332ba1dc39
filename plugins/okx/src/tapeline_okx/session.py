"""One connection to OKX as a pure state machine.

https://my.okx.com/docs-v5/en/#overview-websocket
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import attrs
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
    LoggedIn,
    Malformed,
    MarketDataPoint,
    Recovery,
    Rejected,
    Response,
    Rotate,
    Route,
    Send,
    SessionHealth,
    Subscription,
    Tick,
)
from tapeline_okx.account import AccountReader
from tapeline_okx.channels import PATHS, PUBLIC, Key, arg_of, key_of
from tapeline_okx.config import OkxConfig
from tapeline_okx.errors import (
    CLOSE_CODES,
    LOGGED_IN_ALREADY,
    SERVICE_UPGRADE,
    UNKNOWN_WS_ERROR,
    UPGRADE_NOTICE_S,
    WS_ERRORS,
    Scope,
    hinted_key,
)
from tapeline_okx.login import Login
from tapeline_okx.readers import Fast, Reader, ReaderSettings, build_reader, sample
from tapeline_okx.requests import Requests
from tapeline_okx.wire import UNDECODABLE, Envelope, decode_envelope

Out = MarketDataPoint | Acked | Rejected | LoggedIn | Closing | Malformed | Action

REASON_LENGTH = 300
RESYNC_WAIT_NS = 5 * 10**9


@attrs.frozen
class _Stream:
    """What this socket carries.

    Args:
        prefix: bytes of its frames up to the first closing brace.
    """

    subscription: Subscription
    prefix: bytes
    reader: Reader | AccountReader


class OkxSession(SessionBase):
    """Speaks on one of OKX's sockets; *route* says which."""

    def __init__(
        self, config: OkxConfig, instruments: Instruments, route: Route
    ) -> None:
        self._config = config
        self._instruments = instruments
        self._route = route
        self._settings = ReaderSettings(
            config.keep_raw, config.forming_candles, config.verify_checksum
        )
        self._fast: dict[bytes, Fast] = {}
        self._streams: dict[Key, _Stream] = {}
        self._requests = Requests()
        self._login = Login()
        self._held: dict[Subscription, None] = {}
        self._leaving: set[Key] = set()
        self._left: set[Key] = set()
        self._resyncing: dict[Key, tuple[Subscription, int]] = {}
        self._counters: Counter[str] = Counter()
        self._events: dict[str, Callable[[Envelope, bytes], list[Out]]] = {
            "subscribe": self._on_subscribed,
            "unsubscribe": self._on_unsubscribed,
            "login": self._on_login,
            "error": self._on_error,
            "notice": self._on_notice,
            "channel-conn-count": self._on_connection_count,
            "channel-conn-count-error": self._on_too_many_connections,
        }

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        """Dial the socket of the route; the keepalive is the text ``ping``."""
        return Dial(
            self._config.ws_base + PATHS.get(self._route.name, PATHS[PUBLIC]),
            keepalive=Keepalive(self._config.ping_interval_s, text="ping"),
            costs={"connects": 1},
            private=self._route.private,
        )

    @hookimpl
    def opened(self, now: Now) -> Sequence[Action]:
        """Log in where the route wants it."""
        return [self._login.send(self._config, now)] if self._route.private else []

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        """Ask for *wanted*, many to a frame; held back until a login is confirmed."""
        if self._route.private and not self._login.done:
            self._held.update(dict.fromkeys(wanted))
            return []
        return self._ask(wanted)

    @hookimpl
    def unsubscribe(
        self, unwanted: Sequence[Subscription], now: Now
    ) -> Sequence[Action]:
        """End *unwanted*, many to a frame."""
        ending = []
        for subscription in unwanted:
            self._held.pop(subscription, None)
            arg = arg_of(subscription, self._instruments)
            key = key_of(arg)
            self._resyncing.pop(key, None)
            if key in self._streams:
                self._leaving.add(key)
                ending.append((arg, subscription))
        return self._requests.send(UNSUBSCRIBE, ending)

    @hookimpl
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        """Unsubscribe; the acknowledgment is what subscribes again."""
        arg = arg_of(subscription, self._instruments)
        key = key_of(arg)
        if key in self._resyncing:
            return []
        if key not in self._streams:
            return self.subscribe([subscription], now)
        self._resyncing[key] = (subscription, now.monotonic_ns + RESYNC_WAIT_NS)
        self._counters["resyncs"] += 1
        return self._requests.send(UNSUBSCRIBE, [(arg, subscription)])

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Events, replies and actions in *frame*."""
        # hot path
        if isinstance(frame, str):
            frame = frame.encode("utf-8", "surrogatepass")
        read = self._fast.get(frame.partition(b"}")[0])
        if read is not None:
            events = read(frame, received_ns)
            if events is not None:
                return events
        return self._parse_carefully(frame, received_ns)

    @hookimpl
    def tick(self, now: Now) -> Tick:
        """Send what a login, a resync or an unclear error has left to do."""
        actions = self._login.tick(self._config, now)
        for key, (subscription, deadline_ns) in list(self._resyncing.items()):
            if now.monotonic_ns >= deadline_ns:
                # the acknowledgment is lost: asking anew is the way out
                del self._resyncing[key]
                actions += self._ask([subscription])
        for request in self._requests.due(now):
            for subscription in request.waiting.values():
                arg = arg_of(subscription, self._instruments)
                actions += self._requests.send(request.op, [(arg, subscription)])
        times = [
            self._login.wake_at_ns(),
            self._requests.wake_at_ns(),
            *(deadline_ns for _, deadline_ns in self._resyncing.values()),
        ]
        known = [time for time in times if time is not None]
        return Tick(actions, min(known, default=None))

    @hookimpl
    def health(self, now: Now) -> SessionHealth:
        """Counters, and a failed login as an issue."""
        code = self._login.failure
        issues = (f"login failed with code {code}",) if code else ()
        return SessionHealth(not issues, issues, dict(self._counters))

    @hookimpl
    def closed(self, code: int | None, reason: str) -> Recovery:
        """What the close code means; a key that is refused is final."""
        if self._login.fatal:
            return Recovery.FATAL
        if code is None:
            return Recovery.RETRY
        return CLOSE_CODES.get(code, Recovery.RETRY)

    # streams

    def _ask(self, wanted: Iterable[Subscription]) -> list[Action]:
        asked = []
        for subscription in wanted:
            arg = arg_of(subscription, self._instruments)
            key = key_of(arg)
            if key not in self._resyncing:
                self._follow(key, arg, subscription)
                asked.append((arg, subscription))
        return self._requests.send(SUBSCRIBE, asked)

    def _follow(
        self, key: Key, arg: dict[str, str], subscription: Subscription
    ) -> None:
        self._leaving.discard(key)
        self._left.discard(key)
        known = self._streams.get(key)
        if known is not None and known.subscription == subscription:
            return
        reader: Reader | AccountReader
        if subscription.data_type == DataType.BALANCE.value:
            reader = AccountReader(subscription, self._settings.raw)
        else:
            reader = build_reader(subscription, self._settings)
        prefix = b'{"arg":' + msgspec.json.encode(arg)[:-1]
        self._streams[key] = _Stream(subscription, prefix, reader)
        self._fast[prefix] = reader.fast

    def _forget(self, key: Key) -> None:
        stream = self._streams.pop(key, None)
        if stream is not None:
            del self._fast[stream.prefix]
            self._left.add(key)

    def _ended(self, key: Key) -> list[Out]:
        """*key* is not subscribed any more."""
        resyncing = self._resyncing.pop(key, None)
        if resyncing is not None:
            return list(self._ask([resyncing[0]]))
        stream = self._streams.get(key)
        if stream is None or key not in self._leaving:
            return []
        self._leaving.discard(key)
        self._forget(key)
        return [Acked(stream.subscription, active=False)]

    # frames that are not plain data

    def _parse_carefully(self, frame: bytes, received_ns: int) -> Parsed:
        if frame == b"pong":
            return ()
        if frame == b"ping":
            return (Send("pong"),)
        try:
            envelope = decode_envelope(frame)
        except UNDECODABLE:
            return [self._malformed("json", frame, self._stream_of(frame))]
        if envelope.event:
            handle = self._events.get(envelope.event)
            if handle is None:
                return [self._malformed("unknown-event", frame)]
            return handle(envelope, frame)
        if envelope.arg is None:
            return [self._malformed("envelope", frame)]
        key = key_of(envelope.arg)
        stream = self._streams.get(key)
        if stream is not None:
            items = stream.reader.careful(envelope, received_ns)
            for item in items:
                if item.__class__ is Malformed:
                    self._counters["malformed"] += 1
            return items
        if key in self._left:
            # it was on its way while we unsubscribed
            self._counters["late"] += 1
            return ()
        return [self._malformed("unknown-channel", frame)]

    def _malformed(
        self, reason: str, frame: bytes, subscription: Subscription | None = None
    ) -> Malformed:
        self._counters["malformed"] += 1
        return Malformed(reason, sample(frame), subscription)

    def _stream_of(self, frame: bytes) -> Subscription | None:
        """The stream of a frame that is broken behind its ``arg``."""
        head = frame.partition(b"}")[0]
        if head not in self._fast:
            return None
        return next(s.subscription for s in self._streams.values() if s.prefix == head)

    def _on_subscribed(self, envelope: Envelope, frame: bytes) -> list[Out]:
        key = key_of(envelope.arg or {})
        self._requests.settle(SUBSCRIBE, key, envelope.id)
        stream = self._streams.get(key)
        if stream is not None:
            return [Acked(stream.subscription)]
        return [] if key in self._left else [self._malformed("unknown-channel", frame)]

    def _on_unsubscribed(self, envelope: Envelope, frame: bytes) -> list[Out]:
        key = key_of(envelope.arg or {})
        self._requests.settle(UNSUBSCRIBE, key, envelope.id)
        return self._ended(key)

    def _on_notice(self, envelope: Envelope, frame: bytes) -> list[Out]:
        if str(envelope.code) != SERVICE_UPGRADE:
            self._counters["notices"] += 1
            return []
        return [
            Rotate("the venue announced a service upgrade", UPGRADE_NOTICE_S),
            Closing(UPGRADE_NOTICE_S, "service upgrade"),
        ]

    def _on_connection_count(self, envelope: Envelope, frame: bytes) -> list[Out]:
        self._counters["connection_counts"] += 1
        return []

    def _on_too_many_connections(self, envelope: Envelope, frame: bytes) -> list[Out]:
        # it comes after a normal acknowledgment: the stream is dead all the same
        code, name = "channel-conn-count-error", str(envelope.channel)
        reason = f"too many connections with channel {name[:REASON_LENGTH]!r}"
        dead = [(key, s) for key, s in self._streams.items() if key[0] == name]
        for key, _ in dead:
            self._requests.settle(SUBSCRIBE, key, "")
            self._forget(key)
        if not dead:
            return [Rejected(None, code, reason, permanent=False)]
        return [
            Rejected(stream.subscription, code, reason, permanent=False)
            for _, stream in dead
        ]

    # errors and the login

    def _on_error(self, envelope: Envelope, frame: bytes) -> list[Out]:
        code, text = str(envelope.code), str(envelope.msg)
        reason = text[:REASON_LENGTH]
        self._counters["errors"] += 1
        error = WS_ERRORS.get(code, UNKNOWN_WS_ERROR)
        if error.scope is Scope.LOGIN:
            return self._login_failed(code, reason, error.permanent)
        names = self._requests.concerned(envelope.id)
        waiting = self._requests.waiting(names)
        if not waiting:
            return [Rejected(None, code, reason, error.permanent)]
        if error.scope is Scope.NOT_LOGGED_IN:
            if not self._config.has_key:
                return self._refused(waiting, code, reason, permanent=True)
            for name, key in waiting:
                self._held[self._requests.take(name, key)[1]] = None
            self._login.want()
            return []
        if len({key for _, key in waiting}) > 1:
            if error.scope is Scope.REQUEST and not error.permanent:
                return self._refused(waiting, code, reason, permanent=False)
            hint = hinted_key(text)
            waiting = [(name, key) for name, key in waiting if key == hint]
            if not waiting:
                self._requests.doubt(names)
                return []
        return self._refused(waiting[:1], code, reason, error.permanent)

    def _refused(
        self,
        waiting: Sequence[tuple[str, Key]],
        code: str,
        reason: str,
        permanent: bool,
    ) -> list[Out]:
        replies: list[Out] = []
        for name, key in waiting:
            op, subscription = self._requests.take(name, key)
            if op == UNSUBSCRIBE:
                # what cannot be unsubscribed is not there
                replies += self._ended(key)
            else:
                self._forget(key)
                replies.append(Rejected(subscription, code, reason, permanent))
        return replies

    def _on_login(self, envelope: Envelope, frame: bytes) -> list[Out]:
        if str(envelope.code) not in ("0", ""):
            return self._on_error(envelope, frame)
        return self._logged_in()

    def _logged_in(self) -> list[Out]:
        self._login.succeeded()
        held, self._held = self._held, {}
        return [LoggedIn(), *self._ask(held)]

    def _login_failed(self, code: str, reason: str, permanent: bool) -> list[Out]:
        if code == LOGGED_IN_ALREADY:
            return [] if self._login.done else self._logged_in()
        self._login.failed(code, permanent)
        held: list[Subscription | None] = [*self._held] or [None]
        return [Rejected(s, code, reason, permanent) for s in held]
