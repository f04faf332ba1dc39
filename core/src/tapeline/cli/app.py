"""The ``tapeline`` command: one function a subcommand, each in its own file."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer

from tapeline.cli.certify import certify
from tapeline.cli.check import check
from tapeline.cli.demo import demo
from tapeline.cli.gaps import gaps
from tapeline.cli.init import init
from tapeline.cli.new import new
from tapeline.cli.output import Debug, say
from tapeline.cli.plugins import plugins
from tapeline.cli.record import record
from tapeline.cli.replay import replay_command
from tapeline.cli.run import run
from tapeline.cli.simulate import simulate
from tapeline.cli.sinks import sinks
from tapeline.cli.status import status
from tapeline.cli.steering import disable, enable, restart
from tapeline.cli.verify import verify

app = typer.Typer(
    name="tapeline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"tapeline {metadata.version('tapeline')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and end.",
            callback=_show_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Collect crypto market data around the clock, and prove what was collected.

    Add --debug to any command for tracebacks.
    """


app.command()(demo)
app.command()(init)
app.command()(check)
app.command()(run)
app.command()(plugins)
app.command()(certify)
app.command()(new)
app.command()(record)
app.command("replay")(replay_command)
app.command()(simulate)
app.command()(verify)
app.command()(gaps)
app.command()(status)
app.command()(restart)
app.command()(enable)
app.command()(disable)
app.command()(sinks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exits with 0, 1 (failed at run time) or 2 (wrong usage)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    Debug.on = "--debug" in given
    # Callbacks are modules of the user's, mostly in the folder that the command is
    # given in. Last, so that no file there stands in for a module of somebody else.
    with contextlib.suppress(OSError):
        if "" not in sys.path and os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
    app(args=[word for word in given if word != "--debug"], prog_name="tapeline")
