"""The gaps of the live view: those that are open, then the newest of the others."""

from __future__ import annotations

from rich.console import Console

from tapeline.cli.live_view import gap_counts, gap_table
from tapeline.clock import SystemClock
from tapeline.model import Gap, Subscription
from tapeline.runtime import GapBoard

STREAM = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")
S = 10**9


def hole(gap_id: int, first: int, last: int, state: str = "open") -> Gap:
    return Gap(STREAM, gap_id, 0, first, last, 5 * S, 6 * S, "id-hole", 0, state)


def shown(board: GapBoard) -> list[str]:
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(gap_table(board))
    return capture.get().splitlines()


def test_open_gaps_come_first_and_the_table_keeps_its_height() -> None:
    board = GapBoard(SystemClock())
    empty = shown(board)
    board.take([hole(1, 10, 19), hole(2, 30, 30)])
    board.take([hole(1, 10, 19, "closed")])
    full = shown(board)

    assert len(empty) == len(full)
    assert "gaps: 1 open, 2 opened, 1 closed, 0 given up" in full[0]
    first, second = [line for line in full if "okx:spot:BTC-USDT" in line]
    assert "id-hole" in first
    assert " 1 id " in first
    assert " open " in first
    assert " closed " in second
    assert " 10 ids " in second


def test_more_gaps_than_lines_are_counted_and_not_shown() -> None:
    board = GapBoard(SystemClock())
    board.take(hole(number, 1, 1) for number in range(50))

    assert len(shown(board)) == len(shown(GapBoard(SystemClock())))
    assert gap_counts(board) == "gaps: 50 open, 50 opened, 0 closed, 0 given up"
