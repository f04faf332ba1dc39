"""Over the quota the laggard loses its oldest rows, and is told which."""

from __future__ import annotations

import itertools
from typing import Any

import anyio
import pytest

from tapeline.journal import Journal, JournalSettings
from tapeline.model import Batch, Coverage, Gap, Record, Subscription, Trade

pytestmark = pytest.mark.anyio

SMALL = JournalSettings(
    commit_ms=0.1, lazy_s=0.005, quota_bytes=20_000, trim_rows=20, ring_bytes=5_000
)


@pytest.fixture
def within_quota(until: Any) -> Any:
    """Wait until the journal has given up enough."""

    async def wait(journal: Journal) -> None:
        await until(lambda: int(journal.statistics()["bytes"]) <= 20_000)

    return wait


async def drain(journal: Journal, sink: str, after: int) -> list[Record]:
    """What *sink* gets from *after* on, in order, its cursor advanced."""
    records: list[Record] = []
    while (batch := await journal.next_batch(after, sink=sink)) is not None:
        records += [record for _, _, record in batch.records()]
        after = batch.last_position
        journal.advance_cursor(sink, after)
    return records


def told_ids(records: list[Record]) -> tuple[set[int], set[int]]:
    """Ids of the trades, and ids inside the gaps."""
    stored = {r.last_id for r in records if isinstance(r, Trade)}
    lost: set[int] = set()
    for gap in records:
        if isinstance(gap, Gap) and gap.from_id is not None and gap.to_id is not None:
            lost |= set(range(gap.from_id, gap.to_id + 1))
    return stored, lost


async def test_the_laggard_gets_gaps_and_the_others_get_everything(
    open_journal: Any, make_trade: Any, within_quota: Any
) -> None:
    async with open_journal(SMALL) as journal:
        dead = journal.register_sink("dead", None)
        after = journal.register_sink("alive", None)
        alive: list[Record] = []
        for n in range(300):
            journal.append([make_trade(n)])
            if n % 25 == 24:
                await journal.wait_committed(journal.last)
                alive += await drain(journal, "alive", after)
                after = journal.last
        await within_quota(journal)
        assert [r.last_id for r in alive if isinstance(r, Trade)] == list(range(300))
        assert not any(isinstance(r, Gap) for r in alive)
        records = await drain(journal, "dead", dead)
        stored, lost = told_ids(records)
        assert stored | lost == set(range(300))
        assert not stored & lost
        assert stored
        assert lost
        first_trade = next(i for i, r in enumerate(records) if isinstance(r, Trade))
        assert all(isinstance(r, Gap) for r in records[:first_trade])
        assert {r.cause for r in records[:first_trade] if isinstance(r, Gap)} == {
            "quota"
        }
        assert journal.statistics()["rows_given_up"] == len(lost)


async def test_what_is_being_written_is_no_loss_when_it_is_stored(
    open_journal: Any, make_trade: Any, within_quota: Any
) -> None:
    """The sink holds a batch while its rows are given up, and stores it after all."""
    async with open_journal(SMALL) as journal:
        start = journal.register_sink("slow", None)
        for n in range(30):
            journal.append([make_trade(n)])
        await journal.wait_committed(journal.last)
        in_hand = await journal.next_batch(start, 10, sink="slow")
        assert in_hand is not None
        for n in range(30, 300):
            journal.append([make_trade(n)])
        await journal.wait_committed(journal.last)
        await within_quota(journal)
        journal.advance_cursor("slow", in_hand.last_position)
        records = [record for _, _, record in in_hand.records()]
        records += await drain(journal, "slow", in_hand.last_position)
        stored, lost = told_ids(records)
        assert stored | lost == set(range(300))
        assert not stored & lost
        assert stored >= set(range(10))


async def test_gaps_in_hand_are_not_told_twice_when_more_is_given_up(
    open_journal: Any, make_trade: Any, within_quota: Any
) -> None:
    async with open_journal(SMALL) as journal:
        start = journal.register_sink("slow", None)
        for n in range(300):
            journal.append([make_trade(n)])
        await journal.wait_committed(journal.last)
        await within_quota(journal)
        told = await journal.next_batch(start, sink="slow")
        assert told is not None
        for n in range(300, 600):
            journal.append([make_trade(n)])
        await journal.wait_committed(journal.last)
        await within_quota(journal)
        journal.advance_cursor("slow", told.last_position)
        records = [record for _, _, record in told.records()]
        records += await drain(journal, "slow", told.last_position)
        gaps = [r for r in records if isinstance(r, Gap)]
        assert len({gap.gap_id for gap in gaps}) == len(gaps)
        covered = [set(range(g.from_id or 0, (g.to_id or 0) + 1)) for g in gaps]
        assert all(not a & b for a, b in itertools.combinations(covered, 2))
        stored, lost = told_ids(records)
        assert stored | lost == set(range(600))
        assert not stored & lost


async def test_facts_in_rows_that_are_given_up_reach_the_sink_all_the_same(
    open_journal: Any, make_trade: Any, stream: Subscription, within_quota: Any
) -> None:
    async with open_journal(SMALL) as journal:
        start = journal.register_sink("dead", None)
        hole = Gap(stream, 1, 1, 50, 59, 1, 2, "disconnect", 3)
        closed = Gap(stream, 1, 2, 50, 59, 1, 2, "disconnect", 3, "closed", 10)
        foreign = Gap(stream, 2, 1, 1, 2, 1, 2, "quota", 3, for_sink="other")
        covered = Coverage(stream, 7, 8, 0, 99)
        journal.append([hole, foreign])
        journal.append([Coverage(stream, 7, None, 0, 10), make_trade(0)])
        journal.append([closed])
        journal.append([covered])
        for n in range(1, 300):
            journal.append([make_trade(n)])
        await journal.wait_committed(journal.last)
        await within_quota(journal)
        batch = await journal.next_batch(start, sink="dead")
        assert batch is not None
        (part,) = batch.parts
        facts = [r for r in part.records if not isinstance(r, Gap) or r.gap_id < 10]
        assert facts == [closed, covered]


async def test_losses_outlive_the_process(
    open_journal: Any, make_trade: Any, within_quota: Any
) -> None:
    async with open_journal(SMALL) as journal:
        start = journal.register_sink("dead", None)
        for n in range(300):
            journal.append([make_trade(n)])
        await journal.wait_committed(journal.last)
        await within_quota(journal)
    async with open_journal(SMALL) as journal:
        assert journal.register_sink("dead", start) == start
        stored, lost = told_ids(await drain(journal, "dead", start))
        assert stored | lost == set(range(300))
        assert not stored & lost


async def test_backfilled_ids_do_not_stretch_a_gap_over_what_is_stored(
    open_journal: Any, make_trade: Any, within_quota: Any
) -> None:
    """Old ids among new ones are intervals of their own."""
    async with open_journal(SMALL) as journal:
        start = journal.register_sink("dead", None)
        emitted = list(range(1_000, 1_050)) + list(range(0, 20))
        emitted += list(range(1_050, 1_300))
        for n in emitted:
            journal.append([make_trade(n)])
        await journal.wait_committed(journal.last)
        await within_quota(journal)
        stored, lost = told_ids(await drain(journal, "dead", start))
        assert stored | lost == set(emitted)
        assert not stored & lost


async def test_rows_behind_the_checkpoint_are_not_given_up(
    open_journal: Any, make_trade: Any, within_quota: Any
) -> None:
    async with open_journal(SMALL) as journal:
        journal.register_sink("dead", None)
        early = [journal.append([make_trade(n)]) for n in range(5)]
        journal.checkpoint("bars", early[2], b"")
        for n in range(5, 300):
            journal.append([make_trade(n)])
        await journal.wait_committed(journal.last)
        await anyio.sleep(0.03)
        assert journal.floor == early[2]
        journal.checkpoint("bars", journal.last, b"")
        await within_quota(journal)


async def test_nobody_reading_is_bounded_by_the_quota_too(
    open_journal: Any, make_trade: Any, within_quota: Any
) -> None:
    async with open_journal(SMALL) as journal:
        for n in range(300):
            journal.append([make_trade(n)])
            await journal.wait_committed(journal.last)
        await within_quota(journal)


async def test_a_reader_that_waits_for_the_disk_does_not_miss_the_loss(
    open_journal: Any, make_trade: Any
) -> None:
    """Reads race with giving up: at no moment is an id neither stored nor lost."""
    async with open_journal(SMALL) as journal:
        after = journal.register_sink("slow", None)
        records: list[Record] = []

        async def produce() -> None:
            for n in range(1_500):
                journal.append([make_trade(n)])
                if n % 50 == 0:
                    await anyio.sleep(0.001)

        async def consume() -> None:
            nonlocal after
            while after < journal.last or journal.last < start + 1_500:
                batch: Batch | None = await journal.next_batch(after, 5, sink="slow")
                await anyio.sleep(0.002)
                if batch is not None:
                    records.extend(record for _, _, record in batch.records())
                    after = batch.last_position
                    journal.advance_cursor("slow", after)

        start = after
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(produce)
                tasks.start_soon(consume)
        stored, lost = told_ids(records)
        assert stored | lost == set(range(1_500))
        assert not stored & lost
        assert lost
