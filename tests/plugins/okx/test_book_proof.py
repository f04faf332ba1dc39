"""Proving the levels of a whole frame at once says what looking at each text says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tapeline.model import BookDelta, BookSnapshot, Malformed
from tapeline_okx.readers import build_reader

RELAXED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=300,
)

DIGITS = st.from_regex(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?", fullmatch=True)
ODD = st.sampled_from(
    [
        *("0", "0.000", "00.5", ".5", "5.", ".", "", "-0", "-1", "+1", "1e5", "1E-5"),
        *("inf", "Infinity", "nan", "NaN", "1_000", " 1", "1 ", "0x10", "1.2.3", "1d"),
        *(
            "\\u0031",
            "1\\u00655",
            "1\\n",
            "٣",
            "]",
            "[",
            "1]",
            "[[",
            "]]",
            "ts",
            "bids",
        ),
        *("9" * 64, "9" * 65, "0." + "0" * 61 + "1", "0." + "0" * 62 + "1"),
        *("1234567890.123456789", "1e-400", "1e400", "abdiks", "{", ":", ","),
    ]
)
NUMBER = DIGITS | DIGITS | ODD
LEVEL = st.one_of(
    st.tuples(DIGITS, DIGITS, st.just("0"), st.just("3")),
    st.tuples(NUMBER, NUMBER, st.just("0"), st.just("3")),
    st.tuples(NUMBER, NUMBER, ODD, ODD),
    st.lists(NUMBER, max_size=5),
)
SIDE = st.lists(LEVEL, max_size=4)
CASES = [("books", "snapshot"), ("books", "update"), ("books5", "")]
ORDERS = st.permutations(["asks", "bids", "ts", "seqId", "prevSeqId"])
PLAIN = re.compile(r"[0-9]*\.?[0-9]*")


def frame_of(channel: str, action: str, sides: Any, order: Any, rows: int) -> str:
    """A compact frame; texts stand in it unescaped."""
    values = {"ts": '"1700000000000"', "seqId": "2", "prevSeqId": "1"}
    for name, levels in zip(("asks", "bids"), sides, strict=True):
        shown = (
            "[" + ",".join(f'"{item}"' for item in level) + "]" for level in levels
        )
        values[name] = f"[{','.join(shown)}]"
    row = "{" + ",".join(f'"{key}":{values[key]}' for key in order) + "}"
    said = f'"action":"{action}",' if action else ""
    return (
        f'{{"arg":{{"channel":"{channel}","instId":"BTC-USDT"}},{said}'
        f'"data":[{",".join([row] * rows)}]}}'
    )


USUAL = ("asks", "bids", "ts", "seqId", "prevSeqId")


@RELAXED
@given(
    case=st.sampled_from(CASES),
    sides=st.tuples(SIDE, SIDE),
    order=ORDERS,
    rows=st.sampled_from([1, 1, 1, 2]),
)
@example(CASES[1], ([["1e5", "1", "0", "3"]], []), USUAL, 1)
@example(CASES[1], ([["1", "1", "0", "9" * 65]], []), USUAL, 1)
@example(CASES[1], ([["1", "1", "9" * 65, "3"]], []), USUAL, 1)
@example(CASES[1], ([["1", "1e5", "0", "3"]], []), USUAL, 1)
@example(CASES[1], ([["1", "-0", "0", "3"]], []), USUAL, 1)
@example(CASES[1], ([], [["inf", "1", "0", "3"]]), USUAL, 1)
@example(CASES[1], ([["1", "1", "[", "]"], ["1e5", "1", "0", "3"]], []), USUAL, 1)
@example(CASES[0], ([["1", "1", "0", "3"]], [["1e5", "1", "]", "["]]), USUAL, 1)
def test_the_fast_and_the_careful_way_agree_about_books(
    following: Any, case: tuple[str, str], sides: Any, order: Any, rows: int
) -> None:
    frame = frame_of(*case, sides, order, rows)
    connection = following(case[0])
    fast = connection.parse(frame)
    careful = connection.parse(frame.replace('{"arg"', '{ "arg"', 1))
    assert fast == careful
    for item in fast:
        assert isinstance(item, BookSnapshot | BookDelta | Malformed)
        if isinstance(item, Malformed):
            continue
        for price, size, *_ in (*item.bids, *item.asks):
            assert PLAIN.fullmatch(price)
            assert PLAIN.fullmatch(size)
            assert float(price) > 0
            assert 0 <= float(size) < float("inf")


@RELAXED
@given(data=st.data(), case=st.sampled_from(CASES))
def test_any_byte_among_the_levels_is_judged_alike(
    following: Any, case: tuple[str, str], data: st.DataObject
) -> None:
    levels = [["10.5", "1.25", "0", "3"], ["11", "2", "0", "1"]]
    frame = bytearray(frame_of(*case, (levels, levels), USUAL, 1).encode())
    start = frame.index(b"[[")
    place = data.draw(st.integers(start, frame.index(b'"ts"')))
    frame[place] = data.draw(st.integers(0, 255))
    connection = following(case[0])
    fast = connection.parse(bytes(frame))
    careful = connection.parse(bytes(frame).replace(b'{"arg"', b'{ "arg"', 1))
    assert [type(item) for item in fast] == [type(item) for item in careful]
    events = [item for item in fast if not isinstance(item, Malformed)]
    assert events == [item for item in careful if not isinstance(item, Malformed)]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(
    "sides",
    [
        ([], []),
        ([["11", "1", "0", "3"]], []),
        ([], [["10.50", "0", "0", "0"]]),
        ([["11", "1", "0", "3"], ["12", "2", "0", "1"]], [["10", "0.001", "0", "3"]]),
    ],
    ids=str,
)
def test_a_usual_frame_goes_the_fast_way(
    streams: Any, case: tuple[str, str], sides: Any
) -> None:
    reader = build_reader(streams(case[0]))
    assert reader.fast(frame_of(*case, sides, USUAL, 1).encode(), 1) is not None
