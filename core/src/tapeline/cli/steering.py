"""``tapeline restart|enable|disable``: steers a running collection."""

from __future__ import annotations

from typing import Annotated

import typer

from tapeline.cli.output import FAILED, guarded, say, warn
from tapeline.cli.service_client import ServiceClient, Url
from tapeline.errors import TapelineError

Name = Annotated[str, typer.Argument(help="The collector.")]


def restart(
    name: Annotated[
        str | None, typer.Argument(help="The collector; all of them when left out.")
    ] = None,
    url: Url = None,
) -> None:
    """Restart a collector of a running collection; the others do not notice.

    The token of the service is taken from TAPELINE_TOKEN.
    """
    client = ServiceClient(url)
    if name is not None:
        guarded(lambda: client.change(name, "restart"))
        say(f"{name} restarted")
        return
    failed = False
    for one in guarded(client.status)["collectors"]:
        try:
            client.change(one, "restart")
        except TapelineError as error:
            failed = True
            warn(f"tapeline: {error}")
        else:
            say(f"{one} restarted")
    if failed:
        raise typer.Exit(FAILED)


def enable(name: Name, url: Url = None) -> None:
    """Let a collector of a running collection run again.

    The token of the service is taken from TAPELINE_TOKEN.
    """
    client = ServiceClient(url)
    guarded(lambda: client.change(name, "enable"))
    say(f"{name} enabled")


def disable(name: Name, url: Url = None) -> None:
    """Stop a collector of a running collection and keep it.

    The token of the service is taken from TAPELINE_TOKEN.
    """
    client = ServiceClient(url)
    guarded(lambda: client.change(name, "disable"))
    say(f"{name} disabled")
