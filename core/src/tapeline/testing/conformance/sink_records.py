"""Numbered events for sinks, and one of every kind there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from tapeline.model import (
    Balance,
    Batch,
    BookSnapshot,
    Candle,
    Coverage,
    Gap,
    MarketDataPoint,
    Part,
    RawMessage,
    Record,
    Subscription,
    Ticker,
    Trade,
)

TRADES = Subscription("conformance", "spot", "BTC-USDT", "trade", "trades", "fill")
"""The stream of all numbered trades."""

JOURNAL = "conformance-journal"
FIRST_POSITION = 1_000
_TIME_NS = 1_700_000_000_123_456_789


def trade(number: int) -> Trade:
    """The trade with that id."""
    return Trade(
        TRADES,
        str(number),
        number,
        number,
        1,
        "buy" if number % 2 else "sell",
        Decimal("64321.10") + number,
        Decimal("0.00012300"),
        _TIME_NS + number * 1_000_000,
        _TIME_NS + number * 1_000_000 + 1,
    )


def numbered(first: int, last: int, *, journal: str = JOURNAL) -> Batch:
    """Trades *first* to *last*, one position each; their positions follow their ids."""
    parts = [Part(FIRST_POSITION + n, [trade(n)]) for n in range(first, last + 1)]
    return Batch(journal, parts)


def batch_of(records: Iterable[Record], position: int) -> Batch:
    """*records* at one position."""
    return Batch(JOURNAL, [Part(position, list(records))])


def one_of_each() -> Sequence[Record]:
    """A record of every kind that core may hand to a sink."""
    ticker = Subscription("conformance", "spot", "BTC-USDT", "ticker", "tickers")
    book = Subscription("conformance", "spot", "BTC-USDT", "orderbook", "books")
    balance = Subscription("conformance", "spot", "*", "balance", "account")
    own = MarketDataPoint(
        "conformance",
        "BTC-USDT",
        datetime(2026, 1, 1, tzinfo=UTC),
        "conformance.funding",
        {"rate": Decimal("0.0001")},
    )
    price = Decimal("1.10")
    return (
        Ticker(
            ticker,
            price,
            price,
            price,
            price,
            price,
            price,
            price,
            price,
            price,
            price,
            None,
            _TIME_NS,
            _TIME_NS,
        ),
        BookSnapshot(
            book,
            (("1.10", "5", "0", "2"), ("1.0", "6")),
            (("1.20", "7"),),
            99,
            _TIME_NS,
            _TIME_NS,
        ),
        Candle(
            stream=TRADES,
            timeframe="1m",
            open_ns=1_700_000_040 * 10**9,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=price,
            quote_volume=None,
            taker_buy_volume=None,
            trades_count=7,
            first_id=1,
            last_id=7,
            state="complete",
            revision=0,
            source="trades",
            received_ns=_TIME_NS,
        ),
        Balance(
            stream=balance,
            asset="BTC",
            total=price,
            free=price,
            locked=None,
            exchange_ns=_TIME_NS,
            received_ns=_TIME_NS,
            snapshot=True,
        ),
        Gap(TRADES, 1, 0, 5, 9, _TIME_NS, None, "disconnect", _TIME_NS),
        Coverage(TRADES, _TIME_NS, None, 1, 10),
        RawMessage(TRADES, _TIME_NS, '{"arg":{}}'),
        own,
    )
