"""``tapeline demo``: a whole run on this machine, checked against the truth."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import anyio
import attrs
import typer

from tapeline.cli.live_view import LiveView
from tapeline.cli.output import FAILED, guarded, print_json, run_async, say, warn
from tapeline.cli.run import wait_for_signal
from tapeline.cli.simulate import build_simulator, history_start_ns
from tapeline.collectors import CollectorManager
from tapeline.collectors.exchange import ExchangeCollector
from tapeline.config import structure_options
from tapeline.errors import ConfigError, UsageError, install_command
from tapeline.hookspecs import ExchangeAdapter
from tapeline.model import DataType
from tapeline.plugins import PluginRegistry
from tapeline.runtime import (
    Accounts,
    EngineSettings,
    SinkSettings,
    audit,
    compare_with_venue,
)
from tapeline.testing import (
    Fault,
    Ledger,
    LoopbackServer,
    Market,
    SimulatorBase,
)

_MARKER = ".tapeline-demo"
_SYMBOLS = ("BTC-USDT", "ETH-USDT")
_AUDITED = ("1s",)
_RATE_HZ = 40.0
_FIRST_CUT_S = 10.0
_CUT_EVERY_S = 30.0
_MAX_CUTS = 1_000


@attrs.define
class _Venue:
    name: str
    simulator: SimulatorBase
    ledger: Ledger
    ledger_path: Path


def demo(
    duration: Annotated[
        float,
        typer.Option(
            help="Stop after so many seconds; Ctrl-C stops it earlier.", min=3
        ),
    ] = 30.0,
    data_dir: Annotated[
        Path, typer.Option(help="Folder of the demo; an earlier demo in it is removed.")
    ] = Path("tapeline-demo"),
    seed: Annotated[int, typer.Option(help="Same seed, same market.")] = 0,
    faults: Annotated[
        bool,
        typer.Option(help="Also drop single frames and repeat others on the way."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document at the end.")
    ] = False,
) -> None:
    """Collect from simulated exchanges, cut the connection, check every trade."""
    guarded(lambda: _prepare_folder(data_dir))
    summary = run_async(lambda: _demo(duration, data_dir, seed, faults, as_json))
    if as_json:
        print_json(summary)
    else:
        _show(summary, data_dir)
    if not summary["ok"]:
        raise typer.Exit(FAILED)


def _prepare_folder(folder: Path) -> None:
    marker = folder / _MARKER
    try:
        if folder.exists() and any(folder.iterdir()):
            if not marker.exists():
                raise UsageError(
                    f"expected a new or empty folder for the demo, found {folder} with "
                    "files in it; name another one with --data-dir"
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        marker.write_text("made by 'tapeline demo'; removed by the next one\n")
    except OSError as error:
        raise UsageError(
            f"expected a folder that can be written at {folder}, found: "
            f"{error.strerror}"
        ) from error


def cut_script(duration: float) -> list[Fault]:
    """When the connections are torn: early enough to be seen to heal."""
    at_s = min(duration * 0.4, _FIRST_CUT_S)
    last_s = max(duration - _FIRST_CUT_S, at_s)
    script: list[Fault] = []
    while at_s <= last_s and len(script) < _MAX_CUTS:
        script.append(Fault(kind="abort", at_s=at_s))
        at_s += _CUT_EVERY_S
    return script


def _script(duration: float, faults: bool) -> list[Fault]:
    script = cut_script(duration)
    if faults:
        script += [
            Fault(kind="drop", channel="trades", probability=0.01),
            Fault(kind="duplicate", channel="trades", probability=0.02),
        ]
    return script


async def _demo(
    duration: float, folder: Path, seed: int, faults: bool, quiet: bool
) -> dict[str, Any]:
    registry = PluginRegistry()
    adapter = registry.default_sink()
    if adapter is None:
        raise UsageError(
            "expected an installed embedded database, found none; install one, e.g. "
            f"{install_command()}"
        )
    database = folder / "market.db"
    async with AsyncExitStack() as stack:
        venues: list[_Venue] = []
        manager = CollectorManager(
            "demo",
            sinks=[
                SinkSettings("local", adapter, _structure(adapter, path=str(database)))
            ],
            settings=EngineSettings(data_dir=folder, reconnect_delay_s=0.5),
        )
        for name, exchange in registry.exchanges().items():
            venue = _venue(exchange, name, folder, seed, _script(duration, faults))
            if venue is None:
                continue
            stack.callback(venue.ledger.close)
            server = await stack.enter_async_context(LoopbackServer(venue.simulator))
            venues.append(venue)
            manager.add_collector(_collector(exchange, name, server))
        if not venues:
            raise UsageError(
                "expected an installed exchange with a simulator, found none; install "
                f"one, e.g. {install_command()}"
            )
        await manager.start()
        if not quiet:
            names = ", ".join(venue.name for venue in venues)
            say(f"simulated {names}: {duration:g} s, or stop earlier with Ctrl-C")
        view = LiveView(manager, venues=[venue.name for venue in venues], quiet=quiet)
        with anyio.move_on_after(duration):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait_for_signal, tasks.cancel_scope)
                # Runs until the duration or a signal ends it.
                tasks.start_soon(view.run)
        status = manager.get_status()
        with anyio.CancelScope(shield=True):
            # Bounded by the manager's own deadlines.
            await manager.stop()
        for venue in venues:
            venue.ledger.flush()
    return _summary(registry, str(database), venues, status, seed)


def _venue(
    adapter: ExchangeAdapter,
    name: str,
    folder: Path,
    seed: int,
    script: Sequence[Fault],
) -> _Venue | None:
    path = folder / f"ledger-{name}.jsonl"
    ledger = Ledger(path)
    market = Market(seed, rate_hz=_RATE_HZ, start_ns=history_start_ns())
    simulator = build_simulator(adapter, market, list(script), ledger)
    if not isinstance(simulator, SimulatorBase):
        ledger.close()
        return None
    return _Venue(name, simulator, ledger, path)


def _collector(
    adapter: ExchangeAdapter, name: str, server: LoopbackServer
) -> ExchangeCollector:
    return ExchangeCollector(
        name,
        list(_SYMBOLS),
        [DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLE],
        component_name=f"{name}-demo",
        custom_params={"timeframes": ["1s", "1m"], "venue_timeframes": _AUDITED},
        adapter=adapter,
        config=_structure(adapter, ws_url=server.ws_base, rest_url=server.rest_base),
    )


def _structure(adapter: Any, **options: str) -> Any:
    config, problems = structure_options(adapter.config, options, "demo", {})
    if problems:
        raise ConfigError(problems)
    return config


def _summary(
    registry: PluginRegistry,
    database: str,
    venues: Sequence[_Venue],
    status: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    reader = registry.open_reader(database)
    try:
        accounts = audit(reader, [venue.ledger_path for venue in venues])
        candles = compare_with_venue(reader)
    finally:
        reader.close()
    engine = status["engine"] or {}
    by_limit: Counter[str] = Counter()
    for venue in venues:
        for name, count in venue.simulator.police.violations.items():
            by_limit[f"{venue.name} {name}"] += count
    violations = by_limit.total()
    streams = engine.get("streams", {}).values()
    emitted = accounts.total("emitted")
    gaps = _gap_counts(accounts)
    return {
        "seed": seed,
        "database": database,
        "ledgers": [str(venue.ledger_path) for venue in venues],
        "exchanges": [venue.name for venue in venues],
        "trades_emitted": emitted,
        "trades_stored": accounts.total("fills_stored"),
        "trades_in_gaps": accounts.total("fills_in_gaps"),
        "trades_lost": accounts.total("lost"),
        "trades_stored_twice": accounts.total("stored_twice"),
        "duplicates": sum(stream.get("duplicates", 0) for stream in streams),
        "candles_stored": accounts.counts.get("market_data", 0),
        "candles": {
            "compared": candles.compared,
            "matched": candles.matched,
            "match_rate": candles.match_rate,
            "examples": [one for s in candles.streams for one in s.examples[-5:]],
        },
        "tickers_stored": accounts.counts.get("tickers", 0),
        "books_stored": accounts.counts.get("order_books", 0),
        "gaps": gaps,
        "reconnects": sum(
            feed["reconnects"] for feed in engine.get("feeds", {}).values()
        ),
        "limit_violations": violations,
        "violations_by_limit": dict(by_limit),
        "ok": accounts.ok
        and violations == 0
        and gaps["open"] == 0
        and emitted > 0
        and candles.matched == candles.compared
        and bool(accounts.streams),
    }


def _gap_counts(accounts: Accounts) -> dict[str, int]:
    states = accounts.gaps
    return {
        "opened": sum(states.values()),
        "closed": states.get("closed", 0),
        "open": states.get("open", 0) + states.get("backfilling", 0),
        "unrecoverable": states.get("unrecoverable", 0),
    }


def _show(summary: dict[str, Any], folder: Path) -> None:
    say(
        f"{summary['trades_emitted']:,} fills made by the venue inside coverage: "
        f"{summary['trades_stored']:,} stored once, "
        f"{summary['trades_in_gaps']:,} in recorded gaps, "
        f"{summary['trades_lost']:,} lost; "
        f"{summary['duplicates']:,} duplicates dropped"
    )
    say(
        f"{summary['candles_stored']:,} candles, "
        f"{summary['tickers_stored']:,} tickers, "
        f"{summary['books_stored']:,} books; {summary['reconnects']} reconnects, "
        f"{summary['limit_violations']} limit violations"
    )
    candles = summary["candles"]
    say(
        f"{candles['matched']:,} of {candles['compared']:,} whole candles equal those "
        "of the venues"
    )
    for example in candles["examples"]:
        say(example)
    say(f"look at it: tapeline verify --database {folder / 'market.db'}")
    say(f"            tapeline gaps --database {folder / 'market.db'}")
    if summary["ok"]:
        say("ok: every trade is accounted for")
    else:
        sys.stdout.flush()
        warn("tapeline: NOT ok: see the figures above")
