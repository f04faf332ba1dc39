"""Nothing that a venue may send raises, and the good part of it is kept."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapeline.model import (
    Acked,
    BookDelta,
    BookSnapshot,
    Closing,
    Fetch,
    Malformed,
    MarketDataPoint,
    Rejected,
    Rotate,
    Send,
    Trade,
    decimal_levels,
)

KNOWN = (MarketDataPoint, Malformed, Acked, Rejected, Closing, Rotate, Send, Fetch)
RELAXED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=150,
)

BAD_NUMBERS: list[Any] = [
    "NaN",
    "sNaN",
    "Infinity",
    "-Infinity",
    "inf",
    "-1",
    "+1",
    "1e500",
    "1_000",
    " 1",
    "1 ",
    "1,5",
    "0x10",
    "1.2.3",
    ".",
    "",
    "٣",
    "9" * 500,
    "0." + "1" * 500,
    None,
    1.5,
    42,
    True,
    [],
    {},
]


@pytest.mark.parametrize("value", [*BAD_NUMBERS, "0", "0.000", "1e5"], ids=repr)
@pytest.mark.parametrize(("field", "reason"), [("p", "price"), ("q", "size")])
@pytest.mark.parametrize(("channel", "key"), [("aggTrade", "a"), ("trade", "t")])
def test_a_bad_number_costs_one_trade_whose_id_is_known(
    following: Any,
    wrap: Any,
    agg_trade: Any,
    trade: Any,
    channel: str,
    key: str,
    field: str,
    reason: str,
    value: Any,
) -> None:
    good = agg_trade() if channel == "aggTrade" else trade()
    frame = wrap(f"btcusdt@{channel}", {**good, field: value})
    (item,) = following(channel).parse(frame)
    assert isinstance(item, Malformed)
    assert item.reason == reason
    assert (item.first_id, item.last_id) == (12345, 12345)


@pytest.mark.parametrize(
    ("changes", "reason", "known"),
    [
        ({"a": "x"}, "id", False),
        ({"a": -5}, "id", False),
        ({"a": 2**70}, "id", False),
        ({"a": 1.5}, "id", False),
        ({"a": None}, "id", False),
        ({"m": "yes"}, "side", True),
        ({"m": None}, "side", True),
        ({"T": 0}, "time", True),
        ({"T": -1}, "time", True),
        ({"T": "soon"}, "time", True),
        ({"T": 10**20}, "time", True),
        ({"f": -1, "l": -1}, "count", True),
        ({"f": 106}, "count", True),
        ({"f": 0, "l": 10**9}, "count", True),
        ({"l": None}, "count", True),
    ],
)
def test_a_bad_field_is_named(
    following: Any, wrap: Any, agg_trade: Any, changes: Any, reason: str, known: bool
) -> None:
    frame = wrap("btcusdt@aggTrade", agg_trade(**changes))
    (item,) = following("aggTrade").parse(frame)
    assert isinstance(item, Malformed)
    expected = 12345 if known else None
    assert (item.reason, item.first_id, item.last_id) == (reason, expected, expected)
    assert item.subscription is not None


BAD_LEVELS = [
    (place, value)
    for place in (0, 1)
    for value in [*BAD_NUMBERS, "0", "0.000"]
    # a size of zero deletes a level
    if place == 0 or value not in ("0", "0.000")
]


@pytest.mark.parametrize(("place", "value"), BAD_LEVELS, ids=repr)
def test_a_bad_level_costs_its_book_message(
    following: Any, wrap: Any, depth: Any, partial: Any, place: int, value: Any
) -> None:
    level: list[Any] = ["1", "1"]
    level[place] = value
    connection = following("depth@100ms")
    connection.parse(wrap("btcusdt@depth@100ms", depth()))
    for side in "b", "a":
        frame = wrap("btcusdt@depth@100ms", depth(**{side: [level]}))
        (item,) = connection.parse(frame)
        assert isinstance(item, Malformed)
        assert item.reason == "level"
    (item,) = following("depth20@100ms").parse(
        wrap("btcusdt@depth20@100ms", partial(asks=[level]))
    )
    assert (type(item), item.reason) == (Malformed, "level")


@pytest.mark.parametrize(
    "levels",
    [None, {}, "x", [None], ["1"], [[]], [["1"]], [[1, 2]], [{"p": 1}], [["1"] * 3]],
)
def test_levels_of_another_shape_cost_their_book_message(
    following: Any, wrap: Any, depth: Any, levels: Any
) -> None:
    frame = wrap("btcusdt@depth@100ms", {**depth(), "b": levels})
    (item,) = following("depth@100ms").parse(frame)
    assert isinstance(item, Malformed)


def test_ids_that_run_backward_are_malformed(
    following: Any, wrap: Any, depth: Any
) -> None:
    connection = following("depth@100ms")
    for changes in {"U": 161}, {"pu": 161}, {"u": -1}:
        (item,) = connection.parse(wrap("btcusdt@depth@100ms", depth(**changes)))
        assert (type(item), item.reason) == (Malformed, "sequence")


def test_snapshots_are_given_sorted_and_without_empty_levels(
    following: Any, wrap: Any, partial: Any
) -> None:
    bids = [["9", "1"], ["10", "1"], ["8", "0.000"]]
    asks = [["12", "1"], ["11", "0"]]
    frame = wrap("btcusdt@depth20@100ms", partial(bids=bids, asks=asks))
    (book,) = following("depth20@100ms").parse(frame)
    assert [list(level) for level in book.bids] == [["10", "1"], ["9", "1"]]
    assert [list(level) for level in book.asks] == [["12", "1"]]


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
def test_a_bad_number_in_a_ticker_is_malformed_or_none(
    following: Any, wrap: Any, ticker: Any, book_ticker: Any, value: Any
) -> None:
    (item,) = following("ticker").parse(
        wrap("btcusdt@ticker", {**ticker(), "c": value})
    )
    if value == "":
        assert item.last is None
    else:
        assert isinstance(item, Malformed)
    frame = wrap("btcusdt@bookTicker", {**book_ticker(), "b": value})
    (item,) = following("bookTicker").parse(frame)
    assert item.bid is None if value == "" else isinstance(item, Malformed)


def test_an_empty_side_of_a_ticker_is_none(
    following: Any, wrap: Any, book_ticker: Any
) -> None:
    frame = wrap("btcusdt@bookTicker", book_ticker(b="0.00000000", B="0.00000000"))
    (item,) = following("bookTicker").parse(frame)
    assert (item.bid, item.bid_size) == (None, Decimal(0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"o": "x"}, "number"),
        ({"h": "0.0001"}, "price"),
        ({"l": "0"}, "price"),
        ({"i": "5m"}, "timeframe"),
        ({"x": "yes"}, "field"),
        ({"t": -1}, "field"),
        ({"n": "7"}, "field"),
    ],
)
def test_an_impossible_candle_is_malformed(
    following: Any, wrap: Any, kline: Any, changes: Any, reason: str
) -> None:
    (item,) = following("kline_1m").parse(wrap("btcusdt@kline_1m", kline(**changes)))
    assert (type(item), item.reason) == (Malformed, reason)


def test_a_minute_without_trades_is_a_candle(
    following: Any, wrap: Any, kline: Any
) -> None:
    same = dict.fromkeys("ohlc", "0.0010")
    empty = {"f": -1, "L": -1, "n": 0, "v": "0", "q": "0", "V": "0"}
    frame = wrap("btcusdt@kline_1m", kline(**same, **empty))
    (candle,) = following("kline_1m").parse(frame)
    assert (candle.trades_count, candle.first_id, candle.volume) == (0, None, 0)


FRAMES = [
    "",
    " ",
    "null",
    "[]",
    "[1]",
    "5",
    '"text"',
    "NaN",
    "{}",
    "{",
    "\x00",
    "\ufeff{}",
    "\ud800",
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"data":' + "[" * 100_000,
    '{"stream":"btcusdt@aggTrade","data":' + "[" * 100_000,
    '{"stream":"btcusdt@aggTrade","data":NaN}',
    '{"stream":"btcusdt@aggTrade","data":null}',
    '{"stream":"btcusdt@aggTrade","data":{}}',
    '{"stream":"btcusdt@aggTrade","data":[]}',
    '{"stream":"btcusdt@aggTrade"}',
    '{"stream":"btcusdt@aggTrade","data":{}} trailing',
    '{"stream":["btcusdt@aggTrade"],"data":{}}',
    '{"stream":null,"data":{}}',
    '{"stream":5}',
    '{"stream":"","data":{}}',
    '{"stream":"nope@trade","data":{"e":"trade"}}',
    '{"stream":"!serverShutdown"}',
    '{"e":5}',
    '{"e":null,"s":"BTCUSDT"}',
    '{"e":"aggTrade","s":"BTCUSDT"}',
    '{"e":"aggTrade","s":["BTCUSDT"]}',
    '{"e":"kline","s":"BTCUSDT"}',
    '{"e":"kline","s":"BTCUSDT","k":[]}',
    '{"e":"somethingNew","s":"BTCUSDT"}',
    '{"u":1,"s":"BTCUSDT","A":{},"B":[]}',
    '{"lastUpdateId":{}}',
    '{"result":null}',
    '{"result":null,"id":null}',
    '{"result":null,"id":true}',
    '{"result":["x"],"id":[]}',
    '{"result":null,"id":999}',
    '{"error":null,"id":1}',
    '{"error":[],"id":1}',
    '{"error":{},"id":1}',
    '{"error":{"code":[],"msg":{}},"id":{}}',
    '{"code":[],"msg":{}}',
    '{"code":2}',
    '{"code":2,"msg":null,"id":1}',
    '{"id":1}',
    b"\xff\xfe\x00",
    b"\x1f\x8b\x08binary",
    b'{"stream":"btcusdt@aggTrade","data":{"p":"\xff"}}',
    b'{"stream":"\xff","data":{}}',
    "x" * 1_000_000,
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: repr(frame[:60]))
def test_no_frame_raises(everything: Any, frame: Any) -> None:
    items = everything().parse(frame)
    assert all(isinstance(item, KNOWN) for item in items)
    assert all(len(i.sample) <= 200 for i in items if isinstance(i, Malformed))


def test_every_prefix_of_every_frame_is_harmless(
    everything: Any, golden_frames: Any
) -> None:
    connection = everything()
    for frame in golden_frames:
        for end in range(len(frame)):
            (item,) = connection.parse(frame[:end])
            assert isinstance(item, Malformed)
        assert isinstance(connection.parse(frame)[0], MarketDataPoint)


def test_every_prefix_of_every_raw_event_is_harmless(
    everything: Any, golden_frames: Any
) -> None:
    connection = everything()
    for frame in golden_frames:
        raw = json.dumps(json.loads(frame)["data"], separators=(",", ":"))
        for end in range(len(raw)):
            (item,) = connection.parse(raw[:end])
            assert isinstance(item, Malformed)
        assert isinstance(connection.parse(raw)[0], MarketDataPoint)


def test_a_frame_broken_behind_its_name_tells_its_stream(
    everything: Any, golden_frames: Any, streams: Any
) -> None:
    (item,) = everything().parse(golden_frames[0][:-3])
    assert (item.reason, item.subscription) == ("json", streams("aggTrade"))


@RELAXED
@given(data=st.data())
def test_frames_with_a_byte_changed_never_raise(
    everything: Any, golden_frames: Any, data: st.DataObject
) -> None:
    frame = bytearray(data.draw(st.sampled_from(golden_frames)).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(
            st.integers(0, 255)
        )
    for item in everything().parse(bytes(frame)):
        assert isinstance(item, KNOWN)
        if isinstance(item, Trade):
            assert item.price.is_finite()
            assert item.price > 0
            assert item.size > 0
        if isinstance(item, BookDelta | BookSnapshot):
            for price, size in [*decimal_levels(item.bids), *decimal_levels(item.asks)]:
                assert price > 0
                assert size >= 0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
    ),
    max_leaves=8,
)


@RELAXED
@given(data=st.data())
def test_any_value_in_any_place_costs_at_most_one_message(
    everything: Any, golden_frames: Any, data: st.DataObject
) -> None:
    frame = json.loads(data.draw(st.sampled_from(golden_frames)))
    broken = copy.deepcopy(frame)
    place = broken if data.draw(st.booleans()) else broken["data"]
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    connection = everything()
    found = connection.parse(broken)
    assert all(isinstance(item, KNOWN) for item in found)
    assert isinstance(connection.parse(frame)[0], MarketDataPoint)


@RELAXED
@given(data=st.data())
def test_members_that_are_new_are_ignored(
    everything: Any, golden_frames: Any, data: st.DataObject
) -> None:
    frame = json.loads(data.draw(st.sampled_from(golden_frames)))
    name = data.draw(st.text(min_size=3, max_size=8))
    frame["data"].setdefault(name, data.draw(JSON))
    assert isinstance(everything().parse(frame)[0], MarketDataPoint)


@RELAXED
@given(frame=st.binary(max_size=200) | st.text(max_size=200))
def test_noise_never_raises(everything: Any, frame: Any) -> None:
    assert all(isinstance(item, KNOWN) for item in everything().parse(frame))


PLAIN = st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=8).map(
    lambda number: f"{number:f}"
)


@RELAXED
@given(
    number=st.integers(0, 2**63 - 1),
    first=st.integers(-1, 10**12),
    fills=st.integers(0, 10**6 + 1),
    price=PLAIN,
    size=PLAIN,
    ms=st.integers(1, 10**13),
    maker=st.booleans(),
)
def test_the_fast_and_the_careful_way_agree_on_trades(
    following: Any,
    wrap: Any,
    agg_trade: Any,
    number: int,
    first: int,
    fills: int,
    price: str,
    size: str,
    ms: int,
    maker: bool,
) -> None:
    data = {"a": number, "f": first, "l": first + fills - 1, "p": price, "q": size}
    data |= {"T": ms, "m": maker}
    frame = wrap("btcusdt@aggTrade", agg_trade(**data))
    connection = following("aggTrade")
    compact = json.dumps(frame, separators=(",", ":"))
    (fast,) = connection.parse(compact)
    (careful,) = connection.parse(compact.replace('{"stream"', '{ "stream"'))
    assert fast == careful
    if isinstance(fast, Trade):
        assert (fast.price, fast.size) == (Decimal(price), Decimal(size))
        assert (fast.last_id, fast.fills) == (number, fills)
        assert fast.side == ("sell" if maker else "buy")


LEVELS = st.lists(st.tuples(PLAIN, PLAIN).map(list), max_size=6)


@RELAXED
@given(bids=LEVELS, asks=LEVELS, first=st.integers(0, 10**12), more=st.integers(0, 99))
def test_the_fast_and_the_careful_way_agree_on_books(
    following: Any,
    wrap: Any,
    depth: Any,
    bids: Any,
    asks: Any,
    first: int,
    more: int,
) -> None:
    frame = wrap("btcusdt@depth@100ms", depth(b=bids, a=asks, U=first, u=first + more))
    connection = following("depth@100ms")
    connection.parse(wrap("btcusdt@depth@100ms", depth()))
    compact = json.dumps(frame, separators=(",", ":"))
    (fast,) = connection.parse(compact)
    (careful,) = connection.parse(compact.replace('{"stream"', '{ "stream"'))
    if isinstance(fast, BookDelta):
        assert fast == careful
        assert (fast.link_id, fast.last_id) == (first - 1, first + more)
    else:
        assert (fast.reason, careful.reason) == ("level", "level")


@RELAXED
@given(
    body=st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode())
)
def test_no_answer_of_rest_raises(
    connect: Any, streams: Any, adapter: Any, respond: Any, body: bytes
) -> None:
    for channel in "depth@100ms", "kline_1m":
        stream = streams(channel)
        connection = connect(stream)
        _, fetch = connection.acknowledge(*connection.subscribe(stream))
        items = connection.answer(fetch, body)
        assert all(isinstance(item, KNOWN) for item in items)
    for status in 200, 400, 403, 418, 429, 451, 503:
        adapter.classify(respond(body, status))
