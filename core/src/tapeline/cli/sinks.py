"""``tapeline sinks``: how far each sink is, and what it refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tapeline.cli.output import guarded, print_json, say
from tapeline.cli.tables import Cell, show_rows
from tapeline.config import load_config
from tapeline.errors import UsageError, did_you_mean, one_of
from tapeline.plugins import PluginRegistry
from tapeline.runtime import (
    SinkAccount,
    SinkRequest,
    SinksAccount,
    account_of_sinks,
    ask,
    current_seams,
)

_DEFAULT_DIR = Path("data")
_HEAD = ("sink", "state", "waiting", "bytes", "behind", "given up", "refused", "reason")


def sinks(
    config: Annotated[
        Path | None,
        typer.Argument(help="The configuration file; its data_dir is looked at."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="The data folder, without a configuration.")
    ] = None,
    retry: Annotated[
        list[str] | None,
        typer.Option(help="Give this sink once more what it refused."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Forget what this sink refused; its gaps stay."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.")
    ] = False,
) -> None:
    """Show state, lag and dead letters of every sink; try dead letters again."""

    def work() -> tuple[SinksAccount, list[SinkRequest]]:
        folder = _folder(config, data_dir)
        account = account_of_sinks(folder, current_seams().clock.wall_ns())
        requests = [
            *(_request("retry", name, account) for name in retry or ()),
            *(_request("drop", name, account) for name in drop or ()),
        ]
        if requests:
            ask(folder, requests)
        return account, requests

    account, requests = guarded(work)
    if as_json:
        asked = [{"action": one.action, "sink": one.sink} for one in requests]
        print_json({**account.as_dict(), "asked": asked})
        return
    _show(account)
    for request in requests:
        when = "now" if account.running else "at the next start"
        word = "tried again" if request.action == "retry" else "forgotten"
        say(f"{request.sink}: what it refused is {word} {when}")


def _folder(config: Path | None, data_dir: Path | None) -> Path:
    if data_dir is not None:
        if config is not None:
            raise UsageError(
                "expected a configuration or --data-dir, found both; name one"
            )
        return data_dir
    if config is None:
        return _DEFAULT_DIR
    return load_config(config, PluginRegistry(), os.environ).runtime.data_dir


def _request(action: str, name: str, account: SinksAccount) -> SinkRequest:
    known = {sink.name: sink for sink in account.sinks}
    if name not in known:
        raise UsageError(
            f"expected a sink ({one_of(known)}), found {name!r}"
            f"{did_you_mean(name, known)}"
        )
    if not known[name].dead_letters:
        raise UsageError(
            f"expected dead letters of sink {name!r} in the journal, found none; "
            "a database keeps its own in the table tapeline_dead_letters"
        )
    return SinkRequest(action, name)


def _show(account: SinksAccount) -> None:
    if account.running:
        say(f"journal {account.journal_id}, collected by process {account.pid}")
    else:
        say(f"journal {account.journal_id}, no collection is running")
    if not account.sinks:
        say("no sinks")
        return
    show_rows(_HEAD, [_cells(sink) for sink in account.sinks])
    for sink in account.sinks:
        for letter in sink.letters:
            say(
                f"{sink.name} refused position {letter.position}, ordinal "
                f"{letter.ordinal}: {letter.reason}"
            )


def _cells(sink: SinkAccount) -> list[Cell]:
    return [
        sink.name,
        sink.state,
        sink.lag_rows,
        sink.lag_bytes,
        f"{sink.lag_seconds:.1f} s",
        sink.given_up_rows,
        sink.dead_letters + sink.retrying,
        sink.reason,
    ]
