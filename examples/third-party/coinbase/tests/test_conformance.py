"""Every rule for an exchange adapter, as ``tapeline certify`` checks it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from tapeline_coinbase import CoinbaseAdapter, CoinbaseConfig

from tapeline.model import Send, Subscription, Trade
from tapeline.testing.conformance import (
    ExchangeConformance,
    ExchangeUnderTest,
    Recording,
    SimulatedCollection,
)


def _stream(data_type: str, channel: str, symbol: str = "BTC-USD") -> Subscription:
    id_kind = "fill" if data_type == "trade" else ""
    return Subscription("coinbase", "spot", symbol, data_type, channel, id_kind)


_SECOND_NS = 1_767_323_045 * 10**9
_ROWS = (
    (929248662, "sell", "88355.59", "0.00099993", 610_000_000),
    (929248663, "buy", "88355.58", "0.00003338", 654_578_000),
)


def _trade(
    symbol: str, number: int, side: str, price: str, size: str, ns: int
) -> Trade:
    """What the golden message means."""
    return Trade(
        _stream("trade", "market_trades", symbol), str(number), number, number, 1, side,
        Decimal(price), Decimal(size), _SECOND_NS + ns, 0,
    )  # fmt: skip


def _answers(send: Send, refused: Collection[Subscription]) -> Sequence[str]:
    """An error for what is refused; a list of what is subscribed now."""
    frames = []
    if refused:
        frames.append(json.dumps({"type": "error", "message": "no such product"}))
    request = json.loads(send.frame)
    gone = {one.symbol for one in refused}
    accepted = [name for name in request["product_ids"] if name not in gone]
    if accepted:
        event = {"subscriptions": {request["channel"]: accepted}}
        message = {"channel": "subscriptions", "events": [event]}
        frames.append(json.dumps(message))
    return frames


def _book_frames(messages: Mapping[str, Any]) -> list[str]:
    """A snapshot and six changes of one book."""
    frames = [messages["book-snapshot"]]
    for number in range(6):
        event = json.loads(json.dumps(messages["book-update"]["events"][0]))
        event["updates"][0]["price_level"] = f"99.{number}"
        event["updates"][0]["new_quantity"] = f"0.{number + 1}"
        frames.append(
            {
                **messages["book-update"],
                "sequence_num": 3 + number,
                "timestamp": f"2026-01-02T03:04:06.{number}5Z",
                "events": [event],
            }
        )
    return [json.dumps(frame) for frame in frames]


class TestCoinbase(ExchangeConformance):
    """Coinbase, held to the rules."""

    @pytest.fixture
    def under_test(self, messages: Mapping[str, Any]) -> ExchangeUnderTest:
        """The adapter with golden messages and its simulator."""
        eth = json.loads(json.dumps(messages["trades-newest-first"]))
        for trade in eth["events"][0]["trades"]:
            trade["product_id"] = "ETH-USD"
        eth["sequence_num"] = 2
        trades = Recording(
            "market_trades",
            [
                _stream("trade", "market_trades"),
                _stream("trade", "market_trades", "ETH-USD"),
            ],
            [json.dumps(messages["trades-newest-first"]), json.dumps(eth)],
            [
                _trade(symbol, *row)
                for symbol in ("BTC-USD", "ETH-USD")
                for row in _ROWS
            ],
        )
        books = Recording(
            "level2", [_stream("orderbook", "level2")], _book_frames(messages)
        )
        tickers = Recording(
            "ticker", [_stream("ticker", "ticker")], [json.dumps(messages["ticker"])]
        )
        return ExchangeUnderTest(
            CoinbaseAdapter(),
            [trades, books, tickers],
            answers=_answers,
            simulated=SimulatedCollection(
                config=CoinbaseConfig(trade_ids="contiguous"),
                trades="market_trades",
                books="level2",
            ),
            plugin="coinbase",
        )
