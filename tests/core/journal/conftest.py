"""Journals on the system clock, with tiny pauses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from tapeline.clock import SystemClock
from tapeline.journal import Journal, JournalSettings
from tapeline.model import Candle, Gap, Subscription, Ticker, Trade
from tapeline.testing import InlineExecutor

START_NS = 1_760_000_000_000_000_000

MakeTrade = Callable[..., Trade]
OpenJournal = Callable[..., AbstractAsyncContextManager[Journal]]


@pytest.fixture
def stream() -> Subscription:
    """A stream of trades whose ids count fills."""
    return Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")


@pytest.fixture
def make_trade(stream: Subscription) -> MakeTrade:
    """Trades with consecutive ids, a millisecond apart."""

    def make(number: int, of: Subscription = stream) -> Trade:
        at_ns = START_NS + number * 1_000_000
        return Trade(
            stream=of,
            trade_id=str(number),
            first_id=number,
            last_id=number,
            fills=1,
            side="buy" if number % 2 else "sell",
            price=Decimal("64000.10"),
            size=Decimal("0.0100"),
            exchange_ns=at_ns,
            received_ns=at_ns + 7,
        )

    return make


@pytest.fixture
def make_ticker() -> Callable[[int], Ticker]:
    """Tickers a millisecond apart."""
    of = Subscription("okx", "spot", "BTC-USDT", "ticker", "tickers")

    def make(number: int) -> Ticker:
        at_ns = START_NS + number * 1_000_000
        return Ticker(
            stream=of,
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
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait for something that has no event of its own."""

    async def wait(condition: Callable[[], bool]) -> None:
        with anyio.fail_after(5):
            while True:
                if condition():
                    return
                await anyio.sleep(0.002)

    return wait


@pytest.fixture
def open_journal(tmp_path: Path) -> OpenJournal:
    """Open a journal in the test's folder and run it until the block ends."""

    @asynccontextmanager
    async def opened(
        settings: JournalSettings | None = None, *, floor: int = 0, running: bool = True
    ) -> AsyncIterator[Journal]:
        journal = await Journal.open(
            tmp_path / "data",
            clock=SystemClock(),
            executor=InlineExecutor(),
            settings=settings
            or JournalSettings(commit_ms=0.1, lazy_s=0.005, retry_s=0.005),
            floor=floor,
        )
        async with anyio.create_task_group() as tasks:
            if running:
                tasks.start_soon(journal.run)
            try:
                yield journal
            finally:
                with anyio.CancelScope(shield=True):
                    await journal.aclose()
                tasks.cancel_scope.cancel()

    return opened


@pytest.fixture
def make_candle(stream: Subscription) -> Callable[[int], Candle]:
    """Complete bars of one minute, made from trades."""

    def make(open_ns: int) -> Candle:
        one = Decimal(1)
        return Candle(
            stream=stream,
            timeframe="1m",
            open_ns=open_ns,
            open=one,
            high=one,
            low=one,
            close=one,
            volume=one,
            quote_volume=None,
            taker_buy_volume=None,
            trades_count=3,
            first_id=1,
            last_id=3,
            state="complete",
            revision=1,
            source="trades",
            received_ns=open_ns + 60,
        )

    return make


@pytest.fixture
def make_gap(stream: Subscription) -> Callable[..., Gap]:
    """Gaps of trades, with times around their ids."""

    def make(from_id: int, to_id: int, state: str = "open") -> Gap:
        return Gap(
            stream=stream,
            gap_id=from_id,
            revision=0,
            from_id=from_id,
            to_id=to_id,
            from_ns=START_NS + (from_id - 1) * 1_000_000,
            to_ns=START_NS + (to_id + 1) * 1_000_000,
            cause="downtime",
            detected_ns=START_NS,
            state=state,
        )

    return make
