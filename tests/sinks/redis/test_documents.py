"""What stands in the JSON, and where it goes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tapeline.model import DataType, MarketDataPoint
from tapeline_redis import document, place


def test_a_trade_is_exact(records: Any) -> None:
    trade = records.trade(7, fills=2, first_id=6)
    assert json.loads(document(trade)) == {
        "type": "trade",
        "exchange": "okx",
        "market": "spot",
        "symbol": "BTC-USDT",
        "trade_id": "7",
        "id_kind": "fill",
        "first_id": 6,
        "last_id": 7,
        "fills": 2,
        "side": "buy",
        "price": "64321.10",
        "size": "0.00012300",
        "exchange_ns": 1_700_000_000_123_456_789,
        "received_ns": 1_700_000_000_123_456_790,
        "source": "live",
    }


def test_a_book_keeps_price_and_size_as_the_venue_wrote_them(records: Any) -> None:
    book = json.loads(document(records.book()))
    assert (book["type"], book["kind"]) == ("orderbook", "snapshot")
    assert book["bids"] == [["1.10", "5"], ["1.0", "6"]]
    delta = json.loads(document(records.delta()))
    assert (delta["kind"], delta["link_id"], delta["last_id"]) == ("delta", 99, 100)


def test_what_a_venue_left_empty_is_null(records: Any) -> None:
    assert json.loads(document(records.ticker()))["quote_volume_24h"] is None
    assert json.loads(document(records.candle()))["taker_buy_volume"] is None
    assert json.loads(document(records.balance()))["locked"] is None


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("trade", ("okx", "spot", "BTC-USDT", "trade")),
        ("ticker", ("okx", "spot", "BTC-USDT", "ticker")),
        ("book", ("okx", "spot", "BTC-USDT", "orderbook")),
        ("delta", ("okx", "spot", "BTC-USDT", "orderbook")),
        ("candle", ("okx", "spot", "BTC-USDT", "candle")),
        ("balance", ("okx", "spot", "BTC", "balance")),
        ("gap", ("okx", "spot", "BTC-USDT", "gap")),
        ("coverage", ("okx", "spot", "BTC-USDT", "coverage")),
        ("raw", ("okx", "spot", "BTC-USDT", "raw")),
    ],
)
def test_every_record_has_a_place_and_names_it(
    records: Any, kind: str, where: tuple[str, ...]
) -> None:
    record = getattr(records, kind)()
    assert place(record) == where
    told = json.loads(document(record))
    names = ("exchange", "market", "symbol", "type")
    assert tuple(told[name] for name in names) == where


def test_a_point_of_the_user_s_own_goes_too() -> None:
    at = datetime(2025, 1, 2, tzinfo=UTC)
    data = {"rate": Decimal("0.0001"), "market": "swap"}
    point = MarketDataPoint("acme", "BTC-USDT", at, "acme.funding", data)
    assert place(point) == ("acme", "swap", "BTC-USDT", "acme.funding")
    told = json.loads(document(point))
    assert told["rate"] == "0.0001"
    assert told["exchange_ns"] == 1_735_776_000 * 10**9
    plain = MarketDataPoint("acme", "BTC-USDT", at, DataType.TICKER, {})
    assert place(plain) == ("acme", "spot", "BTC-USDT", "ticker")
