"""Gaps are filled from pages, and closed by proof alone, whatever a venue answers."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

import anyio
import attrs
import pytest

from tapeline.hookspecs import AdapterBase
from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.model import (
    BACKFILL,
    BackfillPage,
    Capabilities,
    Channel,
    Continuity,
    Coverage,
    Fetch,
    Gap,
    Outcome,
    OutcomeKind,
    Record,
    Request,
    Response,
    Subscription,
    Trade,
)
from tapeline.runtime.backfill_walks import BackfillSettings
from tapeline.runtime.backfiller import Backfiller
from tapeline.runtime.healing import Healer
from tapeline.runtime.pipeline import Output, Pipeline
from tapeline.testing import VirtualClock, run_virtual
from tapeline.transport import BudgetKeeper, RestClient

STREAM = Subscription("tiny", "spot", "BTC-USDT", "trade", "trades", "fill")
CHANNEL = Channel(
    "trades", "trade", Continuity.CONTIGUOUS, "fill", backfill_reach_s=3_600.0
)
PAGE = 10


def trade(number: int, source: str = "live") -> Trade:
    """One fill; its time follows its id."""
    one = Decimal(1)
    at_ns = 1_767_225_600 * 10**9 + number * 10**6
    return Trade(
        STREAM, str(number), number, number, 1, "buy", one, one, at_ns, at_ns, source
    )


@attrs.define
class Pages:
    """Walks down from the newest missing id, repeating no row."""

    gap: Gap
    at: int
    done: bool = False

    def next(self) -> Fetch | None:
        if self.done:
            return None
        return Fetch(Request("GET", f"https://tiny.test/trades/{self.at}"))

    def read(self, response: Response) -> BackfillPage:
        answer = json.loads(response.body)
        rows = [number for number in answer["ids"] if number <= self.at]
        if answer.get("stale"):
            return BackfillPage((), 0, 10**9, stale=True)
        assert self.gap.from_id is not None
        assert self.gap.to_id is not None
        if not rows:
            self.done = True
            return BackfillPage((), exhausted=True)
        oldest, at = min(rows), self.at
        self.at = oldest - 1
        self.done = oldest <= self.gap.from_id
        found = [trade(number, BACKFILL) for number in rows]
        if answer.get("merged"):
            found = [attrs.evolve(found[-1], first_id=oldest)]
        if answer.get("unusable"):
            return BackfillPage(found[1:])
        return BackfillPage(found, oldest, at)


class Tiny(AdapterBase):
    """A venue with pages of trades and nothing else."""

    name = "tiny"
    config = object
    capabilities = Capabilities(("spot",), {"trade": (CHANNEL,)})
    offers = True

    def backfill(self, config: Any, gap: Gap) -> Pages | None:
        return Pages(gap, gap.to_id or 0) if self.offers else None

    def classify(self, response: Response) -> Outcome:
        return Outcome(OutcomeKind.OK if response.status == 200 else OutcomeKind.FATAL)


@attrs.define
class World:
    """A pipeline with gaps, and the history that may fill them.

    Args:
        ids: what the venue has, rising.
        lies: answers it gives instead, the first first.
    """

    clock: VirtualClock
    ids: list[int] = attrs.field(factory=list)
    lies: list[tuple[int, Mapping[str, Any]]] = attrs.field(factory=list)
    asked: list[int] = attrs.field(factory=list)
    journal: list[Record] = attrs.field(factory=list)
    wanted: dict[Subscription, Channel] = attrs.field(factory=dict)
    full: bool = False
    adapter: Any = attrs.field(factory=Tiny)
    pipeline: Pipeline = attrs.field(init=False)
    backfiller: Backfiller = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.pipeline = Pipeline(StreamLedger(IntegritySettings(), GapIds(0)))
        self.pipeline.register(STREAM, CHANNEL)
        self.wanted[STREAM] = CHANNEL
        rest = RestClient(
            self.adapter,
            None,
            self,
            self.clock,
            BudgetKeeper((), self.clock),
            random.Random(1),
        )
        self.backfiller = Backfiller(
            self.adapter,
            None,
            wanted=lambda: self.wanted,
            rest=rest,
            healer=Healer(self.pipeline, self.clock, self._emit, lambda: self.full),
            clock=self.clock,
            rng=random.Random(2),
            settings=BackfillSettings(),
        )

    async def send(self, request: Request, timeout_s: float) -> Response:
        """The ``Http`` seam."""
        at = int(request.url.rpartition("/")[2])
        self.asked.append(at)
        await anyio.sleep(0.01)
        rows = [number for number in self.ids if number <= at][-PAGE:]
        status, answer = self.lies.pop(0) if self.lies else (200, {"ids": rows})
        answer = {"ids": rows, **answer}
        return Response(request, status, {}, json.dumps(answer).encode(), 0)

    async def aclose(self) -> None:
        """Nothing to release."""

    def live(self, *numbers: int) -> None:
        """These come on the stream."""
        trades = [trade(number) for number in numbers]
        self._emit(self.pipeline.process(trades, self.clock.wall_ns()))

    def _emit(self, out: Output) -> None:
        self.journal += out.journal

    @property
    def stored(self) -> list[int]:
        """Ids of stored trades, rising; one that is stored twice is there twice."""
        return sorted(r.last_id for r in self.journal if isinstance(r, Trade))

    def gaps(self) -> dict[int, Gap]:
        """The latest row of every gap."""
        return {gap.gap_id: gap for gap in self.journal if isinstance(gap, Gap)}

    def states(self) -> list[tuple[str, str]]:
        """State and cause of every gap."""
        return [(gap.state, gap.cause) for gap in self.gaps().values()]


def scene(act: Callable[[World], Awaitable[None]], **world: Any) -> World:
    """Live data around a hole of 100, then a backfiller that runs during *act*."""

    async def play() -> World:
        made = World(VirtualClock(), **world)
        made.live(100, 201)
        await anyio.sleep(3.0)
        made._emit(made.pipeline.advance(made.clock.wall_ns()))
        assert made.states() == [("open", "id-hole")]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.backfiller.run)
            await act(made)
            tasks.cancel_scope.cancel()
        return made

    told: World = run_virtual(play)
    return told


def wait(seconds: float) -> Callable[[World], Awaitable[None]]:
    """Do nothing for so long."""

    async def act(world: World) -> None:
        await anyio.sleep(seconds)

    return act


ALL = list(range(50, 202))


def test_pages_fill_a_gap_to_the_last_id() -> None:
    told = scene(wait(5), ids=ALL)

    assert told.stored == list(range(100, 202))
    assert told.states() == [("closed", "id-hole")]
    assert told.asked == [200, *range(190, 100, -10)]
    (gap,) = told.gaps().values()
    assert (gap.from_id, gap.to_id, gap.recovered_count) == (101, 200, 100)


def test_a_gap_says_that_it_is_worked_on_and_shrinks_from_above() -> None:
    told = scene(wait(5), ids=ALL)

    rows = [gap for gap in told.journal if isinstance(gap, Gap)]
    assert [gap.state for gap in rows][:2] == ["open", "backfilling"]
    assert [gap.to_id for gap in rows[2:-1]] == list(range(190, 100, -10))
    assert len({gap.gap_id for gap in rows}) == 1
    revisions = [gap.revision for gap in rows]
    assert revisions == sorted(set(revisions))


def test_what_is_between_two_rows_and_missing_was_never_issued() -> None:
    ids = [number for number in ALL if number % 7 and not 140 <= number < 160]

    told = scene(wait(5), ids=ids)

    assert told.stored == sorted({n for n in ids if n > 100} | {100, 201})
    assert {state for state, _ in told.states()} == {"closed"}
    never = [gap for gap in told.gaps().values() if gap.cause == "never-issued"]
    missing = set(range(101, 201)) - set(ids)
    covered = {
        n for gap in never for n in range(gap.from_id or 0, (gap.to_id or 0) + 1)
    }
    assert missing <= covered


@pytest.mark.parametrize(
    "lie",
    [
        (200, {"ids": []}),
        (200, {"ids": [], "stale": True}),
        (500, {}),
        (200, {"ids": list(range(300, 310))}),
    ],
    ids=["empty", "stale", "refused", "too-new"],
)
def test_one_wrong_answer_costs_time_and_nothing_else(
    lie: tuple[int, Mapping[str, Any]],
) -> None:
    told = scene(wait(60), ids=ALL, lies=[(200, {}), lie])

    assert told.stored == list(range(100, 202))
    assert told.states() == [("closed", "id-hole")]


def test_a_page_that_is_refused_is_asked_for_again_from_the_start() -> None:
    """Not at once, and the gap does not say meanwhile that it is worked on."""
    seen: list[tuple[str, str]] = []
    refused: tuple[int, dict[str, str]] = (400, {})

    async def look(world: World) -> None:
        await anyio.sleep(0.5)
        assert world.lies == [], "the first page came, the second was refused"
        assert world.asked == [200, 190]
        seen.extend(world.states())
        assert world.backfiller.statistics.failures == 1
        await anyio.sleep(60)

    told = scene(look, ids=ALL, lies=[(200, {}), refused])

    assert seen == [("open", "id-hole")], "what is left of it"
    assert told.asked[2] == 190, "from the newest id that is still missing"
    assert told.stored == list(range(100, 202))
    assert told.states() == [("closed", "id-hole")]


def test_a_venue_that_refuses_every_page_is_asked_ever_more_rarely() -> None:
    """A refusal proves nothing: the gap is given up only when it is out of reach."""
    always: list[tuple[int, dict[str, str]]] = [(400, {})] * 1_000

    told = scene(wait(3_000), ids=ALL, lies=list(always))
    assert told.states() == [("open", "id-hole")]
    assert len(told.asked) < 40
    assert told.stored == [100, 201]

    told = scene(wait(4_500), ids=ALL, lies=list(always))
    assert told.states() == [("unrecoverable", "beyond-reach")]

    told = scene(wait(3_000), ids=ALL, lies=always[:5])
    assert told.stored == list(range(100, 202)), "as soon as it is not refused"
    assert told.states() == [("closed", "id-hole")]


def test_empty_pages_close_nothing_and_are_believed_only_in_the_end() -> None:
    told = scene(wait(120), ids=[])
    assert told.states() == [("open", "id-hole")]

    told = scene(wait(1_200), ids=[])
    assert told.states() == [("unrecoverable", "beyond-reach")]
    assert len(told.asked) < 20


def test_a_gap_that_waits_for_its_next_try_does_not_say_that_it_is_worked_on() -> None:
    seen: list[str] = []

    async def look(world: World) -> None:
        for _ in range(600):
            await anyio.sleep(0.1)
            seen.extend(state for state, _ in world.states())

    scene(look, ids=[])

    assert set(seen) <= {"open", "backfilling"}
    assert seen.count("open") > 0.9 * len(seen)


def test_the_id_of_an_unusable_row_is_asked_for_again() -> None:
    told = scene(wait(30), ids=ALL, lies=[(200, {"unusable": True})])
    assert told.stored == list(range(100, 202))
    assert set(told.states()) == {("closed", "id-hole")}


def test_ids_that_a_page_shows_and_we_cannot_store_are_not_called_never_issued() -> (
    None
):
    async def act(world: World) -> None:
        world.live(195)
        await anyio.sleep(30)

    merged = [(200, {"merged": True})]

    told = scene(act, ids=ALL, lies=merged)

    assert told.stored == list(range(100, 202)), "asked for again, as single fills"
    assert set(told.states()) == {("closed", "id-hole")}


def test_what_is_lost_meanwhile_is_filled_too_and_first() -> None:
    async def act(world: World) -> None:
        await anyio.sleep(0.03)
        world.ids += range(202, 400)
        world.live(399)
        world._emit(world.pipeline.settle(world.clock.wall_ns()))
        await anyio.sleep(10)

    told = scene(act, ids=list(ALL))

    assert told.stored == list(range(100, 400))
    newer = told.asked.index(398)
    assert max(told.asked[:newer]) <= 200
    assert min(told.asked[newer : newer + 19]) > 200, "the newest gap first"


def test_gaps_that_lie_close_together_are_filled_by_the_same_pages() -> None:
    """Of a stream that loses every third trade, not every gap costs a request."""

    async def act(world: World) -> None:
        await anyio.sleep(5.0)
        world.asked.clear()
        world.live(*(number for number in range(202, 231) if number % 3))
        world._emit(world.pipeline.settle(world.clock.wall_ns()))
        await anyio.sleep(15.0)

    told = scene(act, ids=list(range(50, 231)))

    assert told.stored == list(range(100, 231))
    assert {state for state, _ in told.states()} == {"closed"}
    assert len(told.gaps()) == 10
    # Nine gaps, three pages of ten rows each, and nothing asked for twice.
    assert len(told.asked) <= 4


def test_a_stream_with_ever_new_gaps_is_asked_for_now_and_then() -> None:
    async def act(world: World) -> None:
        await anyio.sleep(5.0)
        world.asked.clear()
        for number in range(300, 420, 4):
            world.ids += range(world.ids[-1] + 1, number + 1)
            world.live(number)
            world._emit(world.pipeline.settle(world.clock.wall_ns()))
            await anyio.sleep(0.25)
        await anyio.sleep(5.0)

    told = scene(act, ids=ALL)

    assert {state for state, _ in told.states()} == {"closed"}
    assert told.stored == list(range(100, 417))
    # Thirty gaps in eight seconds, and the large one that began them.
    assert len(told.asked) < 10 + 30


def test_a_live_trade_that_comes_late_is_stored_once() -> None:
    async def act(world: World) -> None:
        await anyio.sleep(0.005)
        world.live(195, 196, 150)
        await anyio.sleep(5)

    told = scene(act, ids=ALL)

    assert told.stored == list(range(100, 202))


def test_what_is_fetched_does_not_prolong_coverage() -> None:
    """Coverage says until when the stream itself was followed."""

    async def act(world: World) -> None:
        begun_ns = world.clock.wall_ns()
        await anyio.sleep(10)
        world._emit(world.pipeline.advance(world.clock.wall_ns()))
        rows = [one for one in world.journal if isinstance(one, Coverage)]
        assert rows[-1].last_id == 201
        assert rows[-1].ended_ns is not None
        assert rows[-1].ended_ns < begun_ns

    told = scene(act, ids=ALL)

    assert told.stored == list(range(100, 202))


def test_a_stream_that_is_not_wanted_is_left_and_its_gap_is_open_again() -> None:
    async def act(world: World) -> None:
        await anyio.sleep(0.025)
        world.wanted.clear()
        await anyio.sleep(1)
        asked = len(world.asked)
        await anyio.sleep(60)
        assert len(world.asked) == asked

    told = scene(act, ids=ALL)

    assert told.states() == [("open", "id-hole")]
    assert 0 < len(told.stored) < 50


def test_nothing_is_asked_of_a_channel_that_cannot_be_filled() -> None:
    async def act(world: World) -> None:
        world.wanted[STREAM] = attrs.evolve(CHANNEL, backfill_reach_s=0.0)
        await anyio.sleep(60)

    told = scene(act, ids=ALL)

    assert told.states() == [("open", "id-hole")]
    assert told.asked == []


def test_a_gap_that_the_adapter_declines_is_given_up_and_keeps_its_cause() -> None:
    class Deaf(Tiny):
        offers = False

    told = scene(wait(60), ids=ALL, adapter=Deaf())

    assert told.states() == [("unrecoverable", "id-hole")]
    assert told.asked == []


def test_while_nothing_can_be_stored_nothing_is_taken() -> None:
    async def act(world: World) -> None:
        world.full = True
        await anyio.sleep(20)
        assert world.stored == [100, 201]
        world.full = False
        await anyio.sleep(60)

    told = scene(act, ids=ALL)

    assert told.stored == list(range(100, 202))


def test_an_adapter_that_raises_costs_its_gap_some_time() -> None:
    class Broken(Tiny):
        tries = 0

        def backfill(self, config: Any, gap: Gap) -> Pages | None:
            self.tries += 1
            if self.tries < 3:
                raise RuntimeError("a bug")
            return super().backfill(config, gap)

    told = scene(wait(30), ids=ALL, adapter=Broken())

    assert told.stored == list(range(100, 202))
    assert told.states() == [("closed", "id-hole")]


def test_drain_waits_for_what_can_be_filled_and_for_nothing_else() -> None:
    async def act(world: World) -> None:
        with anyio.fail_after(5):
            await world.backfiller.drain()
        assert world.stored == list(range(100, 202))
        world.live(300)
        world._emit(world.pipeline.settle(world.clock.wall_ns()))
        world.lies += [(500, {})] * 50
        with anyio.fail_after(5):
            await world.backfiller.drain()

    told = scene(act, ids=ALL)

    assert told.states() == [("closed", "id-hole"), ("open", "id-hole")]
