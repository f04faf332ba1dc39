"""The police of limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tapeline.testing import Limit, LimitsPolice

SECOND = 10**9


def test_the_window_rolls() -> None:
    police = LimitsPolice([Limit("connects", 3, 1.0)])
    hits = [
        police.hit("connects", "ip", ns) for ns in (0, 1, 2, SECOND - 1, SECOND + 5)
    ]

    assert hits == [True, True, True, False, True]
    assert police.violations == {"connects": 1}


def test_keys_have_windows_of_their_own() -> None:
    police = LimitsPolice([Limit("frames", 1, 1.0)])

    assert police.hit("frames", 1, 0)
    assert police.hit("frames", 2, 0)
    assert not police.hit("frames", 1, 1)
    police.forget(1)
    assert police.hit("frames", 1, 2)
    assert police.total == 1


def test_units_count_one_violation_a_hit() -> None:
    police = LimitsPolice([Limit("weight", 10, 60.0)])

    assert police.hit("weight", "ip", 0, units=10)
    assert not police.hit("weight", "ip", 1, units=5)
    assert police.total == 1
    assert police.seen["weight"] == 15


def test_a_name_without_a_limit_is_only_counted() -> None:
    police = LimitsPolice()

    assert police.hit("anything", "ip", 0)
    police.note("frame-size")
    assert police.violations == {"frame-size": 1}


@given(
    st.lists(st.integers(0, 3_000), max_size=60).map(sorted),
    st.integers(1, 5),
)
def test_a_hit_is_a_violation_exactly_when_its_window_is_too_full(
    times: list[int], count: int
) -> None:
    police = LimitsPolice([Limit("x", count, 1e-6)])
    for index, at_ns in enumerate(times):
        inside = sum(1 for t in times[: index + 1] if t > at_ns - 1_000)
        assert police.hit("x", "k", at_ns) == (inside <= count)
