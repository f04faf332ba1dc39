"""Trades and books for tests of integrity, made of plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from tapeline.model import BookDelta, BookSnapshot, Subscription, Ticker, Trade

SECOND = 10**9


@pytest.fixture(scope="session")
def stream() -> Subscription:
    return Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")


@pytest.fixture(scope="session")
def ticker_stream() -> Subscription:
    return Subscription("okx", "spot", "BTC-USDT", "ticker", "tickers")


@pytest.fixture(scope="session")
def book_stream() -> Subscription:
    return Subscription("okx", "spot", "BTC-USDT", "orderbook", "books")


@pytest.fixture(scope="session")
def trade(stream: Subscription) -> Callable[..., Trade]:
    """``trade(first, last, at_s)``; times default to the id, in seconds."""

    def make(first: int, last: int | None = None, at_s: float | None = None) -> Trade:
        last = first if last is None else last
        at_ns = round((last if at_s is None else at_s) * SECOND)
        return Trade(
            stream,
            str(last),
            first,
            last,
            last - first + 1,
            "buy",
            Decimal("10"),
            Decimal("1"),
            at_ns,
            at_ns,
        )

    return make


@pytest.fixture(scope="session")
def ticker(ticker_stream: Subscription) -> Callable[[float], Ticker]:
    """A ticker of a moment, with nothing in it."""

    def make(at_s: float) -> Ticker:
        at_ns = round(at_s * SECOND)
        return Ticker(
            stream=ticker_stream,
            last=None,
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
            received_ns=at_ns,
        )

    return make


@pytest.fixture(scope="session")
def snapshot(book_stream: Subscription) -> Callable[..., BookSnapshot]:
    """``snapshot(bids, asks, last_id, at_s)`` with ``{price: size}`` sides."""

    def make(
        bids: dict[str, str],
        asks: dict[str, str],
        last_id: int | None = None,
        at_s: float = 0,
        checksum: int | None = None,
    ) -> BookSnapshot:
        at_ns = round(at_s * SECOND)
        return BookSnapshot(
            book_stream,
            tuple(bids.items()),
            tuple(asks.items()),
            last_id,
            at_ns,
            at_ns,
            checksum,
        )

    return make


@pytest.fixture(scope="session")
def delta(book_stream: Subscription) -> Callable[..., BookDelta]:
    """``delta(link_id, last_id, bids, asks, at_s)`` with ``{price: size}`` sides."""

    def make(
        link_id: int | None,
        last_id: int | None,
        bids: dict[str, str] | None = None,
        asks: dict[str, str] | None = None,
        at_s: float = 0,
        checksum: int | None = None,
    ) -> BookDelta:
        at_ns = round(at_s * SECOND)
        return BookDelta(
            book_stream,
            tuple((bids or {}).items()),
            tuple((asks or {}).items()),
            link_id,
            last_id,
            at_ns,
            at_ns,
            checksum,
        )

    return make
