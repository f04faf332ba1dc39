"""Spot balances over the WebSocket API.

Nothing is sent on subscribing, so REST gives the whole account once, and events bring
the changes.

https://developers.binance.com/docs/binance-spot-api-docs/user-data-stream
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from tapeline.clock import Now
from tapeline.hookspecs import Instruments, Parsed, SessionBase, hookimpl
from tapeline.model import (
    LOGIN,
    Acked,
    Action,
    Balance,
    Closing,
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
)
from tapeline_binance import rest
from tapeline_binance.config import BinanceConfig
from tapeline_binance.errors import CLOSE_CODES, PERMANENT_LOGIN_CODES
from tapeline_binance.numbers import NotPlain, plain_decimal
from tapeline_binance.reader import sample
from tapeline_binance.session import MAX_AGE_S, REASON_LENGTH, SHUTDOWN
from tapeline_binance.signing import signed_params
from tapeline_binance.wire import UNDECODABLE, AnyTime, decode_any, ns_of

Out = MarketDataPoint | Acked | Rejected | LoggedIn | Closing | Malformed | Action

SUBSCRIBE_METHOD = "userDataStream.subscribe.signature"
SUBSCRIBE_WEIGHT = 2
CONNECT_WEIGHT = 5
ACCOUNT_TAG = "account"

Amount = Annotated[str, msgspec.Meta(max_length=64)]
Asset = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class WireBalance(msgspec.Struct):
    """One asset of ``outboundAccountPosition``."""

    a: Asset
    f: Amount
    l: Amount  # noqa: E741


class WirePosition(msgspec.Struct):
    """``outboundAccountPosition``: absolute amounts of what may have changed."""

    u: AnyTime
    B: list[msgspec.Raw]


class WireAccountBalance(msgspec.Struct):
    """One asset of REST ``account``."""

    asset: Asset
    free: Amount
    locked: Amount


class WireAccount(msgspec.Struct):
    """REST ``account``."""

    updateTime: AnyTime
    balances: list[msgspec.Raw]


_decode_position = msgspec.json.Decoder(WirePosition).decode
_decode_balance = msgspec.json.Decoder(WireBalance).decode
_decode_account = msgspec.json.Decoder(WireAccount).decode
_decode_account_balance = msgspec.json.Decoder(WireAccountBalance).decode


def _amounts(free: str, locked: str) -> tuple[Decimal, Decimal]:
    try:
        return plain_decimal(free), plain_decimal(locked)
    except NotPlain:
        raise ValueError("expected two plain numbers") from None


class AccountSession(SessionBase):
    """Speaks on the WebSocket API: subscribes user data, reads balances."""

    def __init__(
        self, config: BinanceConfig, instruments: Instruments, route: Route
    ) -> None:
        self._config = config
        self._stream: Subscription | None = None
        self._failure = ""
        self._fatal = False
        self._request_id = 1
        self._updated_ns: dict[str, int] = {}
        self._counters: Counter[str] = Counter()

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        """Dial the WebSocket API; connecting costs weight, too."""
        return Dial(
            self._config.ws_api_url(),
            keepalive=Keepalive(self._config.ping_interval_s),
            costs={rest.CONNECTS: 1, rest.SPOT_WEIGHT: CONNECT_WEIGHT},
            max_age_s=MAX_AGE_S,
            private=True,
        )

    @hookimpl
    def opened(self, now: Now) -> Sequence[Action]:
        """Subscribe the account's events; the signature is all the login there is."""
        params = signed_params(self._config, {}, now.venue_ns)
        request = {"id": self._request_id, "method": SUBSCRIBE_METHOD, "params": params}
        frame = msgspec.json.encode(request).decode()
        return [Send(frame, (), LOGIN, {rest.SPOT_WEIGHT: SUBSCRIBE_WEIGHT})]

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        """Events come already: ask for the whole account, which they change."""
        for subscription in wanted:
            self._stream = subscription
            return [rest.account(self._config, subscription, ACCOUNT_TAG)]
        return []

    @hookimpl
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        """The account could not be fetched: ask again."""
        return self.subscribe([subscription], now)

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Balances, answers and the end of the subscription."""
        if isinstance(frame, str):
            frame = frame.encode("utf-8", "surrogatepass")
        try:
            message = decode_any(frame)
        except UNDECODABLE:
            return [self._malformed("json", frame)]
        if not isinstance(message, dict):
            return [self._malformed("envelope", frame)]
        event = message.get("event", message)
        if isinstance(event, dict) and isinstance(event.get("e"), str):
            return self._event(event, received_ns)
        if "status" in message:
            return self._answer(message)
        return [self._malformed("envelope", frame)]

    @hookimpl
    def respond(self, response: Response, now: Now) -> Parsed:
        """The whole account; what an event has changed since stays as it is."""
        stream = self._stream
        if stream is None:
            return ()
        try:
            account = _decode_account(response.body)
        except UNDECODABLE:
            return [self._malformed("account", response.body)]
        updated_ns = ns_of(account.updateTime)
        items: list[Out] = [Acked(stream)]
        for row in account.balances:
            try:
                held = _decode_account_balance(row)
                free, locked = _amounts(held.free, held.locked)
            except UNDECODABLE:
                items.append(self._malformed("balance", bytes(row)))
                continue
            if self._updated_ns.get(held.asset, 0) > updated_ns:
                continue
            items.append(
                Balance(
                    stream,
                    held.asset,
                    free + locked,
                    free,
                    locked,
                    updated_ns,
                    response.received_ns,
                    snapshot=True,
                    raw=self._kept(row),
                )
            )
        return items

    @hookimpl
    def health(self, now: Now) -> SessionHealth:
        """Counters, and a refused subscription as an issue."""
        code = self._failure
        issues = (f"user data refused with code {code}",) if code else ()
        return SessionHealth(not issues, issues, dict(self._counters))

    @hookimpl
    def closed(self, code: int | None, reason: str) -> Recovery:
        """What the close code means; a key that is refused is final."""
        if self._fatal:
            return Recovery.FATAL
        if code is None:
            return Recovery.RETRY
        return CLOSE_CODES.get(code, Recovery.RETRY)

    def _malformed(self, reason: str, frame: bytes) -> Malformed:
        self._counters["malformed"] += 1
        return Malformed(reason, sample(frame), self._stream)

    def _answer(self, message: dict[str, Any]) -> list[Out]:
        if message.get("id") != self._request_id:
            self._counters["unmatched_answers"] += 1
            return []
        if message["status"] == 200:
            self._failure, self._fatal = "", False
            return [LoggedIn()]
        error = message.get("error")
        told = error if isinstance(error, dict) else {}
        code = told.get("code", message["status"])
        reason = str(told.get("msg", ""))[:REASON_LENGTH]
        self._fatal = type(code) is int and code in PERMANENT_LOGIN_CODES
        self._failure = str(code)[:20]
        return [Rejected(None, self._failure, reason, self._fatal)]

    def _event(self, event: dict[str, Any], received_ns: int) -> list[Out]:
        kind = event["e"]
        if kind == "outboundAccountPosition":
            return self._position(event, received_ns)
        if kind == SHUTDOWN:
            reason = "the venue announced a shutdown of the server"
            return [Rotate(reason), Closing(None, reason)]
        if kind == "eventStreamTerminated":
            return [Rotate("the venue ended the user data subscription")]
        # orders, locks and deltas: the absolute amounts come by themselves
        self._counters[f"ignored.{kind[:40]}"] += 1
        return []

    def _position(self, event: dict[str, Any], received_ns: int) -> list[Out]:
        stream = self._stream
        if stream is None:
            # before the account was asked for, which will hold it
            self._counters["early"] += 1
            return []
        text = msgspec.json.encode(event)
        try:
            position = _decode_position(text)
        except UNDECODABLE:
            return [self._malformed("position", text)]
        updated_ns = ns_of(position.u)
        items: list[Out] = []
        for row in position.B:
            try:
                held = _decode_balance(row)
                free, locked = _amounts(held.f, held.l)
            except UNDECODABLE:
                items.append(self._malformed("balance", bytes(row)))
                continue
            if self._updated_ns.get(held.a, 0) > updated_ns:
                self._counters["late"] += 1
                continue
            self._updated_ns[held.a] = updated_ns
            items.append(
                Balance(
                    stream,
                    held.a,
                    free + locked,
                    free,
                    locked,
                    updated_ns,
                    received_ns,
                    raw=self._kept(row),
                )
            )
        return items

    def _kept(self, row: msgspec.Raw) -> object:
        """Binance's own object, when it is wanted."""
        return decode_any(row) if self._config.keep_raw else None
