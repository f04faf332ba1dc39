"""``tapeline replay``: recordings into a database, through the same parser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tapeline.cli.output import guarded, print_json, run_async, say, warn
from tapeline.cli.targets import sink_for_database
from tapeline.config import structure_options
from tapeline.errors import ConfigError, UsageError
from tapeline.hookspecs import ExchangeAdapter
from tapeline.model import TIMEFRAMES, width_ns
from tapeline.plugins import PluginRegistry
from tapeline.runtime import ReplayReport, expand_recordings, replay
from tapeline.runtime.replay import Replayer, read_instrument_files


def replay_command(
    files: Annotated[
        list[Path],
        typer.Argument(help="Recordings, gzipped or not, or folders of them."),
    ],
    exchange: Annotated[str, typer.Option(help="The exchange that they are of.")],
    database: Annotated[str, typer.Option(help="Path or URL of the database.")],
    market: Annotated[
        str | None, typer.Option(help="Only this market; all by default.")
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(help="Only these symbols, separated by commas.")
    ] = None,
    timeframes: Annotated[
        str | None,
        typer.Option(help="Build these candles from the trades, e.g. 1s,1m."),
    ] = None,
    instruments: Annotated[
        list[Path] | None,
        typer.Option(help="Recording with the venue's instrument list."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.")
    ] = False,
) -> None:
    """Replay recordings into a database; nothing is fetched."""
    registry = PluginRegistry()

    def prepare() -> tuple[list[Path], Replayer]:
        adapter = registry.exchange(exchange)
        widths = _split(timeframes)
        for timeframe in widths:
            width_ns(timeframe)
        if market is not None and market not in adapter.capabilities.markets:
            offered = ", ".join(adapter.capabilities.markets)
            raise UsageError(
                f"expected a market of {exchange} ({offered}), found {market!r}"
            )
        paths = expand_recordings(files)
        return paths, Replayer(
            adapter,
            _config(adapter),
            market=market,
            symbols=_split(symbols) or None,
            timeframes=[name for name in TIMEFRAMES if name in widths],
            instruments=read_instrument_files(
                adapter, expand_recordings(instruments or ())
            ),
        )

    paths, replayer = guarded(prepare)
    report = run_async(lambda: _replay(registry, paths, replayer, database))
    if replayer.missing_symbols:
        warn(f"not in the recording: {', '.join(replayer.missing_symbols)}")
    if not replayer.pipeline.streams:
        warn(f"nothing in the recording is a stream of {exchange} that can be stored")
    if as_json:
        print_json(report.as_dict())
        return
    for stream, totals in report.trades.items():
        say(
            f"{stream}: {totals.trades} trades ({totals.fills} fills), "
            f"ids {totals.first_id}..{totals.last_id}, size {totals.size}"
        )
    for name, book in report.books.items():
        say(f"{name}: {book}")
    for reason, count in sorted(report.malformed.items()):
        say(f"not used, {reason}: {count}")
    say(f"{report.stored} records stored in {database}")


async def _replay(
    registry: PluginRegistry, files: list[Path], replayer: Replayer, database: str
) -> ReplayReport:
    sink = sink_for_database(registry, database)
    try:
        return await replay(files, replayer, sink)
    finally:
        await sink.close()


def _config(adapter: ExchangeAdapter) -> Any:
    config, problems = structure_options(adapter.config, {}, "options", {})
    if problems:
        raise ConfigError(problems)
    return config


def _split(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
