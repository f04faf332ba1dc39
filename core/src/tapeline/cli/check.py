"""``tapeline check``: is this configuration usable, and does it connect?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tapeline.cli.output import guarded, run_async, say
from tapeline.config import TapelineConfig, load_config
from tapeline.errors import ConfigError, TapelineError, UnknownSymbol
from tapeline.plugins import PluginRegistry
from tapeline.runtime import fetch_instruments, system_seams


def check(
    config: Annotated[Path, typer.Argument(help="The configuration file.")],
    connect: Annotated[
        bool,
        typer.Option(help="Also ask the venues for their instruments."),
    ] = False,
) -> None:
    """Check a configuration and name every problem at once."""
    registry = PluginRegistry()
    loaded = guarded(lambda: load_config(config, registry, os.environ))
    count = len(loaded.collectors)
    say(f"{config}: {count} collectors, {len(loaded.sinks)} sinks, no problems found")
    if connect:
        run_async(lambda: _connect(loaded, registry))
        say("every venue answered and lists every symbol")


async def _connect(config: TapelineConfig, registry: PluginRegistry) -> None:
    problems: list[tuple[str, str]] = []
    for name, section in config.collectors.items():
        adapter = registry.exchange(section.exchange)
        try:
            found = await fetch_instruments(
                adapter, section.options, section.market, system_seams()
            )
        except TapelineError as error:
            problems.append((f"collectors.{name}.exchange", str(error)))
            continue
        listed = {instrument.symbol for instrument in found}
        for symbol in section.symbols:
            if symbol not in listed:
                unknown = UnknownSymbol(
                    section.exchange, section.market, symbol, listed
                )
                problems.append((f"collectors.{name}.symbols", str(unknown)))
    if problems:
        raise ConfigError(problems)
