"""Each record becomes the row that the tables document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tapeline.model import DataType, MarketDataPoint, Part, Record
from tapeline_sql import TABLES, build_rows


def rows_of(*records: Record, sink: str = "local") -> dict[str, list[dict[str, Any]]]:
    """The rows of one part at position 7, as mappings."""
    rows = build_rows("journal-a", [Part(7, records)], sink)
    return {
        name: [
            dict(zip(TABLES[name].columns.keys(), row, strict=True)) for row in found
        ]
        for name, found in rows.tables.items()
    }


def test_a_trade_becomes_a_row_of_trades(records: Any) -> None:
    """Decimals are their own text."""
    trade = records.trade(12, first_id=10, fills=3, source="backfill", trade_id="T12")
    assert rows_of(trade) == {
        "trades": [
            {
                "exchange": "okx",
                "market": "spot",
                "symbol": "BTC-USDT",
                "id_kind": "fill",
                "first_id": 10,
                "last_id": 12,
                "trade_id": "T12",
                "fills": 3,
                "side": "buy",
                "price": "64321.10",
                "size": "0.00012300",
                "exchange_ns": 1_700_000_000_123_456_789,
                "received_ns": 1_700_000_000_123_456_790,
                "timestamp": "2023-11-14 22:13:20.123456+00:00",
                "source": "backfill",
            }
        ]
    }


def test_a_candle_becomes_a_row_of_market_data(records: Any) -> None:
    """Its time is its open time; what is not known stays empty."""
    assert rows_of(records.candle(revision=2, state="repaired")) == {
        "market_data": [
            {
                "exchange": "okx",
                "market": "spot",
                "symbol": "BTC-USDT",
                "timeframe": "1m",
                "source": "trades",
                "timestamp": "2023-11-14 22:14:00.000000+00:00",
                "open": "1",
                "high": "3",
                "low": "0.5",
                "close": "2",
                "volume": "10",
                "quote_volume": "15.5",
                "taker_buy_volume": None,
                "trades_count": 7,
                "first_id": 1,
                "last_id": 7,
                "state": "repaired",
                "revision": 2,
            }
        ]
    }


def test_gaps_and_coverage_become_rows(records: Any) -> None:
    """Facts are kept like data."""
    found = rows_of(records.gap(), records.coverage())
    assert found["gaps"] == [
        {
            "gap_id": 1,
            "revision": 0,
            "exchange": "okx",
            "market": "spot",
            "symbol": "BTC-USDT",
            "data_type": "trade",
            "id_kind": "fill",
            "from_id": 5,
            "to_id": 9,
            "from_ns": 1_700_000_000_123_456_789,
            "to_ns": None,
            "cause": "disconnect",
            "detected_ns": 1_700_000_000_123_456_794,
            "state": "open",
            "recovered_count": 0,
        }
    ]
    assert found["coverage"] == [
        {
            "exchange": "okx",
            "market": "spot",
            "symbol": "BTC-USDT",
            "data_type": "trade",
            "first_id": 1,
            "last_id": 10,
            "started_ns": 1_700_000_000_123_456_789,
            "ended_ns": None,
        }
    ]


def test_a_gap_of_one_sink_is_a_row_there_alone(records: Any) -> None:
    """What one sink missed, the others have."""
    gap = records.gap(for_sink="warehouse")
    assert rows_of(gap, sink="local") == {}
    assert len(rows_of(gap, sink="warehouse")["gaps"]) == 1


def test_records_without_identity_are_keyed_by_their_place(records: Any) -> None:
    """The ordinal counts all records of the position."""
    found = rows_of(
        records.trade(),
        records.ticker(),
        records.book(),
        records.balance(),
        records.raw("raw text"),
        records.ticker(),
    )
    places = {
        name: [(row["position"], row["ordinal"]) for row in rows]
        for name, rows in found.items()
        if name != "trades"
    }
    assert places == {
        "tickers": [(7, 1), (7, 5)],
        "order_books": [(7, 2)],
        "balances": [(7, 3)],
        "raw_trades": [(7, 4)],
    }
    assert found["tickers"][0]["journal_id"] == "journal-a"


def test_a_ticker_keeps_empty_figures_empty(records: Any) -> None:
    """Zero and unknown are different things."""
    [row] = rows_of(records.ticker())["tickers"]
    assert row["last"] == "1.10"
    assert row["low_24h"] == "0.5"
    assert row["quote_volume_24h"] is None


def test_a_book_keeps_price_and_size_of_each_level_as_text(records: Any) -> None:
    """What a venue adds to a level is its own."""
    [row] = rows_of(records.book())["order_books"]
    assert row["bids"] == '[["1.10","5"],["1.0","6"]]'
    assert row["asks"] == '[["1.20","7"]]'
    assert row["depth"] == 2
    assert row["last_id"] == 99


def test_a_balance_and_a_raw_message_become_rows(records: Any) -> None:
    """A raw message's time is when it came."""
    found = rows_of(records.balance(), records.raw("raw text"))
    [balance] = found["balances"]
    [raw] = found["raw_trades"]
    assert (balance["asset"], balance["total"], balance["locked"]) == (
        "BTC",
        "1.5",
        None,
    )
    assert balance["snapshot"] is True
    assert raw["raw_data"] == "raw text"
    assert raw["timestamp"] == "2023-11-14 22:13:20.123456+00:00"


def test_records_without_a_table_are_counted(records: Any) -> None:
    """Book changes are left out on purpose, others are not silent."""
    point = MarketDataPoint(
        "mine", "BTC-USDT", datetime(2026, 1, 1, tzinfo=UTC), DataType.TRADE, {}
    )
    rows = build_rows("journal-a", [Part(1, [records.delta(), point, point])], "local")
    assert len(rows) == 0
    assert rows.unknown == {"MarketDataPoint": 2}
