"""``RateLimiter``: never more than asked for in any window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.collectors import RateLimiter
from tapeline.testing import VirtualClock, run_virtual


@given(
    count=st.integers(1, 5),
    seconds=st.floats(0.1, 10),
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=30),
)
def test_no_window_ever_holds_more_than_its_count(
    count: int, seconds: float, pauses: list[float]
) -> None:
    taken: list[int] = []

    async def work() -> None:
        clock = VirtualClock()
        limiter = RateLimiter(count, seconds, clock=clock)
        for pause in pauses:
            await clock.sleep(pause)
            await limiter.acquire()
            taken.append(clock.monotonic_ns())

    run_virtual(work)

    window_ns = int(seconds * 10**9)
    for later, earlier in zip(taken[count:], taken, strict=False):
        assert later - earlier >= window_ns


@pytest.mark.parametrize(("count", "seconds"), [(0, 1), (1, 0), (-1, 5)])
def test_a_limit_that_cannot_be_is_refused(count: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        RateLimiter(count, seconds)
