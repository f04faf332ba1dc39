"""How far behind a position is stays true, however long the backlog gets."""

from __future__ import annotations

import pytest

from tapeline.journal.backlog import Backlog

COMMITS = 200_000
ROWS, NBYTES = 3, 100


def nearly(expected: float) -> object:
    """Within a thousandth of everything."""
    return pytest.approx(expected, abs=COMMITS * ROWS / 1_000)


@pytest.fixture(scope="module")
def backlog() -> Backlog:
    """An hour of commits of three rows, one commit each 18 ms."""
    made = Backlog()
    for n in range(COMMITS):
        first = n * ROWS
        made.extend([(first + k, NBYTES, n * 18_000_000) for k in range(ROWS)])
    return made


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_rows_bytes_and_age_are_told_from_anywhere(
    backlog: Backlog, part: float
) -> None:
    now_ns = COMMITS * 18_000_000
    position = int(COMMITS * ROWS * part) - 1
    rows, nbytes, seconds = backlog.behind(position, now_ns)
    assert rows == nearly(COMMITS * ROWS * (1 - part))
    assert nbytes == rows * NBYTES
    assert seconds == pytest.approx(now_ns / 1e9 * (1 - part), abs=4)


def test_near_the_end_it_is_exact(backlog: Backlog) -> None:
    now_ns = COMMITS * 18_000_000
    last = COMMITS * ROWS - 1
    for behind in (0, 1, 10, 1_000):
        rows, _, seconds = backlog.behind(last - behind * ROWS, now_ns)
        assert rows == behind * ROWS
        assert seconds == pytest.approx(behind * 0.018)


def test_it_stays_small_and_counts_on_while_rows_go() -> None:
    made = Backlog()
    for n in range(50_000):
        made.extend([(n, NBYTES, n)])
        if n % 10_000 == 9_999:
            made.trim(n - 5_000, 5_000 if n < 10_000 else 10_000, 0)
            assert made.rows == 5_000
            assert made.behind(n - 5_000, n)[0] == nearly(5_000)
            assert made.behind(-1, n)[0] == 5_000
