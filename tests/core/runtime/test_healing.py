"""What is fetched enters the pipeline, and only proof closes a gap."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tapeline.integrity import GapIds, IntegritySettings, IntervalSet, StreamLedger
from tapeline.model import (
    BACKFILL,
    Channel,
    Continuity,
    Gap,
    Record,
    Subscription,
    Trade,
)
from tapeline.runtime.healing import Healer
from tapeline.runtime.pipeline import Output, Pipeline

STREAM = Subscription("tiny", "spot", "BTC-USDT", "trade", "trades", "fill")


class StillClock:
    """A clock that does not move."""

    def wall_ns(self) -> int:
        return 0

    def monotonic_ns(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


def trade(number: int, source: str = "live") -> Trade:
    """One fill."""
    one = Decimal(1)
    return Trade(
        STREAM, str(number), number, number, 1, "buy", one, one, number, number, source
    )


@pytest.fixture
def journal() -> list[Record]:
    """What the pipeline gave for the journal."""
    return []


@pytest.fixture
def healer(journal: list[Record]) -> Healer:
    """Of a stream whose ids 11 to 19 are in an open gap."""
    pipeline = Pipeline(StreamLedger(IntegritySettings(), GapIds(0)))
    pipeline.register(STREAM, Channel("trades", "trade", Continuity.CONTIGUOUS, "fill"))
    pipeline.process([trade(10), trade(20)], 0)
    pipeline.settle(0)

    def emit(out: Output) -> None:
        journal.extend(out.journal)

    return Healer(pipeline, StillClock(), emit, lambda: False)


def told(journal: list[Record]) -> list[tuple[int | None, int | None, str, str]]:
    """Ids, state and cause of the gap rows."""
    return [
        (row.from_id, row.to_id, row.state, row.cause)
        for row in journal
        if isinstance(row, Gap)
    ]


@pytest.mark.parametrize("empty", [(11, 18), (12, 19), (15, 15), (1, 18), (12, 99)])
def test_a_gap_of_which_a_part_is_proven_empty_stays_open(
    healer: Healer, journal: list[Record], empty: tuple[int, int]
) -> None:
    assert healer.take(STREAM, (), IntervalSet.of([empty])) == 0
    assert told(journal) == []
    assert [(gap.from_id, gap.to_id) for gap in healer.open_gaps([STREAM])] == [
        (11, 19)
    ]


def test_a_gap_that_is_proven_empty_as_a_whole_is_closed_and_says_so(
    healer: Healer, journal: list[Record]
) -> None:
    healer.take(STREAM, (), IntervalSet.of([(11, 14), (15, 19)]))
    assert told(journal) == [(11, 19, "closed", "never-issued")]
    assert healer.open_gaps([STREAM]) == []


def test_what_is_left_around_fetched_trades_needs_a_proof_of_its_own(
    healer: Healer, journal: list[Record]
) -> None:
    found = [trade(number, BACKFILL) for number in (15, 16)]
    assert healer.take(STREAM, found, IntervalSet.of([(17, 19), (13, 14)])) == 2
    assert [record for record in journal if isinstance(record, Trade)] == found[::-1]
    assert [(gap.from_id, gap.to_id) for gap in healer.open_gaps([STREAM])] == [
        (11, 14)
    ]
    assert (17, 19, "closed", "never-issued") in told(journal)
