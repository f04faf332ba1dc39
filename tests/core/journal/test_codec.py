"""Rows come back from their bytes as they went in."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.errors import JournalError
from tapeline.journal import Spans, decode, encode
from tapeline.model import (
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Coverage,
    DataType,
    Gap,
    MarketDataPoint,
    OHLCVData,
    RawMessage,
    Subscription,
    Ticker,
    Trade,
)

NAMES = st.text(max_size=8)
TIMES = st.integers(0, 2**62)
IDS = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.decimals(allow_nan=False) | st.decimals(places=8, allow_nan=False)
MAYBE = st.none() | NUMBERS
LEVELS = st.lists(st.tuples(NAMES, NAMES, NAMES), max_size=4).map(tuple)
STREAMS = st.sampled_from(
    [
        Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill"),
        Subscription("binance", "swap", "ETH-USDT", "trade", "aggTrade", "aggregate"),
        Subscription("okx", "spot", "*", "balance", "account"),
    ]
)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=6,
)

RECORDS = st.one_of(
    st.builds(
        Trade, STREAMS, NAMES, IDS, IDS, IDS, NAMES, NUMBERS, NUMBERS, TIMES, TIMES
    ),
    st.builds(Ticker, STREAMS, *([MAYBE] * 11), TIMES, TIMES),
    st.builds(
        BookSnapshot, STREAMS, LEVELS, LEVELS, st.none() | IDS, TIMES, TIMES, IDS
    ),
    st.builds(BookDelta, STREAMS, LEVELS, LEVELS, IDS, IDS, TIMES, TIMES, st.none()),
    st.builds(
        Candle,
        STREAMS,
        NAMES,
        TIMES,
        *([NUMBERS] * 5),
        MAYBE,
        MAYBE,
        st.none() | IDS,
        st.none() | IDS,
        st.none() | IDS,
        NAMES,
        IDS,
        NAMES,
        TIMES,
    ),
    st.builds(Balance, STREAMS, NAMES, MAYBE, MAYBE, MAYBE, TIMES, TIMES),
    st.builds(
        Gap,
        STREAMS,
        IDS,
        IDS,
        st.none() | IDS,
        st.none() | IDS,
        st.none() | TIMES,
        st.none() | TIMES,
        NAMES,
        TIMES,
        NAMES,
        IDS,
        NAMES,
    ),
    st.builds(Coverage, STREAMS, TIMES, st.none() | TIMES, IDS, IDS),
    st.builds(RawMessage, STREAMS, TIMES, st.text()),
)


@given(st.lists(RECORDS, max_size=12))
@settings(max_examples=200, deadline=None)
def test_every_kind_of_record_comes_back_equal(records: list[Any]) -> None:
    _, payload = encode(records)
    assert decode(payload) == records


@given(st.dictionaries(NAMES, PLAIN, max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_plain_point_keeps_its_data_with_types(data: dict[str, Any]) -> None:
    at = datetime(2026, 3, 27, 8, 0, 0, 123_456, tzinfo=UTC)
    point = MarketDataPoint("mine", "X-Y", at, "acme.funding", data, raw=object())
    (back,) = decode(encode([point])[1])
    assert isinstance(back, MarketDataPoint)
    assert (back.exchange, back.symbol, back.timestamp) == ("mine", "X-Y", at)
    assert back.data_type == "acme.funding"
    assert back.data == data
    assert back.raw is None


def test_a_users_own_bar_comes_back_with_its_prices() -> None:
    at = datetime(2026, 3, 27, tzinfo=UTC)
    prices = [Decimal(text) for text in ("1.10", "2", "0.5", "1.5", "1E+3")]
    first, high, low, last, volume = prices

    class MyBar(OHLCVData):
        pass

    (back,) = decode(
        encode([MyBar("BTC-USDT", "1m", at, first, high, low, last, volume, 3)])[1]
    )
    assert isinstance(back, OHLCVData)
    assert [back.open, back.high, back.low, back.close, back.volume] == prices
    assert str(back.volume) == "1E+3"
    assert (back.timeframe, back.trades_count, back.timestamp) == ("1m", 3, at)
    assert back.data_type is DataType.CANDLE


def test_values_beyond_64_bits_and_broken_text_do_not_cost_the_batch(
    make_trade: Any,
) -> None:
    huge = attrs.evolve(make_trade(1), last_id=2**70, trade_id="\ud800")
    records = [make_trade(0), huge]
    headers, payload = encode(records)
    assert decode(payload) == records
    spans = Spans()
    spans.add(headers)
    assert [span.count for _, span in spans.items()] == [2]


def test_decimals_keep_their_exact_text(make_trade: Any) -> None:
    for text in ("0.00", "1E-30", "-0", "1E+5", "NaN", "Infinity"):
        (back,) = decode(encode([attrs.evolve(make_trade(1), price=Decimal(text))])[1])
        assert isinstance(back, Trade)
        assert str(back.price) == text


def test_raw_objects_are_left_out(make_trade: Any) -> None:
    (back,) = decode(encode([attrs.evolve(make_trade(1), raw={"px": "1"})])[1])
    assert back == make_trade(1)


def test_what_is_no_record_is_refused_with_its_name() -> None:
    with pytest.raises(JournalError, match="found int"):
        encode([3])  # type: ignore[list-item]


@given(st.binary(max_size=200))
def test_foreign_bytes_are_one_kind_of_error(payload: bytes) -> None:
    try:
        decode(payload)
    except JournalError:
        return
    # Some bytes do happen to be an empty payload.
    assert decode(payload) == []


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_cut_payload_never_gives_other_records(data: st.DataObject) -> None:
    records = data.draw(st.lists(RECORDS, min_size=1, max_size=4))
    _, payload = encode(records)
    cut = data.draw(st.integers(0, len(payload) - 1))
    with pytest.raises(JournalError):
        decode(payload[:cut])


def test_headers_tell_ids_times_and_counts_per_stream(
    make_trade: Any, stream: Subscription
) -> None:
    other = attrs.evolve(stream, symbol="ETH-USDT")
    trades = [make_trade(n) for n in (5, 6, 7, 10)] + [make_trade(90, other)]
    headers, _ = encode([*trades, Coverage(stream, 1, None, 5, 10)])
    spans = Spans()
    spans.add(headers)
    found = {
        (s.symbol, span.kind): (span.count, span.runs, span.min_ns, span.max_ns)
        for s, span in spans.items()
    }
    first, last = trades[0].exchange_ns, trades[3].exchange_ns
    at = trades[4].exchange_ns
    assert found == {
        ("BTC-USDT", 0): (4, [(5, 7), (10, 10)], first, last),
        ("ETH-USDT", 0): (1, [(90, 90)], at, at),
        ("BTC-USDT", 9): (1, [], 1, 1),
    }
