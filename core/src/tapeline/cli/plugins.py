"""``tapeline plugins``: what is installed, and why something is not usable."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tapeline.cli.output import guarded, print_json
from tapeline.plugins import PluginRegistry


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
        table = Table("plugin", "distribution", "state", "offers", "reason")
        for record in records:
            offers = [exchange.name for exchange in record.exchanges]
            offers += [sink.name for sink in record.sinks]
            table.add_row(
                record.name,
                f"{record.distribution} {record.version}",
                str(record.state.value),
                ", ".join(offers),
                record.reason,
            )
        Console().print(table)

    guarded(work)
