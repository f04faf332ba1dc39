"""``tapeline plugins``: what is installed, and why something is not usable."""

from __future__ import annotations

from typing import Annotated

import typer

from tapeline.cli.output import guarded, print_json
from tapeline.cli.tables import Cell, show_rows
from tapeline.plugins import PluginRegistry

_HEAD = ("plugin", "distribution", "state", "offers", "reason")


def plugins(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.")
    ] = False,
) -> None:
    """List the installed plugins, their state and what they offer."""

    def work() -> None:
        registry = PluginRegistry()
        registry.load_all()
        records = registry.records()
        if as_json:
            print_json({"plugins": [record.as_dict() for record in records]})
            return
        rows: list[list[Cell]] = []
        for record in records:
            offers = [exchange.name for exchange in record.exchanges]
            offers += [sink.name for sink in record.sinks]
            rows.append(
                [
                    record.name,
                    f"{record.distribution} {record.version}",
                    str(record.state.value),
                    ", ".join(offers),
                    record.reason,
                ]
            )
        show_rows(_HEAD, rows)

    guarded(work)
