"""``tapeline new``: a plugin to begin with, which works as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tapeline.cli.output import guarded, print_json, say
from tapeline.cli.scaffold import Kind, package_files, read_name, write_package


def new(
    kind: Annotated[
        Kind, typer.Argument(help="What the plugin is for: exchange or sink.")
    ],
    name: Annotated[
        str, typer.Argument(help="Name of the plugin, e.g. acme or big_venue.")
    ],
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory",
            "-d",
            help="Folder to make; tapeline-NAME in this one when left out.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.")
    ] = False,
) -> None:
    """Write a new plugin, which installs, type-checks and passes as it is.

    An exchange speaks the protocol of a venue that does not exist and has a simulator
    of it; a sink stores lines of JSON durably. Every place to edit is marked.
    """

    def work() -> None:
        called = read_name(name)
        folder = Path(called.distribution) if directory is None else directory
        files = package_files(kind, called)
        write_package(files, folder)
        if as_json:
            print_json(
                {
                    "kind": kind.value,
                    "name": called.name,
                    "distribution": called.distribution,
                    "package": called.package,
                    "directory": str(folder),
                    "files": list(files),
                }
            )
            return
        say(f"wrote {len(files)} files to {folder}; next:")
        say(f"  pip install -e '{folder}[test]'")
        say(f"  tapeline certify {called.name}")
        say(f"then read {folder / 'README.md'}")

    guarded(work)
