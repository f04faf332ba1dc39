"""``tapeline simulate``: a venue on this machine, for anybody's client."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import anyio
import typer

from tapeline.cli.output import guarded, run_async, say
from tapeline.cli.run import wait_for_signal
from tapeline.clock import SystemClock
from tapeline.errors import UsageError
from tapeline.hookspecs import ExchangeAdapter, SimulatedExchange
from tapeline.plugins import PluginRegistry
from tapeline.testing import (
    Fault,
    Ledger,
    LoopbackServer,
    Market,
    SimulatorBase,
    load_faults,
)

HISTORY_NS = 60 * 10**9


def history_start_ns() -> int:
    """A minute ago, on a whole second: equal seeds make equal markets from there."""
    start_ns = SystemClock().wall_ns() - HISTORY_NS
    return start_ns - start_ns % 10**9


def build_simulator(
    adapter: ExchangeAdapter, market: Market, faults: list[Fault], ledger: Ledger | None
) -> SimulatedExchange:
    """The simulator of *adapter*.

    Raises:
        UsageError: the plugin offers none.
    """
    simulator = adapter.simulator(market, faults=faults, ledger=ledger)
    if simulator is None:
        raise UsageError(
            f"expected an exchange with a simulator, found {adapter.name!r}, "
            "whose plugin offers none"
        )
    return simulator


def simulate(
    exchange: Annotated[str, typer.Argument(help="Name of the exchange.")],
    port: Annotated[
        int,
        typer.Option(
            help="Port on 127.0.0.1; 0 lets the system choose.", min=0, max=65535
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Same seed, same market.")] = 0,
    rate: Annotated[
        float, typer.Option(help="Mean fills per second of each instrument.", min=0)
    ] = 5.0,
    faults: Annotated[
        Path | None, typer.Option(help="Fault script, JSON or TOML.")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="Write every fill here, one JSON a line.")
    ] = None,
) -> None:
    """Serve a simulated exchange on this machine until Ctrl-C."""

    def prepare() -> tuple[SimulatedExchange, ExitStack]:
        adapter = PluginRegistry().exchange(exchange)
        script = [] if faults is None else list(load_faults(faults))
        with ExitStack() as stack:
            book = None if ledger is None else stack.enter_context(Ledger(ledger))
            market = Market(seed, rate_hz=rate, start_ns=history_start_ns())
            simulator = build_simulator(adapter, market, script, book)
            return simulator, stack.pop_all()

    simulator, stack = guarded(prepare)
    with stack:
        run_async(lambda: _serve(exchange, simulator, port))


async def _serve(exchange: str, simulator: SimulatedExchange, port: int) -> None:
    async with LoopbackServer(simulator, port=port) as server:
        say(
            f"{exchange} simulator: ws_url = {server.ws_base!r}, "
            f"rest_url = {server.rest_base!r}"
        )
        async with anyio.create_task_group() as tasks:
            # Until a signal comes: it serves for as long as somebody wants it.
            await wait_for_signal(tasks.cancel_scope)
    if isinstance(simulator, SimulatorBase):
        say(
            f"{simulator.emitted} fills, {simulator.opened} connections, "
            f"{simulator.police.total} limit violations by clients"
        )
        for name, count in sorted(simulator.police.violations.items()):
            say(f"violated {name}: {count}")
