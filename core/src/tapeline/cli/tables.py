"""Tables for people: whole cells on a wide terminal, one plain line a row elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from tapeline.cli.output import say

_UNBOUNDED = 100_000

Cell = str | int


def show_rows(
    head: Sequence[str], rows: Sequence[Sequence[Cell]], console: Console | None = None
) -> None:
    """Print *rows* under *head*; no cell is ever cut or broken.

    A line of the plain form is the first cell, then the name and the text of each
    other cell that is not empty, without the name where *head* has none.
    """
    # Names of streams hold colons and brackets, which are no markup here.
    console = console or Console(markup=False, emoji=False, highlight=False)
    if console.is_terminal:
        table = _table(head, rows)
        if _width(table, console) <= console.width:
            console.print(table)
            return
    for row in rows:
        say(_line(head, row))


def _table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    table = Table()
    numbers = {at for row in rows for at, cell in enumerate(row) if type(cell) is int}
    for at, name in enumerate(head):
        table.add_column(
            name, justify="right" if at in numbers else "left", no_wrap=True
        )
    for row in rows:
        table.add_row(*[_shown(cell) for cell in row])
    return table


def _width(table: Table, console: Console) -> int:
    unbounded = console.options.update(max_width=_UNBOUNDED)
    return Measurement.get(console, unbounded, table).maximum


def _line(head: Sequence[str], row: Sequence[Cell]) -> str:
    parts = [
        f"{name} {cell}".lstrip()
        for name, cell in zip(head[1:], row[1:], strict=True)
        if cell != ""
    ]
    return f"{row[0]}: {', '.join(parts)}"


def _shown(cell: Cell) -> str:
    return f"{cell:,}" if isinstance(cell, int) else cell
