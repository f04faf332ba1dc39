"""Gaps of an exact size, filled by the real adapters from a simulated history."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import attrs
import pytest

from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.model import (
    Gap,
    Record,
    Request,
    Response,
    Secret,
    Subscription,
    Trade,
)
from tapeline.plugins import PluginRegistry
from tapeline.runtime.backfill_walks import BackfillSettings
from tapeline.runtime.backfiller import Backfiller
from tapeline.runtime.healing import Healer
from tapeline.runtime.pipeline import Output, Pipeline
from tapeline.testing import (
    DEFAULT_INSTRUMENTS,
    Fault,
    Market,
    MemoryVenue,
    VirtualClock,
    run_virtual,
)
from tapeline.transport import BudgetKeeper, RestClient

EVERY = pytest.mark.parametrize(
    "venue", ["okx", "binance", "binance-fills", "binance-swap"], indirect=True
)
SYMBOL = "BTC-USDT"
RATE_HZ = 160.0
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
    """Lose *size* ids in the middle of a history and fill the gap.

    *live_first* newer ids came live, and the venue remembers no more than *keeps*.
    """

    def run(
        size: int,
        faults: Sequence[Fault] = (),
        *,
        live_first: int = 0,
        keeps: int | None = None,
        for_s: float = TIMES_OUT_S,
        **market: Any,
    ) -> Result:
        return run_virtual(_heal, venue, size, faults, live_first, keeps, for_s, market)

    return run


async def _heal(
    venue: Any,
    size: int,
    faults: Sequence[Fault],
    live_first: int,
    keeps: int | None,
    for_s: float,
    market: dict[str, Any],
) -> Result:
    clock = VirtualClock()
    adapter = PluginRegistry().exchange(venue.name)
    config = adapter.config(
        **{
            name: Secret(value) if name.startswith("api_") else value
            for name, value in venue.options.items()
        }
    )
    traded = [one for one in DEFAULT_INSTRUMENTS if one.key == (venue.market, SYMBOL)]
    # Two fills an execution at the most, and some to both sides of the gap.
    passed_s = 2 * (size + 200) / RATE_HZ
    start_ns = clock.wall_ns() - int(passed_s * 1e9)
    history = Market(1, traded, RATE_HZ, start_ns, **market)
    simulator: Any = adapter.simulator(history, faults=faults)
    # The market stands still from now on: what is missing stays what it is.
    history.halt(venue.market, SYMBOL, clock.wall_ns())
    channel = adapter.channel(config, "trade", "")
    stream = Subscription(
        venue.name, venue.market, SYMBOL, "trade", channel.name, channel.id_kind
    )
    pipeline = Pipeline(StreamLedger(IntegritySettings(), GapIds(0)))
    pipeline.register(stream, channel)
    async with MemoryVenue(simulator, clock) as line:
        feed = history.feed(venue.market, SYMBOL)
        simulator.advance(clock.wall_ns())
        result = Result(_ids(feed, channel.id_kind))
        if keeps is not None:
            del feed.fills[:-keeps], feed.executions[:-keeps]

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
                await _until(lambda: not pipeline.ledger.open_gaps_of(stream))
            tasks.cancel_scope.cancel()
        result.violations = simulator.police.total
    result.stored.sort()
    return result


async def _until(done: Callable[[], bool]) -> None:
    """Wait for *done*; the caller sets a deadline."""
    while not done():  # noqa: ASYNC110  (the ledger has no event to wait for)
        await anyio.sleep(0.5)


def _ids(feed: Any, id_kind: str) -> list[int]:
    """Ids that the venue has issued."""
    if id_kind == "aggregate":
        return [one.aggregate_id for one in feed.executions]
    return [one.id for one in feed.fills]


def _trade(stream: Subscription, number: int, at_ns: int) -> Trade:
    """A trade as it comes live; its price is nobody's business here."""
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


SIZES = (1, 2, 3, 98, 99, 100, 101, 499, 500, 998, 999, 1_000, 1_001, 2_500, 5_000)


@EVERY
@pytest.mark.parametrize("size", SIZES)
def test_a_gap_of_any_size_is_filled_exactly_once_in_as_few_pages_as_it_takes(
    heal: Heal, venue: Any, size: int
) -> None:
    result = heal(size)

    assert result.stored == sorted(result.known[-51 - size : -49])
    assert [gap.state for gap in result.gaps.values()] == ["closed"]
    (gap,) = result.gaps.values()
    assert gap.recovered_count == size
    # Each page repeats one neighbor; the walk may need one more to meet the other.
    pages = len(result.queries)
    assert -(-size // (venue.page - 1)) <= pages <= size // (venue.page - 1) + 2
    # Begun, one row for every page but the last, closed.
    assert len(result.revisions) <= 3 + pages
    assert result.violations == 0


def test_pages_are_asked_for_in_the_direction_of_the_venue(
    heal: Heal, venue: Any
) -> None:
    asked = heal(5_000).asked_from()

    falling = venue.name == "okx"
    assert len(asked) > 3
    assert asked == sorted(asked, reverse=falling)
    assert len(set(asked)) == len(asked)
    assert not any("before" in query for query in heal(300).queries)


@EVERY
@pytest.mark.parametrize("live_first", [0, 40])
def test_a_cache_that_lags_closes_nothing_that_it_does_not_know(
    heal: Heal, venue: Any, live_first: int
) -> None:
    lagging = Fault(kind="stale", at_s=0.0, for_s=20.0, lag_s=30.0)

    result = heal(200, [lagging], live_first=live_first)

    assert result.states == {("closed", "id-hole")}
    assert len(set(result.stored)) == len(result.stored) == 202 + live_first
    assert result.violations == 0


@EVERY
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_refused_page_is_asked_for_again(heal: Heal, venue: Any, status: int) -> None:
    refused = venue.refusing(for_s=15.0, status=status)
    sometimes = venue.refusing(status=status, at_s=15.0, probability=0.3)

    result = heal(1_500, [refused, sometimes])

    assert result.states == {("closed", "id-hole")}
    assert len(set(result.stored)) == len(result.stored) == 1_502


@EVERY
def test_pages_without_rows_never_close_a_gap_and_end_it_with_the_cause(
    heal: Heal, venue: Any
) -> None:
    result = heal(50, [venue.refusing(status=200, body=venue.empty)])

    assert result.states == {("unrecoverable", "beyond-reach")}
    assert len(result.stored) == 2


@EVERY
def test_a_request_that_the_venue_calls_too_old_leaves_the_gap_open(
    heal: Heal, venue: Any
) -> None:
    status, body = venue.expired

    result = heal(50, [venue.refusing(status=status, body=body)], for_s=600.0)

    assert result.states == {("open", "id-hole")}
    assert len(result.stored) == 2
    assert 2 < len(result.queries) < 60


@EVERY
def test_the_part_that_the_venue_still_has_is_stored_and_the_rest_given_up(
    heal: Heal, venue: Any
) -> None:
    result = heal(2_500, keeps=1_000)

    states = result.states
    assert ("unrecoverable", "beyond-reach") in states
    assert states <= {("unrecoverable", "beyond-reach"), ("closed", "id-hole")}
    missing = sum(
        gap.to_id - gap.from_id + 1
        for gap in result.gaps.values()
        if gap.state == "unrecoverable" and gap.from_id and gap.to_id
    )
    assert 0 < missing == 2_502 - len(result.stored)


@pytest.mark.parametrize("venue", ["okx", "binance-fills"], indirect=True)
def test_ids_that_were_never_issued_are_told_from_lost_ones(
    heal: Heal, venue: Any
) -> None:
    result = heal(700, hole_probability=0.2)

    assert {state for state, _ in result.states} == {"closed"}
    known = [number for number in result.known if number in set(result.stored)]
    assert result.stored == known
    assert len(known) == 702
