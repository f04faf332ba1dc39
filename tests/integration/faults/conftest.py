"""What a seed of the fault campaign means: a venue, its moods, our own bad luck."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import attrs
import pytest

from tapeline.clock import Now
from tapeline.hookspecs import ExchangeAdapter, ExchangeSession, Instruments, hookimpl
from tapeline.model import Dial, Fetch, Response, Route
from tapeline.testing import (
    Fault,
    FaultWords,
    Incident,
    SimInstrument,
    linear_swap,
    random_faults,
    random_incidents,
    spot,
)
from tapeline_binance.adapter import BinanceAdapter
from tapeline_binance.config import BinanceConfig
from tapeline_binance.session import BinanceSession

HOUR_S = 3_600.0
INSTRUMENTS = {
    "spot": (
        spot("BTC-USDT", "0.1", "0.00001", "64000"),
        spot("ETH-USDT", "0.01", "0.0001", "3200"),
    ),
    "swap": (
        linear_swap("BTC-USDT", "0.1", "0.01", "64000", "0.01"),
        linear_swap("ETH-USDT", "0.01", "0.1", "3200", "0.1"),
    ),
}


class _HastySession(BinanceSession):
    """One that wants to be replaced after minutes instead of after a day."""

    max_age_s = 60.0

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        """As ever, but for a shorter life."""
        dial = super().connect(now, prior)
        assert isinstance(dial, Dial)
        return attrs.evolve(dial, max_age_s=self.max_age_s)


class HastyBinance(BinanceAdapter):
    """Binance on a planet whose day has few minutes.

    Args:
        max_age_s: when sockets are replaced; the venue cuts them a little later, or
            earlier where *max_age_s* is too much.
    """

    def __init__(self, max_age_s: float) -> None:
        self._max_age_s = max_age_s

    def session(
        self, config: BinanceConfig, instruments: Instruments, route: Route
    ) -> ExchangeSession:
        """A session with a short life."""
        session = _HastySession(config, instruments, route)
        session.max_age_s = self._max_age_s
        return session


@attrs.frozen
class Mix:
    """Everything that one seed decides."""

    seed: int
    exchange: str
    market: str
    words: FaultWords
    duration_s: float
    rate_hz: float
    hole_probability: float
    lifetime_s: float
    margin_s: float
    sqlite: bool
    commit_ms: float
    faults: Sequence[Fault]
    incidents: Sequence[Incident]

    @property
    def instruments(self) -> Sequence[SimInstrument]:
        """What is traded."""
        return INSTRUMENTS[self.market]

    @property
    def is_long(self) -> bool:
        """Whether it takes hours."""
        return self.duration_s > HOUR_S

    def adapter(self) -> ExchangeAdapter | None:
        """One whose sockets live for minutes, where the mix says so."""
        if self.exchange != "binance" or self.lifetime_s > HOUR_S:
            return None
        return HastyBinance(self.lifetime_s - self.margin_s)

    @property
    def kinds(self) -> set[str]:
        """Kinds of everything that goes wrong."""
        found = {fault.kind for fault in self.faults}
        found |= {
            f"{fault.kind}-{fault.status}"
            for fault in self.faults
            if fault.kind == "rest-status"
        }
        if self.exchange == "binance" and self.lifetime_s < self.duration_s:
            found.add("lifetime")
        if any(one.for_s >= 2 * HOUR_S for one in self.incidents):
            found.add("long-outage")
        return found | {incident.kind for incident in self.incidents}


def _words(chance: random.Random, exchange: str, market: str) -> FaultWords:
    if exchange == "okx":
        trades = "trades-all" if chance.random() < 0.25 else "trades"
        return FaultWords(trades, "books", "/api/v5/market/history-trades")
    # Single fills of futures cannot be fetched without a key.
    if market == "spot" and chance.random() < 0.4:
        return FaultWords("trade", "depth@100ms", "/api/v3/historicalTrades")
    path = "/api/v3/aggTrades" if market == "spot" else "/fapi/v1/aggTrades"
    return FaultWords("aggTrade", "depth@100ms", path)


def mix_of(seed: int) -> Mix:
    """What *seed* means."""
    chance = random.Random(f"campaign:{seed}")
    exchange = ("okx", "binance")[seed % 2]
    market = "swap" if chance.random() < 0.3 else "spot"
    words = _words(chance, exchange, market)
    duration_s = chance.uniform(60, 180)
    venue = random_faults(chance, words, duration_s)
    own = random_incidents(chance, duration_s)
    # At least three of them, of both sides, and rarely nearly everything.
    faults = chance.sample(venue, chance.choice((1, 2, 3, 4, 6)))
    incidents = chance.sample(own, chance.choice((1, 1, 2, 3)))
    while len(faults) + len(incidents) < 3:
        faults.append(chance.choice(venue))
    rate_hz = chance.choice((0.5, 1.0, 2.0, 4.0))
    if seed % 100 in (7, 32):
        # The venue is away for two hours; its market goes on.
        at_s = chance.uniform(5, 60)
        incidents.append(Incident("outage", at_s, 2 * HOUR_S))
        duration_s = at_s + 2 * HOUR_S + 60
        rate_hz = 0.1
    return Mix(
        seed,
        exchange,
        market,
        words,
        duration_s,
        rate_hz,
        chance.choice((0.0, 0.0, 0.05)),
        chance.choice((24 * HOUR_S, chance.uniform(40, 90))),
        # Below zero the venue cuts before the collector expects it.
        chance.choice((10.0, 20.0, -20.0)),
        seed % 10 == 3,
        chance.choice((5.0, 200.0, 1_000.0)),
        faults,
        sorted(incidents, key=lambda incident: incident.at_s),
    )


@pytest.fixture(name="mix_of")
def _mix_of() -> Callable[[int], Mix]:
    """What a seed means."""
    return mix_of
