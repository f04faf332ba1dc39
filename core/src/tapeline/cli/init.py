"""``tapeline init``: a configuration to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tapeline.cli.output import guarded, say
from tapeline.config import template
from tapeline.errors import UsageError
from tapeline.plugins import PluginRegistry


def init(
    path: Annotated[
        Path, typer.Argument(help="Where to write the configuration.")
    ] = Path("tapeline.toml"),
) -> None:
    """Write a commented configuration; never over an existing file."""

    def work() -> None:
        target = path / "tapeline.toml" if path.is_dir() else path
        text = template(*_installed())
        try:
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise UsageError(
                f"expected a new file, found {target} there already; "
                "name another one, or remove it first"
            ) from None
        except FileNotFoundError:
            folder = target.parent
            raise UsageError(
                f"expected a folder to write {target.name} in, found none at {folder}; "
                f"make it first, e.g. 'mkdir -p {folder}'"
            ) from None
        except OSError as error:
            raise UsageError(
                f"expected to write {target}, found: {error.strerror}; "
                "name a file that can be written"
            ) from error
        say(f"wrote {target}; next: tapeline check {target}")

    guarded(work)


def _installed() -> tuple[list[str], str]:
    """The exchanges to write into the configuration, and the embedded database."""
    registry = PluginRegistry()
    exchanges = registry.first_exchanges()
    defaults = [name for name, sink in registry.sinks().items() if sink.default]
    # With several, one has to be named.
    return exchanges, defaults[0] if len(defaults) == 1 else ""
