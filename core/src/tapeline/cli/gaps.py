"""``tapeline gaps``: what is missing, and why."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tapeline.cli.output import guarded, print_json
from tapeline.model import datetime_from_ns
from tapeline.plugins import PluginRegistry


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
        return
    table = Table("stream", "ids", "from", "to", "cause", "state", "recovered")
    for row in rows:
        ids = "" if row["from_id"] is None else f"{row['from_id']}..{row['to_id']}"
        table.add_row(
            f"{row['exchange']}:{row['market']}:{row['symbol']}:{row['data_type']}",
            ids,
            _time(row["from_ns"]),
            _time(row["to_ns"]),
            str(row["cause"]),
            str(row["state"]),
            str(row["recovered_count"]),
        )
    Console().print(table)


def _time(ns: object) -> str:
    return datetime_from_ns(ns).isoformat() if isinstance(ns, int) else ""
