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
    LoggedIn,
    Malformed,
    MarketDataPoint,
    Rejected,
    Rotate,
    Send,
    Trade,
)

KNOWN = (
    MarketDataPoint,
    Malformed,
    Acked,
    Rejected,
    LoggedIn,
    Closing,
    Rotate,
    Send,
)
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
    "1e5",
    "1E-5",
    "1_000",
    " 1",
    "1 ",
    "1,5",
    "0x10",
    "1.2.3",
    ".",
    "",
    "0",
    "0.000",
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


def is_true(number: Decimal) -> bool:
    """Whether *number* could be a price or a size."""
    return number.is_finite() and number > 0


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
@pytest.mark.parametrize(("field", "reason"), [("px", "price"), ("sz", "size")])
def test_a_bad_number_costs_one_trade_whose_ids_are_known(
    following: Any, push: Any, trade_row: Any, field: str, reason: str, value: Any
) -> None:
    bad = {**trade_row(), field: value}
    frame = push("trades", bad, trade_row(tradeId="130639475", count="1"))
    item, trade = following("trades").parse(frame)
    assert isinstance(item, Malformed)
    assert item.reason == reason
    assert (item.first_id, item.last_id) == (130639472, 130639474)
    assert isinstance(trade, Trade)


@pytest.mark.parametrize(
    ("changes", "reason", "first_id", "last_id"),
    [
        ({"tradeId": "x"}, "id", None, None),
        ({"tradeId": ""}, "id", None, None),
        ({"tradeId": "-5"}, "id", None, None),
        ({"tradeId": "0"}, "id", None, None),
        ({"tradeId": "9" * 30}, "id", None, None),
        ({"tradeId": None}, "id", None, None),
        ({"side": "hold"}, "side", 130639472, 130639474),
        ({"side": None}, "side", 130639472, 130639474),
        ({"ts": "0"}, "time", 130639472, 130639474),
        ({"ts": "-1"}, "time", 130639472, 130639474),
        ({"ts": "9" * 20}, "time", 130639472, 130639474),
        ({"ts": "soon"}, "time", 130639472, 130639474),
        ({"count": "0"}, "count", 130639474, 130639474),
        ({"count": "-3"}, "count", 130639474, 130639474),
        ({"count": "many"}, "count", 130639474, 130639474),
        ({"count": "9" * 12}, "count", 130639474, 130639474),
        ({"tradeId": "2", "count": "3"}, "count", 2, 2),
    ],
)
def test_a_bad_field_is_named(
    following: Any,
    push: Any,
    trade_row: Any,
    changes: Any,
    reason: str,
    first_id: int | None,
    last_id: int | None,
) -> None:
    (item,) = following("trades").parse(push("trades", trade_row(**changes)))
    assert isinstance(item, Malformed)
    assert (item.reason, item.first_id, item.last_id) == (reason, first_id, last_id)
    assert item.subscription is not None


BAD_LEVELS = [
    (place, value)
    for place in (0, 1)
    for value in BAD_NUMBERS
    # a size of zero deletes a level
    if place == 0 or value not in ("0", "0.000")
]


@pytest.mark.parametrize(("place", "value"), BAD_LEVELS, ids=repr)
def test_a_bad_level_costs_its_book_message(
    following: Any, push: Any, place: int, value: Any
) -> None:
    level: list[Any] = ["1", "1", "0", "1"]
    level[place] = value
    good = {"asks": [], "bids": [["1", "1", "0", "1"]], "ts": "1", "seqId": 2}
    for side in "asks", "bids":
        bad = {**good, side: [level]}
        connection = following("books")
        frame = push("books", bad, good, action="update")
        item, delta = connection.parse(frame)
        assert isinstance(item, Malformed)
        assert item.reason == "level"
        assert isinstance(delta, BookDelta)


@pytest.mark.parametrize(
    "levels", [None, {}, "x", [None], ["1"], [[]], [["1"]], [[1, 2]], [{"p": 1}]]
)
def test_levels_of_another_shape_cost_their_book_message(
    following: Any, push: Any, levels: Any
) -> None:
    row = {"asks": levels, "bids": [], "ts": "1"}
    (item,) = following("books5").parse(push("books5", row))
    assert isinstance(item, Malformed)


def test_levels_of_other_lengths_are_taken(following: Any, push: Any) -> None:
    row = {"asks": [["1", "2"]], "bids": [["0.5", "2", "0", "1", "9"]], "ts": "1"}
    (book,) = following("books5").parse(push("books5", row))
    assert isinstance(book, BookSnapshot)


@pytest.mark.parametrize("action", ["", "partial", "delete"])
def test_an_unknown_action_is_malformed(following: Any, push: Any, action: str) -> None:
    row = {"asks": [], "bids": [], "ts": "1"}
    (item,) = following("books").parse(push("books", row, action=action))
    assert (type(item), item.reason) == (Malformed, "action")


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
def test_a_bad_number_in_a_ticker_is_malformed_or_none(
    following: Any, push: Any, value: Any
) -> None:
    (item,) = following("tickers").parse(push("tickers", {"last": value, "ts": "1"}))
    if value in ("", "0", "0.000"):
        assert item.last is None
    else:
        assert isinstance(item, Malformed)


FRAMES = [
    "",
    " ",
    "null",
    "[]",
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
    '{"arg":' + '{"a":' * 100_000,
    '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":' + "[" * 100_000,
    '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"x":' + "[" * 100_000,
    '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":NaN}',
    '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":null}',
    '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":{}}',
    '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[null,1,"x",[]]}',
    '{"arg":{"channel":"trades","instId":"BTC-USDT"}}',
    '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[]} trailing',
    '{"arg":{"channel":["trades"],"instId":{"a":1}},"data":[]}',
    '{"arg":null,"data":[]}',
    '{"arg":[],"data":[]}',
    '{"arg":5}',
    '{"event":5}',
    '{"event":null}',
    '{"event":"error"}',
    '{"event":"error","code":[],"msg":{}}',
    '{"event":"error","code":60018,"msg":null,"id":{}}',
    '{"event":"subscribe"}',
    '{"event":"subscribe","arg":{}}',
    '{"event":"unsubscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}',
    '{"event":"login"}',
    '{"event":"login","code":"1"}',
    '{"event":"notice"}',
    '{"event":"channel-conn-count-error"}',
    '{"event":"something-new","arg":{}}',
    b"\xff\xfe\x00",
    b"\x1f\x8b\x08binary",
    b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"tradeId":"\xff"}]}',
    b'{"arg":{"channel":"\xff"},"data":[]}',
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
        (event,) = connection.parse(frame)
        assert isinstance(event, MarketDataPoint)


def test_a_frame_broken_behind_its_argument_tells_its_stream(
    everything: Any, golden_frames: Any, streams: Any
) -> None:
    (item,) = everything().parse(golden_frames[0][:-3])
    assert (item.reason, item.subscription) == ("json", streams("trades"))


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
            assert is_true(item.price)
            assert is_true(item.size)


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
def test_frames_with_a_value_replaced_never_raise(
    everything: Any, golden_frames: Any, data: st.DataObject
) -> None:
    frame = json.loads(data.draw(st.sampled_from(golden_frames)))
    items = frame["data"]
    extra = copy.deepcopy(items[0])
    target = items[0]
    place = data.draw(
        st.sampled_from(sorted(target) if isinstance(target, dict) else range(9))
    )
    target[place] = data.draw(JSON)
    items.append(extra)
    found = everything().parse(frame)
    assert all(isinstance(item, KNOWN) for item in found)
    assert isinstance(found[-1], MarketDataPoint)


@RELAXED
@given(frame=st.binary(max_size=200) | st.text(max_size=200))
def test_noise_never_raises(everything: Any, frame: Any) -> None:
    assert all(isinstance(item, KNOWN) for item in everything().parse(frame))


PLAIN = st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=8).map(
    lambda number: f"{number:f}"
)


@RELAXED
@given(
    last=st.integers(1, 2**63 - 1),
    count=st.integers(1, 10**6),
    price=PLAIN,
    size=PLAIN,
    ms=st.integers(1, 10**13),
    side=st.sampled_from(["buy", "sell"]),
)
def test_the_fast_and_the_careful_way_agree(
    following: Any,
    push: Any,
    trade_row: Any,
    last: int,
    count: int,
    price: str,
    size: str,
    ms: int,
    side: str,
) -> None:
    row = trade_row(
        tradeId=str(last), count=str(count), px=price, sz=size, ts=str(ms), side=side
    )
    connection = following("trades")
    compact = json.dumps(push("trades", row), separators=(",", ":"))
    (fast,) = connection.parse(compact)
    (careful,) = connection.parse(compact.replace('{"arg"', '{ "arg"'))
    assert fast == careful
    if isinstance(fast, Trade):
        assert (str(fast.price), str(fast.size)) == (
            str(Decimal(price)),
            str(Decimal(size)),
        )
        assert (fast.first_id, fast.last_id) == (last - count + 1, last)
        assert (fast.exchange_ns, fast.side) == (ms * 10**6, side)
