"""``tapeline gaps``: what is missing, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from tapeline.cli.output import guarded, print_json, say
from tapeline.cli.tables import Cell, show_rows
from tapeline.model import datetime_from_ns
from tapeline.plugins import PluginRegistry

_HEAD = ("stream", "ids", "from", "to", "cause", "state", "recovered")


def gaps(
    database: Annotated[str, typer.Option(help="Path or URL of the database.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.")
    ] = False,
) -> None:
    """List every recorded gap of a database."""

    def work() -> list[dict[str, object]]:
        reader = PluginRegistry().open_reader(database)
        try:
            return [dict(row) for row in reader.gaps()]
        finally:
            reader.close()

    rows = guarded(work)
    states: dict[str, int] = {}
    for row in rows:
        state = str(row["state"])
        states[state] = states.get(state, 0) + 1
    if as_json:
        print_json({"gaps": rows, "states": states})
    elif rows:
        show_rows(_HEAD, [_cells(row) for row in rows])
    else:
        say("no gaps")


def _cells(row: dict[str, object]) -> list[Cell]:
    return [
        f"{row['exchange']}:{row['market']}:{row['symbol']}:{row['data_type']}",
        "" if row["from_id"] is None else f"{row['from_id']}..{row['to_id']}",
        _time(row["from_ns"]),
        _time(row["to_ns"]),
        str(row["cause"]),
        str(row["state"]),
        str(row["recovered_count"]),
    ]


def _time(ns: object) -> str:
    return datetime_from_ns(ns).isoformat() if isinstance(ns, int) else ""
