"""The simulator's private side: keys, signatures, balances that move.

https://developers.binance.com/docs/binance-spot-api-docs/websocket-api/request-security
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from decimal import Decimal
from random import Random

import attrs

from tapeline_binance.simulator_routing import MICROSECOND_NS, MILLISECOND_NS

_DEFAULT_WINDOW_MS = 5_000
_LONGEST_WINDOW_MS = 60_000
# Request times with more digits than this are microseconds.
_MICROSECONDS_FROM = 10**14


@attrs.frozen
class SimKey:
    """An API key that the simulator knows; not a secret of anybody."""

    key: str
    secret: str = attrs.field(repr=False)


DEFAULT_KEY = SimKey("simulated-key", "simulated-secret")
"""The key of a simulator that was given none."""

BAD_KEY = (-2015, "Invalid API-key, IP, or permissions for action.")
_BAD_SIGNATURE = (-1022, "Signature for this request is not valid.")

Problem = tuple[int, str]
"""Code and message of a refusal."""


def time_ns(value: int) -> int:
    """Nanoseconds of a request's time, in milliseconds or microseconds."""
    return value * (MICROSECOND_NS if value >= _MICROSECONDS_FROM else MILLISECOND_NS)


def missing(name: str) -> Problem:
    """A mandatory parameter is not there."""
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return -1102, text


class SimAccount:
    """One account: its keys and what it holds."""

    def __init__(self, keys: Iterable[SimKey], chance: Random) -> None:
        self._keys = {key.key: key for key in keys}
        self._random = chance
        self._updated_ns = 0
        self._free = {
            "USDT": Decimal("4750.42"),
            "BTC": Decimal("0.5"),
            "ETH": Decimal("12.25"),
            "BNB": Decimal(0),
        }
        self._locked = {"USDT": Decimal("158.57")}

    def knows(self, key: str) -> bool:
        """True when *key* is a key of this account."""
        return key in self._keys

    def check_signed(self, params: Mapping[str, object], now_ns: int) -> Problem | None:
        """Why the parameters of a WebSocket request are refused; None when good."""
        for name in ("apiKey", "timestamp", "signature"):
            if params.get(name) in (None, ""):
                return missing(name)
        payload = "&".join(
            f"{name}={params[name]}" for name in sorted(params) if name != "signature"
        )
        return self._check(
            str(params["apiKey"]),
            payload,
            str(params["signature"]),
            params["timestamp"],
            params.get("recvWindow"),
            now_ns,
        )

    def check_query(self, key: str, query: str, now_ns: int) -> Problem | None:
        """Why a signed REST request is refused; None when good.

        Args:
            query: the query string exactly as sent.
        """
        if not key:
            return -2014, "API-key format invalid."
        payload, found, signature = query.rpartition("&signature=")
        if not found:
            return missing("signature")
        values = dict(part.partition("=")[::2] for part in payload.split("&"))
        if not values.get("timestamp"):
            return missing("timestamp")
        return self._check(
            key,
            payload,
            signature,
            values["timestamp"],
            values.get("recvWindow"),
            now_ns,
        )

    def _check(
        self,
        key: str,
        payload: str,
        signature: str,
        timestamp: object,
        window: object,
        now_ns: int,
    ) -> Problem | None:
        known = self._keys.get(key)
        if known is None:
            return BAD_KEY
        sent = _whole(timestamp)
        if sent is None:
            return -1100, "Illegal characters found in parameter 'timestamp'."
        window_ms = _DEFAULT_WINDOW_MS if window is None else _whole(window)
        if window_ms is None or not 0 < window_ms <= _LONGEST_WINDOW_MS:
            return -1131, "'recvWindow' must be less than 60000."
        age_ns = now_ns - time_ns(sent)
        if age_ns < -1_000 * MILLISECOND_NS:
            text = "Timestamp for this request was 1000ms ahead of the server's time."
            return -1021, text
        if age_ns > window_ms * MILLISECOND_NS:
            return -1021, "Timestamp for this request is outside of the recvWindow."
        digest = hmac.new(known.secret.encode(), payload.encode(), hashlib.sha256)
        expected = digest.hexdigest().encode()
        if not hmac.compare_digest(expected, signature.encode()):
            return _BAD_SIGNATURE
        return None

    def status(self, unit_ns: int) -> dict[str, object]:
        """The account as REST and the WebSocket API give it; zeros are left out."""
        balances = [
            {"asset": asset, "free": free, "locked": locked}
            for asset, free, locked in map(self._texts, self._free)
            if Decimal(free) or Decimal(locked)
        ]
        return {
            "canTrade": True,
            "updateTime": self._updated_ns // unit_ns,
            "accountType": "SPOT",
            "balances": balances,
            "permissions": ["SPOT"],
            "uid": 354937868,
        }

    def move(self, now_ns: int) -> tuple[str, Decimal]:
        """Change one balance; gives its asset and by how much."""
        asset = self._random.choice(list(self._free))
        change = Decimal(self._random.randrange(-500, 700)).scaleb(-3)
        change = max(change, -self._free[asset])
        self._free[asset] += change
        self._updated_ns = now_ns
        return asset, change

    def position(self, asset: str, now_ns: int, unit_ns: int) -> dict[str, object]:
        """``outboundAccountPosition`` of one asset."""
        name, free, locked = self._texts(asset)
        return {
            "e": "outboundAccountPosition",
            "E": now_ns // unit_ns,
            "u": self._updated_ns // unit_ns,
            "B": [{"a": name, "f": free, "l": locked}],
        }

    def change(
        self, asset: str, by: Decimal, now_ns: int, unit_ns: int
    ) -> dict[str, object]:
        """``balanceUpdate``: a deposit or a withdrawal, as a difference."""
        return {
            "e": "balanceUpdate",
            "E": now_ns // unit_ns,
            "a": asset,
            "d": f"{by:.8f}",
            "T": now_ns // unit_ns,
        }

    def _texts(self, asset: str) -> tuple[str, str, str]:
        locked = self._locked.get(asset, Decimal(0))
        return asset, f"{self._free[asset]:.8f}", f"{locked:.8f}"


def _whole(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None
