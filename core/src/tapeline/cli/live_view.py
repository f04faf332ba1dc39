"""The live view: rates, lag and state per subscription; plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import attrs
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tapeline.cli.output import say
from tapeline.collectors import CollectorManager
from tapeline.delivery import SinkRunner
from tapeline.model import DataType, Subscription
from tapeline.runtime import Engine

_REFRESH_S = 0.5
_LINE_S = 2.0


@attrs.frozen
class StreamRow:
    """What is shown of one stream.

    Args:
        rate: accepted events a second since the last look.
        lag_ms: receive time minus exchange time of the newest event; None for
            candles, whose time is that of their opening.
        matched: of a stream of candles: bars of ours that equal the venue's, and
            those compared.
    """

    subscription: Subscription
    state: str
    rate: float
    lag_ms: float | None
    events: int
    open_gaps: int
    matched: str = ""


class LiveView:
    """Shows a running manager until it is cancelled.

    Args:
        quiet: show nothing (the summary is wanted as JSON).
    """

    def __init__(
        self,
        manager: CollectorManager,
        *,
        venues: Sequence[str],
        quiet: bool = False,
        console: Console | None = None,
    ) -> None:
        self._manager = manager
        self._venues = venues
        self._quiet = quiet
        self._console = console or Console()
        self._seen: dict[Subscription, int] = {}

    async def run(self) -> None:
        """Show until cancelled."""
        if self._quiet:
            await anyio.sleep_forever()
        if self._console.is_terminal:
            await self._run_table()
        await self._run_lines()

    def rows(self, passed_s: float) -> list[StreamRow]:
        """One row a stream, ordered by name; rates over the last *passed_s*."""
        engine = self._manager.engine
        if engine is None:
            return []
        states = _states(engine)
        gaps = engine.ledger.open_gaps()
        rows: list[StreamRow] = []
        for subscription, stream in engine.pipeline.streams.items():
            before = self._seen.get(subscription, 0)
            self._seen[subscription] = stream.accepted
            received = getattr(stream.last, "received_ns", None)
            happened = getattr(stream.last, "exchange_ns", None)
            lag_ms = None
            is_candle = subscription.data_type == DataType.CANDLE
            if received is not None and happened is not None and not is_candle:
                lag_ms = (received - happened) / 1e6
            rows.append(
                StreamRow(
                    subscription,
                    states.get(subscription, "unknown"),
                    (stream.accepted - before) / passed_s,
                    lag_ms,
                    stream.accepted,
                    sum(gap.stream == subscription for gap in gaps),
                    engine.audits.matched(subscription),
                )
            )
        return sorted(rows, key=lambda row: str(row.subscription))

    async def _run_table(self) -> None:
        with Live(console=self._console, refresh_per_second=4, transient=True) as live:
            while True:
                await anyio.sleep(_REFRESH_S)
                live.update(self._table(self.rows(_REFRESH_S)))

    async def _run_lines(self) -> None:
        while True:
            await anyio.sleep(_LINE_S)
            rows = self.rows(_LINE_S)
            rate = sum(row.rate for row in rows)
            live = sum(row.state in ("live", "quiet") for row in rows)
            lags = [row.lag_ms for row in rows if row.lag_ms is not None]
            lag = f"{max(lags):.0f} ms" if lags else "unknown"
            say(
                f"{', '.join(self._venues)}: {live} of {len(rows)} streams live, "
                f"{rate:.0f} events/s, worst lag {lag}, "
                f"{sum(row.open_gaps for row in rows)} gaps open"
            )

    def _table(self, rows: Sequence[StreamRow]) -> Table:
        table = Table(title=f"tapeline: {', '.join(self._venues)} (Ctrl-C to stop)")
        for name in ("stream", "state", "events/s", "lag", "events", "gaps", "matched"):
            table.add_column(
                name, justify="left" if name in ("stream", "state") else "right"
            )
        for row in rows:
            table.add_row(
                str(row.subscription),
                row.state,
                f"{row.rate:.1f}",
                "" if row.lag_ms is None else f"{row.lag_ms:.0f} ms",
                f"{row.events:,}",
                str(row.open_gaps),
                row.matched,
            )
        for name, runner in self._runners().items():
            status = runner.status()
            table.add_row(f"sink {name}", str(status["state"]), "", "", "", "", "")
        return table

    def _runners(self) -> dict[str, SinkRunner]:
        engine = self._manager.engine
        return {} if engine is None else dict(engine.runners)


def _states(engine: Engine) -> dict[Subscription, str]:
    states: dict[Subscription, str] = {}
    for name in engine.feeds:
        for stream in engine.link_status(name).subscriptions:
            states[stream.subscription] = stream.state.value
    return states
