"""Proving the levels of a whole frame at once says what looking at each text says."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tapeline.model import BookDelta, BookSnapshot, Malformed, Request, Response
from tapeline_binance.answers import snapshot_in
from tapeline_binance.reader import ReaderSettings
from tapeline_binance.readers import build_reader

RELAXED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=300,
)

DIGITS = st.from_regex(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?", fullmatch=True)
ODD = st.sampled_from(
    [
        *("0", "0.000", "00.5", ".5", "5.", ".", "", "-0", "-0.0", "-1", "+1"),
        *("1e5", "1E-5", "0e0", "inf", "Infinity", "-inf", "nan", "NaN", "1_000"),
        *(" 1", "1 ", "0x10", "1.2.3", "1d", "\\u0031", "1\\u00655", "1\\n", "٣"),
        *("]", "[", "1]", "[[", "]]", "as", "bids", "abdiks", "{", ":", ","),
        *("9" * 64, "9" * 65, "0." + "0" * 61 + "1", "0." + "0" * 62 + "1"),
        *("1234567890.123456789", "1e-400", "1e400", "1000000000000000000"),
    ]
)
NUMBER = DIGITS | DIGITS | ODD
LEVEL = st.one_of(
    st.tuples(DIGITS, DIGITS), st.tuples(NUMBER, NUMBER), st.lists(NUMBER, max_size=3)
)
SIDE = st.lists(LEVEL, max_size=4)
CASES = [
    ("depth@100ms", "spot"),
    ("depth@100ms", "swap"),
    ("depth20@100ms", "spot"),
    ("depth20@100ms", "swap"),
]
PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?")


def written(levels: Any) -> str:
    """*levels* as JSON; texts stand in it unescaped."""
    shown = ("[" + ",".join(f'"{item}"' for item in level) + "]" for level in levels)
    return f"[{','.join(shown)}]"


def frame_of(channel: str, market: str, bids: Any, asks: Any) -> bytes:
    """A combined frame as the venue writes it."""
    if market == "spot" and channel != "depth@100ms":
        data = f'"lastUpdateId":9,"bids":{written(bids)},"asks":{written(asks)}'
    else:
        more = '"T":1700000000000,"pu":7,' if market == "swap" else ""
        data = (
            f'"e":"depthUpdate","E":1700000000000,{more}"s":"BTCUSDT","U":8,"u":9,'
            f'"b":{written(bids)},"a":{written(asks)}'
        )
    return f'{{"stream":"btcusdt@{channel}","data":{{{data}}}}}'.encode()


def both_ways(stream: Any, frame: bytes) -> tuple[Any, Any]:
    """What the fast way says, and what the careful one does."""
    reader = build_reader(stream)
    if reader.seed is not None:
        reader.seed.first_link = 1
    start = frame.index(b'"data":') + len(b'"data":')
    (careful,) = build_reader(stream).careful(frame[start:-1], 1)
    return reader.fast(frame, 1), careful


@RELAXED
@given(case=st.sampled_from(CASES), bids=SIDE, asks=SIDE)
@example(CASES[0], [["1e5", "1"]], [])
@example(CASES[0], [["1", "-0"]], [])
@example(CASES[1], [], [["1", "0e0"]])
@example(CASES[2], [["1", "1E1"]], [["2", "1"]])
@example(CASES[3], [], [["1", "-0.0"]])
@example(CASES[0], [["1", "[1"], ["1e5", "1"]], [])
@example(CASES[0], [["1", "1"]], [["1", "]"], ["1e5", "1"]])
def test_the_fast_way_never_takes_what_the_careful_way_refuses(
    streams: Any, case: tuple[str, str], bids: Any, asks: Any
) -> None:
    channel, market = case
    stream = streams(channel, market=market)
    fast, careful = both_ways(stream, frame_of(channel, market, bids, asks))
    assert fast is None or fast == [careful]
    if isinstance(careful, Malformed):
        assert fast is None
        return
    assert isinstance(careful, BookSnapshot | BookDelta)
    for price, size in (*careful.bids, *careful.asks):
        assert PLAIN.fullmatch(price)
        assert PLAIN.fullmatch(size)
        assert float(price) > 0


@RELAXED
@given(data=st.data(), case=st.sampled_from(CASES))
def test_any_byte_among_the_levels_is_judged_alike(
    streams: Any, case: tuple[str, str], data: st.DataObject
) -> None:
    channel, market = case
    levels = [["10.5", "1.25"], ["11", "2"]]
    frame = bytearray(frame_of(channel, market, levels, levels))
    place = data.draw(st.integers(frame.index(b"[["), len(frame) - 4))
    frame[place] = data.draw(st.integers(0, 255))
    fast, careful = both_ways(streams(channel, market=market), bytes(frame))
    assert fast is None or fast == [careful]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([], []),
        ([["11", "1"]], []),
        ([], [["10.50", "0.00000000"]]),
        ([["11.1", "1"], ["10", "2"]], [["12", "0.001"]]),
    ],
    ids=str,
)
def test_a_usual_frame_goes_the_fast_way(
    streams: Any, case: tuple[str, str], bids: Any, asks: Any
) -> None:
    channel, market = case
    fast, careful = both_ways(
        streams(channel, market=market), frame_of(channel, market, bids, asks)
    )
    assert fast == [careful]


@pytest.mark.parametrize("text", ["1e5", "-0", "0e0", "1E-2"])
@pytest.mark.parametrize("place", [0, 1])
def test_raw_objects_are_kept_of_plain_levels_alone(
    streams: Any, text: str, place: int
) -> None:
    level = ["1", "1"]
    level[place] = text
    for channel, market in CASES:
        frame = frame_of(channel, market, [level], [])
        reader = build_reader(streams(channel, market=market), ReaderSettings(raw=True))
        item = frame[frame.index(b'"data":') + len(b'"data":') : -1]
        (found,) = reader.careful(item, 1)
        assert isinstance(found, Malformed)
        assert found.reason == "level"


@pytest.mark.parametrize("text", ["1e5", "-0", "nan", ".5"])
def test_a_rest_snapshot_with_such_a_level_is_refused(streams: Any, text: str) -> None:
    body = b'{"lastUpdateId":9,"bids":[["1","%s"]],"asks":[]}' % text.encode()
    response = Response(Request("GET", "https://x/depth"), 200, {}, body, 1, "book")
    assert isinstance(snapshot_in(response, streams("depth@100ms")), Malformed)
    plain = attrs.evolve(response, body=body.replace(text.encode(), b"0.50"))
    assert not isinstance(snapshot_in(plain, streams("depth@100ms")), Malformed)
