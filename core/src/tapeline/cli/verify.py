"""``tapeline verify``: account for every trade in a database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tapeline.cli.output import FAILED, guarded, print_json, say
from tapeline.cli.tables import Cell, show_rows
from tapeline.plugins import PluginRegistry
from tapeline.runtime import (
    Accounts,
    CandleAccounts,
    JournalAccount,
    StreamAccount,
    audit,
    compare_with_journal,
    compare_with_venue,
)

_HEAD = ("stream", "covered", "stored", "in gaps", "lost", "twice")
_WITH_LEDGER = ("invented", "altered")
_AROUND = ("outside", "uncovered", "")


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
    ledgers = ledger or []

    def work() -> tuple[Accounts, JournalAccount, CandleAccounts]:
        reader = PluginRegistry().open_reader(database)
        try:
            journal = compare_with_journal(reader, data_dir)
            return audit(reader, ledgers), journal, compare_with_venue(reader)
        finally:
            reader.close()

    accounts, journal, candles = guarded(work)
    found = hints(accounts, journal, bool(ledgers))
    compared = not ledgers or not _is_of_another(accounts)
    if as_json:
        print_json(
            {
                **accounts.as_dict(),
                "ok": accounts.ok and compared,
                **journal.as_dict(),
                "candles": candles.as_dict(),
                "hints": found,
            }
        )
    else:
        show_accounts(accounts, with_ledger=bool(ledgers), compared=compared)
        show_candles(candles)
        for hint in found:
            say(hint)
    if not (accounts.ok and compared):
        raise typer.Exit(FAILED)


def _is_of_another(accounts: Accounts) -> bool:
    """Whether a ledger that was given tells of none of the stored trades."""
    return bool(accounts.total("trades")) and not accounts.total("matched")


def hints(
    accounts: Accounts, journal: JournalAccount, with_ledger: bool
) -> Sequence[str]:
    """What a reader of *accounts* should know beside them, as sentences."""
    found: list[str] = []
    if with_ledger and _is_of_another(accounts):
        found.append(
            "no stored trade is one of the ledger's: is it the ledger of another run?"
        )
    if journal.foreign:
        found.append(
            f"nothing of journal {journal.journal_id} is in this database: is it the "
            "data folder of another run?"
        )
    if journal.waiting:
        found.append(
            f"{journal.waiting} rows of the journal are not in this database yet; "
            "'tapeline run' brings them"
        )
    return found


def show_accounts(
    accounts: Accounts, *, with_ledger: bool = False, compared: bool = True
) -> None:
    """Print *accounts* as a table; *compared*: the ledger tells of what is stored."""
    if not accounts.streams:
        say("no streams of trades")
    else:
        head = (*_HEAD, *(_WITH_LEDGER if with_ledger else ()), *_AROUND)
        show_rows(head, [_cells(stream, with_ledger) for stream in accounts.streams])
    for stream in accounts.streams:
        for example in stream.examples[:5]:
            say(f"{':'.join(stream.name)}: {example}")
    if not accounts.ok:
        say("NOT everything is there")
    elif compared:
        say("every trade is accounted for")
    else:
        say("NOTHING could be compared")


def show_candles(candles: CandleAccounts) -> None:
    """Print how our bars compare with the venues', and every recent mismatch."""
    for stream in candles.streams:
        parts = [
            f"{count} not judged as {state}"
            for state, count in sorted(stream.not_judged.items())
        ]
        parts += [
            f"{count} differ ({cause})"
            for cause, count in sorted(stream.causes.items())
        ]
        if stream.venue_missing:
            parts.append(f"{stream.venue_missing} without a bar of the venue")
        if stream.own_missing:
            parts.append(f"{stream.own_missing} of the venue without one of ours")
        rest = f"; {', '.join(parts)}" if parts else ""
        say(
            f"candles {stream.name}: {stream.matched} of {stream.compared} whole bars "
            f"equal the venue's{rest}"
        )
        for example in stream.examples[-5:]:
            say(example)


def _cells(stream: StreamAccount, with_ledger: bool) -> list[Cell]:
    lost = stream.unaccounted if stream.lost is None else stream.lost
    cells: list[Cell] = [
        ":".join(stream.name),
        stream.covered,
        stream.stored,
        stream.in_gaps,
        lost,
        stream.stored_twice,
    ]
    if with_ledger:
        unknown = stream.emitted is None
        cells.append("unknown" if unknown else stream.invented or 0)
        cells.append("unknown" if unknown else stream.altered or 0)
    return [*cells, stream.outside, stream.uncovered, "ok" if stream.ok else "NOT OK"]
