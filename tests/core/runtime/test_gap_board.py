"""Gaps as an observer sees them open and close."""

from __future__ import annotations

import attrs
import pytest

from tapeline.model import Gap, Subscription
from tapeline.runtime import GapBoard

STREAM = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")
TICKERS = Subscription("okx", "spot", "BTC-USDT", "ticker", "tickers")
S = 10**9


class FakeClock:
    """A clock that is set."""

    now_ns = 100 * S

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def hole(gap_id: int, first: int, last: int, state: str = "open") -> Gap:
    return Gap(STREAM, gap_id, 0, first, last, 5 * S, 6 * S, "id-hole", 0, state)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def board(clock: FakeClock) -> GapBoard:
    return GapBoard(clock, remembered=3)


def test_a_gap_opens_shrinks_and_closes(board: GapBoard, clock: FakeClock) -> None:
    board.take([hole(1, 10, 19)])
    clock.now_ns += 2 * S
    board.take([hole(1, 10, 12, "backfilling")])

    (news,) = board.open
    assert (news.size, news.age_s, news.lasted_s) == ("10 ids", 2.0, None)
    board.take([attrs.evolve(hole(1, 10, 19, "closed"), recovered_count=10)])
    clock.now_ns += S

    assert board.open == []
    (news,) = board.ended
    assert (news.size, news.age_s, news.lasted_s) == ("10 ids", 1.0, 2.0)
    assert (board.opened, board.closed, board.unrecoverable) == (1, 1, 0)


def test_a_gap_in_time_is_given_up_at_once_and_has_seconds(board: GapBoard) -> None:
    state = "unrecoverable"
    board.take([Gap(TICKERS, 2, 0, None, None, S, 4 * S, "disconnect", 0, state)])

    (news,) = board.ended
    assert (news.size, news.lasted_s) == ("3.0 s", 0.0)
    assert (board.opened, board.unrecoverable) == (1, 1)


def test_only_the_newest_are_remembered_and_all_are_counted(board: GapBoard) -> None:
    board.take(hole(number, 1, 1) for number in range(9))
    board.take(hole(number, 1, 1, "closed") for number in range(9))

    assert [news.gap.gap_id for news in board.ended] == [8, 7, 6]
    assert (board.opened, board.closed) == (9, 9)
