"""``tapeline verify``: account for every trade in a database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tapeline.cli.output import FAILED, guarded, print_json, say
from tapeline.errors import UsageError
from tapeline.plugins import PluginRegistry
from tapeline.runtime import Accounts, audit


def verify(
    database: Annotated[str, typer.Option(help="Path or URL of the database.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="The data folder; it must hold the journal's files."),
    ] = None,
    ledger: Annotated[
        list[Path] | None,
        typer.Option(help="Ledger of a simulator; may be given several times."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.")
    ] = False,
) -> None:
    """Check that inside coverage every trade is stored once or in a recorded gap."""

    def work() -> Accounts:
        if data_dir is not None and not data_dir.is_dir():
            raise UsageError(f"expected a data folder, found none at {data_dir}")
        reader = PluginRegistry().open_reader(database)
        try:
            return audit(reader, ledger or ())
        finally:
            reader.close()

    accounts = guarded(work)
    if as_json:
        print_json(accounts.as_dict())
    else:
        show_accounts(accounts)
    if not accounts.ok:
        raise typer.Exit(FAILED)


def show_accounts(accounts: Accounts) -> None:
    """Print *accounts* as a table."""
    table = Table("stream", "covered", "stored", "in gaps", "lost", "twice", "")
    for stream in accounts.streams:
        lost = stream.unaccounted if stream.lost is None else stream.lost
        table.add_row(
            ":".join(stream.name),
            f"{stream.covered:,}",
            f"{stream.stored:,}",
            f"{stream.in_gaps:,}",
            f"{lost:,}",
            f"{stream.stored_twice:,}",
            "ok" if stream.ok else "NOT OK",
        )
    Console().print(table)
    for stream in accounts.streams:
        for example in stream.examples[:5]:
            say(f"{':'.join(stream.name)}: {example}")
    say("every trade is accounted for" if accounts.ok else "NOT everything is there")
