"""``tapeline status``: how a running collection is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import anyio
import typer

from tapeline.cli.output import FAILED, guarded, print_json, say
from tapeline.cli.service_client import ServiceClient, Url
from tapeline.cli.tables import Cell, show_rows
from tapeline.errors import UsageError, did_you_mean, one_of

_COLLECTORS = ("collector", "state", "received", "errors", "restarts", "data", "error")
_STREAMS = ("stream", "state", "events", "last", "collector")
_SINKS = ("sink", "state", "stored", "waiting", "behind", "refused", "reason")


def status(
    name: Annotated[
        str | None, typer.Argument(help="One collector; all of them when left out.")
    ] = None,
    url: Url = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.")
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(help="Look again after so many seconds, until Ctrl-C.", min=0.2),
    ] = None,
) -> None:
    """Show collectors, streams and sinks of a running collection.

    Ends with 1 when the collection is not ready: required data does not flow.
    """
    client = ServiceClient(url)
    if as_json and every is not None:
        guarded(_refuse_both)
    while True:
        shown = guarded(lambda: _narrowed(client.status(), name))
        if as_json:
            print_json(shown)
        else:
            _show(shown)
        if every is None:
            break
        try:
            anyio.run(anyio.sleep, every)
        except KeyboardInterrupt:
            break
    if not shown["health"]["ready"]:
        raise typer.Exit(FAILED)


def _refuse_both() -> None:
    raise UsageError(
        "expected --json or --every, found both; --json prints one document"
    )


def _narrowed(shown: dict[str, Any], name: str | None) -> dict[str, Any]:
    """*shown* with collector *name* alone, when one is named."""
    if name is None:
        return shown
    collectors = shown["collectors"]
    if name not in collectors:
        raise UsageError(
            f"expected a collector ({one_of(collectors)}), found {name!r}"
            f"{did_you_mean(name, collectors)}"
        )
    engine = shown["engine"]
    if engine is not None:
        feeds = {key: feed for key, feed in engine["feeds"].items() if key == name}
        engine = {**engine, "feeds": feeds}
    return {**shown, "collectors": {name: collectors[name]}, "engine": engine}


def _show(shown: dict[str, Any]) -> None:
    health = shown["health"]
    say(f"{shown['manager_name']}: {health['level']}")
    for issue in health["issues"]:
        say(f"  {issue}")
    for warning in health["warnings"]:
        say(f"  warning: {warning}")
    show_rows(_COLLECTORS, list(_collector_rows(shown)))
    engine = shown["engine"]
    if engine is None:
        return
    streams = list(_stream_rows(engine))
    if streams:
        show_rows(_STREAMS, streams)
    sinks = list(_sink_rows(engine))
    if sinks:
        show_rows(_SINKS, sinks)


def _collector_rows(shown: dict[str, Any]) -> Iterator[list[Cell]]:
    for name, one in shown["collectors"].items():
        figures = one["statistics"]
        yield [
            name,
            one["status"],
            figures["messages_received"],
            figures["errors"],
            figures["restarts"],
            _ago(one["health"]["time_since_data"]),
            figures["last_error"] or "" if one["status"] != "running" else "",
        ]


def _stream_rows(engine: dict[str, Any]) -> Iterator[list[Cell]]:
    for name, feed in engine["feeds"].items():
        for one in feed["subscriptions"]:
            yield [
                one["subscription"],
                one["state"],
                one["events"],
                _ago(one["age_s"]),
                name,
            ]


def _sink_rows(engine: dict[str, Any]) -> Iterator[list[Cell]]:
    for name, one in engine["sinks"].items():
        yield [
            name,
            one["state"],
            one["records"],
            one["lag_rows"],
            f"{one['lag_seconds']:.1f} s",
            one["dead_letters"],
            one["reason"],
        ]


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s ago"
