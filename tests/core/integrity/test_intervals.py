"""Interval sets against plain sets."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tapeline.integrity import IntervalSet

NUMBERS = st.integers(-5, 40)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove"]), NUMBERS, NUMBERS), max_size=30
)


@given(STEPS, NUMBERS, NUMBERS)
def test_an_interval_set_is_the_set_of_its_numbers(
    steps: list[tuple[str, int, int]], first: int, last: int
) -> None:
    real = IntervalSet()
    naive: set[int] = set()
    for step, low, high in steps:
        if step == "add":
            real.add(low, high)
            naive |= set(range(low, high + 1))
        else:
            real.remove(low, high)
            naive -= set(range(low, high + 1))
    window = set(range(first, last + 1))
    listed = [number for low, high in real for number in range(low, high + 1)]
    missing = [
        number
        for low, high in real.gaps(first, last)
        for number in range(low, high + 1)
    ]
    assert listed == sorted(naive)
    assert missing == sorted(window - naive)
    assert real.count(first, last) == len(window & naive)
    assert real.total == len(naive)
    assert {number for number in range(-7, 43) if number in real} == naive
    assert bool(real) == bool(naive)


@given(st.lists(st.tuples(NUMBERS, NUMBERS)))
def test_intervals_are_never_adjacent(pairs: list[tuple[int, int]]) -> None:
    made = list(IntervalSet.of(pairs))
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(made))
