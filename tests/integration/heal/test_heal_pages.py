"""Gaps of an exact size, filled by the real adapters from a simulated history."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import attrs
import pytest

from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.model import Gap, Record, Request, Response, Subscription, Trade
from tapeline.plugins import PluginRegistry
from tapeline.runtime.backfiller import Backfiller, BackfillSettings
from tapeline.runtime.healing import Healer
from tapeline.runtime.pipeline import Output, Pipeline
from tapeline.testing import Fault, Market, MemoryVenue, VirtualClock, run_virtual
from tapeline.transport import BudgetKeeper, RestClient

EVERY = pytest.mark.parametrize(
    "venue", ["okx", "binance", "binance-fills", "binance-swap"], indirect=True
)
HISTORY_S = 150.0
TIMES_OUT_S = 3_600.0


@attrs.define
class Result:
    """What became of one gap.

    Args:
        known: every id that the venue has, rising.
        stored: ids that were stored, rising; one that is stored twice is there twice.
        gaps: the last row of every gap, by id.
        revisions: all rows of gaps.
        queries: of the requests for history, in order.
    """

    known: Sequence[int]
    stored: list[int] = attrs.field(factory=list)
    gaps: dict[int, Gap] = attrs.field(factory=dict)
    revisions: list[Gap] = attrs.field(factory=list)
    queries: list[dict[str, list[str]]] = attrs.field(factory=list)
    violations: int = 0

    @property
    def states(self) -> set[tuple[str, str]]:
        """State and cause of every gap."""
        return {(gap.state, gap.cause) for gap in self.gaps.values()}

    def asked_from(self) -> list[int]:
        """Where each page began, in the order of the requests."""
        return [int((q.get("after") or q["fromId"])[0]) for q in self.queries]


Heal = Callable[..., Result]


@pytest.fixture
def heal(venue: Any) -> Heal:
    """Lose *size* ids in the middle of a history and fill the gap."""

    def run(
        size: int,
        faults: Sequence[Fault] = (),
        *,
        live_first: int = 0,
        for_s: float = TIMES_OUT_S,
        **market: Any,
    ) -> Result:
        return run_virtual(_heal, venue, size, faults, live_first, for_s, market)

    return run


async def _heal(
    venue: Any,
    size: int,
    faults: Sequence[Fault],
    live_first: int,
    for_s: float,
    market: dict[str, Any],
) -> Result:
    clock = VirtualClock()
    adapter = PluginRegistry().exchange(venue.name)
    config = adapter.config(**venue.options)
    history = Market(
        1, start_ns=clock.wall_ns() - int(HISTORY_S * 1e9), rate_hz=100.0, **market
    )
    simulator: Any = adapter.simulator(history, faults=faults)
    # The market stands still from now on: what is missing stays what it is.
    for one in history.instruments:
        history.halt(one.market, one.symbol, clock.wall_ns())
    channel = adapter.channel(config, "trade", "")
    stream = Subscription(
        venue.name, venue.market, "BTC-USDT", "trade", channel.name, channel.id_kind
    )
    pipeline = Pipeline(StreamLedger(IntegritySettings(), GapIds(0)))
    pipeline.register(stream, channel)
    async with MemoryVenue(simulator, clock) as line:
        result = Result(_ids(simulator, venue.market, channel.id_kind))

        def emit(out: Output) -> None:
            for record in out.journal:
                _note(result, record)

        class Listening:
            """The venue's REST, with an ear."""

            async def send(self, request: Request, timeout_s: float) -> Response:
                parts = urlsplit(request.url)
                if parts.path == venue.history:
                    result.queries.append(parse_qs(parts.query))
                return await line.http.send(request, timeout_s)

            async def aclose(self) -> None:
                """Nothing to release."""

        rng = random.Random(1)
        keeper = BudgetKeeper(adapter.budgets(config), clock)
        rest = RestClient(adapter, config, Listening(), clock, keeper, rng)
        backfiller = Backfiller(
            adapter,
            config,
            wanted=lambda: {stream: channel},
            rest=rest,
            healer=Healer(pipeline, clock, emit, lambda: False),
            clock=clock,
            rng=rng,
            settings=BackfillSettings(),
        )
        known = result.known
        upper = len(known) - 50
        lower = upper - size - 1
        live = [known[lower], known[upper], *known[upper + 1 : upper + 1 + live_first]]
        now_ns = clock.wall_ns()
        trades = [_trade(stream, number, now_ns) for number in live]
        emit(pipeline.process(trades, now_ns))
        emit(pipeline.settle(now_ns))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backfiller.run)
            with anyio.move_on_after(for_s):
                while pipeline.ledger.open_gaps_of(stream):
                    await anyio.sleep(0.5)
            tasks.cancel_scope.cancel()
        result.violations = simulator.police.total
    result.stored.sort()
    return result


def _ids(simulator: Any, market: str, id_kind: str) -> list[int]:
    """Ids that the venue has issued for the stream's instrument."""
    simulator.advance(simulator.market.start_ns + int(HISTORY_S * 1e9))
    feed = simulator.market.feed(market, "BTC-USDT")
    if id_kind == "aggregate":
        return [one.aggregate_id for one in feed.executions]
    return [one.id for one in feed.fills]


def _trade(stream: Subscription, number: int, at_ns: int) -> Trade:
    """A trade as it comes live; its price is nobody's business here."""
    from decimal import Decimal

    one = Decimal(1)
    return Trade(
        stream, str(number), number, number, 1, "buy", one, one, at_ns, at_ns, "live"
    )


def _note(result: Result, record: Record) -> None:
    if isinstance(record, Gap):
        result.gaps[record.gap_id] = record
        result.revisions.append(record)
    elif isinstance(record, Trade):
        result.stored += range(record.first_id, record.last_id + 1)
