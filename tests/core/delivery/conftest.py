"""Delivery in virtual time, from a journal in memory."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal

import attrs
import pytest

from tapeline.delivery import RunnerSettings, SinkRunner
from tapeline.journal import JournalSettings, MemoryJournal
from tapeline.model import BookSnapshot, StatusChange, Subscription, Ticker, Trade
from tapeline.testing import VirtualClock
from tapeline.testing.sinks import MemorySink

START_NS = 1_760_000_000_000_000_000
TRADES = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")
TICKERS = Subscription("okx", "spot", "BTC-USDT", "ticker", "tickers")
BOOKS = Subscription("okx", "spot", "BTC-USDT", "orderbook", "books5")


@pytest.fixture
def stream() -> Subscription:
    """A stream of trades whose ids count fills."""
    return TRADES


@pytest.fixture
def make_trade() -> Callable[..., Trade]:
    """Trades with consecutive ids, a millisecond apart."""

    def make(number: int, symbol: str = "BTC-USDT") -> Trade:
        at_ns = START_NS + number * 1_000_000
        return Trade(
            stream=attrs.evolve(TRADES, symbol=symbol),
            trade_id=str(number),
            first_id=number,
            last_id=number,
            fills=1,
            side="buy",
            price=Decimal("64000.10"),
            size=Decimal("0.0100"),
            exchange_ns=at_ns,
            received_ns=at_ns + 7,
        )

    return make


@pytest.fixture
def make_ticker() -> Callable[[int], Ticker]:
    """Tickers a millisecond apart, with only a last price."""

    def make(number: int) -> Ticker:
        at_ns = START_NS + number * 1_000_000
        return Ticker(
            stream=TICKERS,
            last=Decimal("64000.10"),
            last_size=None,
            bid=None,
            bid_size=None,
            ask=None,
            ask_size=None,
            open_24h=None,
            high_24h=None,
            low_24h=None,
            volume_24h=None,
            quote_volume_24h=None,
            exchange_ns=at_ns,
            received_ns=at_ns + 7,
        )

    return make


@pytest.fixture
def make_book() -> Callable[[int], BookSnapshot]:
    """Books of 400 levels a side."""

    def make(number: int) -> BookSnapshot:
        levels = tuple((str(n), "1") for n in range(400))
        return BookSnapshot(BOOKS, levels, levels, number, number, number)

    return make


@attrs.define
class Delivery:
    """A journal, and runners of sinks over it; made inside a virtual loop."""

    clock: VirtualClock
    journal: MemoryJournal
    changes: list[StatusChange] = attrs.field(factory=list)

    def runner(
        self,
        sink: MemorySink,
        accepts: Sequence[str] | None = None,
        *,
        name: str = "local",
        settings: RunnerSettings | None = None,
    ) -> SinkRunner:
        """A runner that is not running yet."""
        return SinkRunner(
            name,
            sink,
            accepts,
            self.journal,
            self.clock,
            random.Random(1),
            settings,
            changed=self.changes.append,
        )

    @property
    def now_s(self) -> float:
        """Virtual seconds since the start."""
        return self.clock.monotonic_ns() / 1e9


@pytest.fixture
def make_delivery() -> Callable[..., Delivery]:
    """Makes a ``Delivery`` on the running virtual loop."""

    def make(memory_bytes: int = 10**8) -> Delivery:
        clock = VirtualClock()
        settings = JournalSettings(memory_bytes=memory_bytes)
        return Delivery(clock, MemoryJournal(clock, settings=settings))

    return make
