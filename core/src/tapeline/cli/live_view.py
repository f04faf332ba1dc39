"""The live view: streams, and gaps as they open and close; plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import attrs
from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.table import Table

from tapeline.cli.output import say
from tapeline.collectors import CollectorManager
from tapeline.delivery import SinkRunner
from tapeline.model import CLOSED, UNRECOVERABLE, DataType, Subscription
from tapeline.runtime import Engine, GapBoard, GapNews

_REFRESH_S = 0.5
_LINE_S = 2.0
_GAPS_SHOWN = 8
_LINES_OF_GAPS = 4
_JUST_NOW_S = 1.5
_GAP_COLUMNS = {"gap": 36, "cause": 10, "size": 8, "state": 19, "for": 7}


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
        engine = manager.engine
        self._gaps = None if engine is None else engine.watch_gaps()
        self._gaps_seen = 0

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
                streams = self._table(self.rows(_REFRESH_S))
                live.update(Group(streams, gap_table(self._gaps)))

    async def _run_lines(self) -> None:
        while True:
            await anyio.sleep(_LINE_S)
            rows = self.rows(_LINE_S)
            rate = sum(row.rate for row in rows)
            live = sum(row.state in ("live", "quiet") for row in rows)
            lags = [row.lag_ms for row in rows if row.lag_ms is not None]
            lag = f"{max(lags):.0f} ms" if lags else "unknown"
            for line in self._gap_lines():
                say(line)
            say(
                f"{', '.join(self._venues)}: {live} of {len(rows)} streams live, "
                f"{rate:.0f} events/s, worst lag {lag}, {gap_counts(self._gaps)}"
            )

    def _gap_lines(self) -> list[str]:
        """The open gaps, and those that have ended since the last call, newest last."""
        board = self._gaps
        if board is None:
            return []
        ended = board.closed + board.unrecoverable
        news, self._gaps_seen = ended - self._gaps_seen, ended
        shown = list(board.ended[: min(news, _LINES_OF_GAPS)])[::-1]
        shown += board.open[:_LINES_OF_GAPS]
        lines = [f"  gap {_told(one)}" for one in shown]
        if news > _LINES_OF_GAPS:
            more = news - _LINES_OF_GAPS
            lines.insert(0, f"  {more} more gaps closed or given up")
        return lines

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


def gap_counts(board: GapBoard | None) -> str:
    """How many gaps are open, and what became of the others."""
    if board is None:
        return "no gaps"
    return (
        f"gaps: {len(board.open)} open, {board.opened} opened, {board.closed} closed, "
        f"{board.unrecoverable} given up"
    )


def gap_table(board: GapBoard | None) -> Table:
    """The open gaps, then the newest that were closed or given up."""
    table = Table(title=gap_counts(board), title_justify="left")
    for name, width in _GAP_COLUMNS.items():
        justify: JustifyMethod = "right" if name in ("size", "for") else "left"
        table.add_column(name, justify=justify, min_width=width)
    if board is None:
        return table
    found = [*board.open[:_GAPS_SHOWN], *board.ended]
    for news in found[:_GAPS_SHOWN]:
        ended = news.gap.state in (CLOSED, UNRECOVERABLE)
        fresh = ended and news.age_s < _JUST_NOW_S
        table.add_row(
            str(news.gap.stream),
            news.gap.cause,
            news.size,
            _state(news),
            f"{news.age_s:.1f} s",
            style="bold green" if fresh else "dim" if ended else "bold yellow",
        )
    # Always as high, so that what stands below does not jump.
    for _ in range(_GAPS_SHOWN - len(found)):
        table.add_row("", "", "", "", "")
    return table


def _state(news: GapNews) -> str:
    after = f" after {news.lasted_s:.1f} s" if news.lasted_s else ""
    return f"{news.gap.state}{after}"


def _told(news: GapNews) -> str:
    gap = news.gap
    return f"{_state(news)}: {gap.stream}, {news.size}, cause {gap.cause}"
