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

    def work() -> TapelineConfig:
        found = load_config(config, registry, os.environ)
        problems = sink_problems(found, registry)
        if problems:
            raise ConfigError(problems, str(config))
        return found

    loaded = guarded(work)
    count = len(loaded.collectors)
    say(f"{config}: {count} collectors, {len(loaded.sinks)} sinks, no problems found")
    if not any(section.enabled for section in loaded.collectors.values()):
        say("no collector is enabled, so 'tapeline run' would have nothing to do")
    if connect:
        run_async(lambda: _connect(loaded, registry))
        say("every venue answered and lists every symbol")


def sink_problems(
    config: TapelineConfig, registry: PluginRegistry
) -> list[tuple[str, str]]:
    """What the sinks themselves say about their options; nothing is opened."""
    problems: list[tuple[str, str]] = []
    for name, section in config.sinks.items():
        ask = getattr(registry.sink(section.use), "check", None)
        problem = ask(section.options) if callable(ask) else None
        if problem:
            problems.append((f"sinks.{name}", problem))
    return problems


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
