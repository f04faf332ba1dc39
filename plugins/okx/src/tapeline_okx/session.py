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
    LOGIN,
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
from tapeline_okx.channels import PATHS, Key, arg_of, key_of
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
from tapeline_okx.messages import (
    UNDECODABLE,
    Envelope,
    Fast,
    Reader,
    build_reader,
    decode_envelope,
    sample,
)
from tapeline_okx.signing import login_frame

Out = MarketDataPoint | Acked | Rejected | LoggedIn | Closing | Malformed | Action

MAX_ARGS = 100
MAX_REQUEST_BYTES = 60_000
"""Below the 64 KB that OKX takes, with room for the request around the arguments."""

REASON_LENGTH = 300

_SECOND = 10**9
RESYNC_WAIT_NS = 5 * _SECOND
SPLIT_WAIT_NS = 1 * _SECOND
LOGIN_WAIT_NS = 10 * _SECOND

_COST = {"frames": 1}
_encode = msgspec.json.encode


@attrs.define
class _Request:
    """A request whose acknowledgments are awaited, one for each argument.

    Args:
        doubt: code and text of an error that does not tell the bad argument.
        split_at_ns: when the rest is asked again one by one; 0 for not yet set.
    """

    op: str
    waiting: dict[Key, Subscription]
    doubt: tuple[str, str] | None = None
    split_at_ns: int = 0


@attrs.define
class _Stream:
    subscription: Subscription
    prefix: bytes
    reader: Reader | AccountReader


@attrs.define
class _Login:
    """Where the login stands.

    Args:
        wanted: one is to be sent at the next tick.
        not_before_ns: and not before this monotonic time.
        deadline_ns: when its answer is overdue.
    """

    done: bool = False
    sent: bool = False
    wanted: bool = False
    not_before_ns: int = 0
    deadline_ns: int = 0
    failure: str = ""
    fatal: bool = False


class OkxSession(SessionBase):
    """Speaks on one of OKX's sockets; *route* says which."""

    def __init__(
        self, config: OkxConfig, instruments: Instruments, route: Route
    ) -> None:
        self._config = config
        self._instruments = instruments
        self._route = route
        self._fast: dict[bytes, Fast] = {}
        self._streams: dict[Key, _Stream] = {}
        self._requests: dict[str, _Request] = {}
        self._request_count = 0
        self._held: dict[Subscription, None] = {}
        self._leaving: set[Key] = set()
        self._left: set[Key] = set()
        self._resyncing: dict[Key, tuple[Subscription, int]] = {}
        self._login = _Login()
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
            self._config.ws_base + PATHS[self._route.name],
            keepalive=Keepalive(self._config.ping_interval_s, text="ping"),
            costs={"connects": 1},
        )

    @hookimpl
    def opened(self, now: Now) -> Sequence[Action]:
        """Log in where the route wants it."""
        return [self._send_login(now)] if self._route.private else []

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        """Ask for *wanted*, many to a frame; held back until a login is confirmed."""
        if self._route.private and not self._login.done:
            self._held.update(dict.fromkeys(wanted))
            return []
        return self._request(SUBSCRIBE, wanted)

    @hookimpl
    def unsubscribe(
        self, unwanted: Sequence[Subscription], now: Now
    ) -> Sequence[Action]:
        """End *unwanted*, many to a frame."""
        ending = []
        for subscription in unwanted:
            self._held.pop(subscription, None)
            key = self._key(subscription)
            self._resyncing.pop(key, None)
            if key in self._streams:
                self._leaving.add(key)
                ending.append(subscription)
        return self._request(UNSUBSCRIBE, ending)

    @hookimpl
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        """Unsubscribe; the acknowledgment is what subscribes again."""
        key = self._key(subscription)
        if key in self._resyncing:
            return []
        if key not in self._streams:
            return self.subscribe([subscription], now)
        self._resyncing[key] = (subscription, now.monotonic_ns + RESYNC_WAIT_NS)
        self._counters["resyncs"] += 1
        return self._request(UNSUBSCRIBE, [subscription])

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Events, replies and actions in *frame*."""
        # hot path
        if frame.__class__ is not bytes:
            frame = _as_bytes(frame)
        read = self._fast.get(frame.partition(b"}")[0])
        if read is not None:
            events = read(frame, received_ns)
            if events is not None:
                return events
        return self._parse_carefully(frame, received_ns)

    @hookimpl
    def tick(self, now: Now) -> Tick:
        """Send what a login, a resync or an unclear error has left to do."""
        actions: list[Action] = []
        actions += self._tick_login(now)
        for key, (subscription, deadline_ns) in list(self._resyncing.items()):
            if now.monotonic_ns >= deadline_ns:
                # the acknowledgment is lost: asking anew is the way out
                del self._resyncing[key]
                actions += self._request(SUBSCRIBE, [subscription])
        for name, request in list(self._requests.items()):
            if request.doubt is None:
                continue
            if not request.split_at_ns:
                request.split_at_ns = now.monotonic_ns + SPLIT_WAIT_NS
            elif now.monotonic_ns >= request.split_at_ns:
                del self._requests[name]
                for subscription in request.waiting.values():
                    actions += self._request(request.op, [subscription])
        return Tick(actions, self._wake_at_ns())

    @hookimpl
    def health(self, now: Now) -> SessionHealth:
        """Counters, and a failed login as an issue."""
        failure = self._login.failure
        issues = (f"login failed with code {failure}",) if failure else ()
        return SessionHealth(not issues, issues, dict(self._counters))

    @hookimpl
    def closed(self, code: int | None, reason: str) -> Recovery:
        """What the close code means; a key that is refused is final."""
        if self._login.fatal:
            return Recovery.FATAL
        if code is None:
            return Recovery.RETRY
        return CLOSE_CODES.get(code, Recovery.RETRY)

    # requests

    def _key(self, subscription: Subscription) -> Key:
        return key_of(arg_of(subscription, self._instruments))

    def _request(self, op: str, subscriptions: Iterable[Subscription]) -> list[Action]:
        actions: list[Action] = []
        args: list[dict[str, str]] = []
        waiting: dict[Key, Subscription] = {}
        size = 0
        for subscription in subscriptions:
            arg = arg_of(subscription, self._instruments)
            key = key_of(arg)
            if op == SUBSCRIBE:
                if key in self._resyncing:
                    continue
                self._follow(key, arg, subscription)
            if key in waiting:
                continue
            length = len(_encode(arg)) + 1
            if args and (len(args) == MAX_ARGS or size + length > MAX_REQUEST_BYTES):
                actions.append(self._frame(op, args, waiting))
                args, waiting, size = [], {}, 0
            args.append(arg)
            waiting[key] = subscription
            size += length
        if args:
            actions.append(self._frame(op, args, waiting))
        return actions

    def _frame(
        self, op: str, args: list[dict[str, str]], waiting: dict[Key, Subscription]
    ) -> Send:
        self._request_count += 1
        name = f"{op[0]}{self._request_count}"
        self._requests[name] = _Request(op, waiting)
        frame = _encode({"id": name, "op": op, "args": args}).decode()
        return Send(frame, tuple(waiting.values()), op, _COST)

    def _follow(
        self, key: Key, arg: dict[str, str], subscription: Subscription
    ) -> None:
        self._leaving.discard(key)
        self._left.discard(key)
        known = self._streams.get(key)
        if known is not None and known.subscription == subscription:
            return
        config = self._config
        reader: Reader | AccountReader
        if subscription.data_type == DataType.BALANCE.value:
            reader = AccountReader(subscription, config.keep_raw)
        else:
            reader = build_reader(
                subscription,
                keep_raw=config.keep_raw,
                forming=config.forming_candles,
            )
        # the frame's bytes up to the first closing brace
        prefix = b'{"arg":' + _encode(arg)[:-1]
        self._streams[key] = _Stream(subscription, prefix, reader)
        self._fast[prefix] = reader.fast

    def _forget(self, key: Key) -> None:
        stream = self._streams.pop(key, None)
        if stream is not None:
            self._fast.pop(stream.prefix, None)
            self._left.add(key)

    def _settle(self, op: str, key: Key, name: object) -> None:
        """*key* of a request was answered; without an id the oldest one counts."""
        request = self._requests.get(name) if isinstance(name, str) else None
        if request is not None and request.op == op and key in request.waiting:
            found = name
        else:
            found = next(
                (
                    other
                    for other, request in self._requests.items()
                    if request.op == op and key in request.waiting
                ),
                None,
            )
        if isinstance(found, str):
            waiting = self._requests[found].waiting
            del waiting[key]
            if not waiting:
                del self._requests[found]

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
            # on its way while we unsubscribed
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
        for stream in self._streams.values():
            if stream.prefix == head:
                return stream.subscription
        return None

    def _on_subscribed(self, envelope: Envelope, frame: bytes) -> list[Out]:
        key = key_of(envelope.arg or {})
        self._settle(SUBSCRIBE, key, envelope.id)
        stream = self._streams.get(key)
        if stream is None:
            if key in self._left:
                return []
            return [self._malformed("unknown-channel", frame)]
        return [Acked(stream.subscription)]

    def _on_unsubscribed(self, envelope: Envelope, frame: bytes) -> list[Out]:
        key = key_of(envelope.arg or {})
        self._settle(UNSUBSCRIBE, key, envelope.id)
        return self._ended(key)

    def _ended(self, key: Key) -> list[Out]:
        """*key* is not subscribed any more."""
        resyncing = self._resyncing.pop(key, None)
        if resyncing is not None:
            return list(self._request(SUBSCRIBE, [resyncing[0]]))
        stream = self._streams.get(key)
        if stream is None or key not in self._leaving:
            return []
        self._leaving.discard(key)
        self._forget(key)
        return [Acked(stream.subscription, active=False)]

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
        name = str(envelope.channel)
        dead = [(key, s) for key, s in self._streams.items() if key[0] == name]
        for key, _ in dead:
            self._settle(SUBSCRIBE, key, "")
            self._forget(key)
        reason = f"too many connections with channel {name!r}"
        return [
            Rejected(stream.subscription, "channel-conn-count-error", reason, False)
            for _, stream in dead
        ] or [Rejected(None, "channel-conn-count-error", reason, False)]

    # errors

    def _on_error(self, envelope: Envelope, frame: bytes) -> list[Out]:
        code, reason = str(envelope.code), str(envelope.msg)[:REASON_LENGTH]
        self._counters["errors"] += 1
        error = WS_ERRORS.get(code, UNKNOWN_WS_ERROR)
        if error.scope is Scope.LOGIN:
            return self._login_failed(code, reason, error.permanent)
        name = envelope.id if isinstance(envelope.id, str) else ""
        if name in self._requests:
            names = [name]
        else:
            names = [n for n, r in self._requests.items() if r.op == SUBSCRIBE]
        if not names:
            return [Rejected(None, code, reason, error.permanent)]
        if error.scope is Scope.NOT_LOGGED_IN:
            return self._hold_back(names, code, reason)
        key = self._key_meant(names, str(envelope.msg))
        if key is not None:
            return self._refused(key, names, code, reason, error.permanent)
        if error.scope is Scope.REQUEST and not error.permanent:
            return self._drop(names, code, reason, permanent=False)
        for name in names:
            # acknowledgments of good arguments may still be on their way, so the
            # others are asked one by one a little later
            self._requests[name].doubt = (code, reason)
        return []

    def _key_meant(self, names: list[str], text: str) -> Key | None:
        waiting = [key for name in names for key in self._requests[name].waiting]
        if len(set(waiting)) == 1:
            return waiting[0]
        hint = hinted_key(text)
        return hint if hint in waiting else None

    def _refused(
        self, key: Key, names: list[str], code: str, reason: str, permanent: bool
    ) -> list[Out]:
        name = next(name for name in names if key in self._requests[name].waiting)
        request = self._requests[name]
        subscription = request.waiting.pop(key)
        if not request.waiting:
            del self._requests[name]
        if request.op == UNSUBSCRIBE:
            # what cannot be unsubscribed is not there
            return self._ended(key)
        self._forget(key)
        return [Rejected(subscription, code, reason, permanent)]

    def _drop(
        self, names: list[str], code: str, reason: str, *, permanent: bool
    ) -> list[Out]:
        replies: list[Out] = []
        for name in names:
            for key in list(self._requests[name].waiting):
                replies += self._refused(key, [name], code, reason, permanent)
        return replies

    def _hold_back(self, names: list[str], code: str, reason: str) -> list[Out]:
        if not self._config.has_key:
            return self._drop(names, code, reason, permanent=True)
        for name in names:
            request = self._requests.pop(name)
            self._held.update(dict.fromkeys(request.waiting.values()))
        # a tick knows the venue's time, which a login is signed with
        self._login.done = False
        self._login.wanted = not self._login.sent
        return []

    # login

    def _send_login(self, now: Now) -> Send:
        login = self._login
        login.sent, login.wanted = True, False
        login.deadline_ns = now.monotonic_ns + LOGIN_WAIT_NS
        return Send(login_frame(self._config, now.venue_ns), (), LOGIN, _COST)

    def _on_login(self, envelope: Envelope, frame: bytes) -> list[Out]:
        code = str(envelope.code)
        if code not in ("0", ""):
            return self._on_error(envelope, frame)
        return self._logged_in()

    def _logged_in(self) -> list[Out]:
        self._login = _Login(done=True)
        held, self._held = self._held, {}
        return [LoggedIn(), *self._request(SUBSCRIBE, held)]

    def _login_failed(self, code: str, reason: str, permanent: bool) -> list[Out]:
        login = self._login
        if code == LOGGED_IN_ALREADY:
            return [] if login.done else self._logged_in()
        login.done = login.sent = False
        login.failure, login.fatal = code, permanent
        login.wanted, login.not_before_ns = not permanent, 0
        held: list[Subscription | None] = [*self._held] or [None]
        return [Rejected(s, code, reason, permanent) for s in held]

    def _tick_login(self, now: Now) -> list[Action]:
        login = self._login
        if login.wanted:
            if not login.not_before_ns:
                pause_ns = LOGIN_WAIT_NS if login.failure else 0
                login.not_before_ns = now.monotonic_ns + pause_ns
            if now.monotonic_ns >= login.not_before_ns:
                login.not_before_ns = 0
                return [self._send_login(now)]
        elif login.sent and now.monotonic_ns >= login.deadline_ns:
            # one answer is still possible, so not a second login on this socket
            login.deadline_ns = now.monotonic_ns + LOGIN_WAIT_NS
            return [Rotate("the venue did not answer the login")]
        return []

    def _wake_at_ns(self) -> int | None:
        times = [deadline_ns for _, deadline_ns in self._resyncing.values()]
        times += [r.split_at_ns for r in self._requests.values() if r.split_at_ns]
        if self._login.wanted:
            times.append(self._login.not_before_ns)
        elif self._login.sent:
            times.append(self._login.deadline_ns)
        return min(times, default=None)


def _as_bytes(frame: str | bytes) -> bytes:
    return frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
