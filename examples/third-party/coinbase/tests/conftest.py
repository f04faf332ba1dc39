"""What the tests of the plugin share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from tapeline_coinbase import CoinbaseAdapter, CoinbaseConfig, CoinbaseSession

from tapeline.clock import Now
from tapeline.model import Route, Subscription

RECEIVED_NS = 1_767_323_046_000_000_000
NOW = Now(RECEIVED_NS, RECEIVED_NS, 0)


def stream(data_type: str, channel: str, symbol: str = "BTC-USD") -> Subscription:
    """A stream of Coinbase."""
    id_kind = "fill" if data_type == "trade" else ""
    return Subscription("coinbase", "spot", symbol, data_type, channel, id_kind)


TRADES = stream("trade", "market_trades")
ETH_TRADES = stream("trade", "market_trades", "ETH-USD")
BOOK = stream("orderbook", "level2")
TICKER = stream("ticker", "ticker")


@attrs.frozen
class Wire:
    """A session that has asked for trades, a book and tickers."""

    session: CoinbaseSession
    messages: Mapping[str, Mapping[str, Any]]
    trades: Subscription = TRADES
    eth_trades: Subscription = ETH_TRADES
    book: Subscription = BOOK
    ticker: Subscription = TICKER
    now: Now = NOW

    def say(self, case: str, **changed: object) -> Sequence[Any]:
        """What the session makes of a golden message, some fields changed."""
        return self.tell({**self.messages[case], **changed})

    def tell(self, message: object) -> Sequence[Any]:
        """What it makes of *message*."""
        return self.session.parse(json.dumps(message), RECEIVED_NS)


@pytest.fixture
def messages() -> Mapping[str, Mapping[str, Any]]:
    """The golden messages by name, written after the public documentation."""
    lines = (Path(__file__).parent / "data" / "messages.jsonl").read_text()
    rows = [json.loads(line) for line in lines.splitlines()]
    return {row["case"]: row["frame"] for row in rows}


@pytest.fixture
def new_session() -> Callable[..., CoinbaseSession]:
    """Make sessions with given options."""

    def make(**options: Any) -> CoinbaseSession:
        session = CoinbaseAdapter().session(
            CoinbaseConfig(**options), {}, Route("public")
        )
        assert isinstance(session, CoinbaseSession)
        return session

    return make


@pytest.fixture
def wire(
    new_session: Callable[..., CoinbaseSession],
    messages: Mapping[str, Mapping[str, Any]],
) -> Wire:
    """A session in conversation."""
    session = new_session()
    session.subscribe((TRADES, ETH_TRADES, BOOK, TICKER), NOW)
    return Wire(session, messages)
