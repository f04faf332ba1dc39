"""The weight that an address may use in a minute, and what happens beyond it.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs

from tapeline.testing.police import LimitsPolice
from tapeline_binance.simulator_routing import SPOT

MINUTE_NS = 60 * 10**9
_LONGEST_BAN_S = 3 * 86_400.0


@attrs.frozen
class Overspent:
    """A request that is not answered for want of weight.

    Args:
        status: 429, or 418 when the address is banned.
        until_ns: wall nanoseconds UTC at which it may ask again.
    """

    status: int
    until_ns: int
    message: str

    def retry_after_s(self, now_ns: int) -> int:
        """Whole seconds to wait."""
        return max(1, math.ceil((self.until_ns - now_ns) / 1e9))


class WeightMeter:
    """Used weight of the calendar minute; 429 beyond it, a ban when that is ignored.

    Args:
        name: of the violations that the police counts.
        patience: requests before the end of a 429 until the ban.
        ban_s: of the first ban; each later one is twice as long.
    """

    def __init__(
        self,
        police: LimitsPolice,
        name: str,
        limit: int,
        patience: int,
        ban_s: float,
    ) -> None:
        self.limit = limit
        self.used = 0
        self._police = police
        self._name = name
        self._patience = patience
        self._ban_s = ban_s
        self._minute = -1
        self._limited_ns = 0
        self._banned_ns = 0
        self._ignored = 0

    def banned(self, now_ns: int) -> Overspent | None:
        """The ban that holds now."""
        if now_ns >= self._banned_ns:
            return None
        text = (
            "Way too much request weight used; IP banned until "
            f"{self._banned_ns // 1_000_000}. Please use WebSocket Streams for live "
            "updates to avoid bans."
        )
        return Overspent(418, self._banned_ns, text)

    def spend(self, weight: int, now_ns: int) -> Overspent | None:
        """Count *weight*; None lets the request through."""
        banned = self.banned(now_ns)
        if banned is not None:
            self._police.note(self._name)
            return banned
        if now_ns < self._limited_ns:
            self._police.note(self._name)
            self._ignored += 1
            if self._ignored > self._patience:
                self._banned_ns = now_ns + int(self._ban_s * 1e9)
                self._ban_s = min(_LONGEST_BAN_S, 2 * self._ban_s)
                return self.banned(now_ns)
            return self._limited()
        minute = now_ns // MINUTE_NS
        if minute != self._minute:
            self._minute = minute
            self.used = 0
        self.used += weight
        self._police.seen[self._name] += weight
        if self.used <= self.limit:
            return None
        self._police.note(self._name)
        self._ignored = 0
        self._limited_ns = (minute + 1) * MINUTE_NS
        return self._limited()

    def _limited(self) -> Overspent:
        text = (
            f"Too much request weight used; current limit is {self.limit} request "
            "weight per 1 MINUTE. Please use WebSocket Streams for live updates to "
            "avoid polling the API."
        )
        return Overspent(429, self._limited_ns, text)


def weight_of(family: str, name: str, query: Mapping[str, str]) -> int:
    """The weight of a REST request for the endpoint *name*."""
    limit = query.get("limit", "")
    size = int(limit) if limit.isascii() and limit.isdigit() else None
    weigh = _SPOT_WEIGHTS if family == SPOT else _FUTURES_WEIGHTS
    fixed = weigh.get(name)
    if fixed is not None:
        return fixed
    if name == "depth":
        if family == SPOT:
            return _step(size or 100, ((100, 5), (500, 25), (1_000, 50)), 250)
        return _step(size or 500, ((50, 2), (100, 5), (500, 10)), 20)
    if name == "klines":
        return _step(size or 500, ((99, 1), (499, 2), (1_000, 5)), 10)
    if "symbol" in query:
        return 2 if family == SPOT or name == "ticker/bookTicker" else 1
    if name == "ticker/bookTicker":
        return 4 if family == SPOT else 5
    if family == SPOT and "symbols" in query:
        return _step(query["symbols"].count(",") + 1, ((20, 2), (100, 40)), 80)
    return 80 if family == SPOT else 40


def _step(size: int, steps: Sequence[tuple[int, int]], beyond: int) -> int:
    for most, weight in steps:
        if size <= most:
            return weight
    return beyond


_SPOT_WEIGHTS: Mapping[str, int] = MappingProxyType(
    {
        "ping": 1,
        "time": 1,
        "exchangeInfo": 20,
        "trades": 25,
        "historicalTrades": 25,
        "aggTrades": 4,
        "klines": 2,
        "account": 20,
    }
)
_FUTURES_WEIGHTS: Mapping[str, int] = MappingProxyType(
    {
        "ping": 1,
        "time": 1,
        "exchangeInfo": 1,
        "trades": 5,
        "historicalTrades": 20,
        "aggTrades": 20,
    }
)
