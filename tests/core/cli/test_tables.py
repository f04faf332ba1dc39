"""Rows for people: whole cells on a wide terminal, plain lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tapeline.cli.tables import Cell, show_rows

HEAD = ("stream", "ids", "count", "")
ROWS: list[list[Cell]] = [
    ["okx:spot:BTC-USDT:trade", "1..9", 1234, "ok"],
    ["b", "", 0, ""],
]


def terminal(width: int) -> tuple[Console, io.StringIO]:
    """A terminal of *width* columns, and what it was sent."""
    out = io.StringIO()
    return Console(file=out, force_terminal=True, width=width, emoji=False), out


def test_without_a_terminal_each_row_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_rows(HEAD, ROWS, Console(file=io.StringIO(), width=20))

    assert capsys.readouterr().out.splitlines() == [
        "okx:spot:BTC-USDT:trade: ids 1..9, count 1234, ok",
        "b: count 0",
    ]


def test_a_wide_terminal_gets_a_table() -> None:
    console, out = terminal(80)

    show_rows(HEAD, ROWS, console)

    assert "│ okx:spot:BTC-USDT:trade │ 1..9 │ 1,234 │ ok │" in out.getvalue()


def test_a_narrow_terminal_gets_whole_lines_and_no_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console, out = terminal(40)

    show_rows(HEAD, ROWS, console)

    assert out.getvalue() == ""
    assert "okx:spot:BTC-USDT:trade: ids 1..9" in capsys.readouterr().out
