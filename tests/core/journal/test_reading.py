"""Sinks read whole committed positions, from memory or from the disk alike."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tapeline.journal import Journal, JournalSettings
from tapeline.model import Part

pytestmark = pytest.mark.anyio

NO_RING = JournalSettings(commit_ms=0.1, lazy_s=0.005, ring_bytes=0)


async def everything(journal: Journal, after: int, **limits: Any) -> list[Part]:
    """All parts behind *after*, and the sizes of the batches do not matter."""
    parts: list[Part] = []
    while (batch := await journal.next_batch(after, **limits)) is not None:
        parts += batch.parts
        after = batch.last_position
    return parts


@pytest.mark.parametrize("ring_bytes", [0, 50_000, 10**8])
async def test_memory_and_disk_give_the_same(
    open_journal: Any, make_trade: Any, ring_bytes: int
) -> None:
    settings = JournalSettings(commit_ms=0.1, ring_bytes=ring_bytes)
    async with open_journal(settings) as journal:
        start = journal.register_sink("local", None)
        expected = []
        for n in range(0, 300, 3):
            records = [make_trade(m) for m in range(n, n + 1 + n % 3)]
            expected.append((journal.append(records), records))
            if n % 30 == 0:
                await anyio.sleep(0.001)
        await journal.wait_committed(journal.last)
        for limits in ({}, {"max_records": 1}, {"max_bytes": 1}, {"max_records": 7}):
            parts = await everything(journal, start, **limits)
            assert [(p.position, list(p.records)) for p in parts] == expected


async def test_a_batch_holds_whole_positions_within_its_limits(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal(NO_RING) as journal:
        first = journal.append([make_trade(n) for n in range(4)])
        journal.append([make_trade(n) for n in range(4, 8)])
        await journal.wait_committed(journal.append([make_trade(9)]))
        batch = await journal.next_batch(first - 1, max_records=5)
        assert batch is not None
        assert [len(part.records) for part in batch.parts] == [4, 4]
        assert batch.journal_id == journal.journal_id


async def test_waiting_for_rows_ends_with_the_commit(
    open_journal: Any, make_trade: Any, until: Any
) -> None:
    async with open_journal() as journal, anyio.create_task_group() as tasks:
        seen = []

        async def reader() -> None:
            await journal.wait_beyond(journal.committed)
            seen.append(journal.committed)

        tasks.start_soon(reader)
        await anyio.sleep(0.005)
        assert seen == []
        position = journal.append([make_trade(1)])
        await until(lambda: bool(seen))
        assert seen == [position]


async def test_a_refold_reads_what_is_behind_the_checkpoint(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        positions = [journal.append([make_trade(n)]) for n in range(5)]
    async with open_journal() as journal:
        journal.append([make_trade(99)])
        rows = [row async for row in journal.read_from(positions[2])]
        assert rows == [(positions[n], [make_trade(n)]) for n in (3, 4)]


async def test_last_ids_come_from_the_headers_also_of_trimmed_rows(
    open_journal: Any, make_trade: Any, stream: Any, until: Any
) -> None:
    async with open_journal() as journal:
        journal.register_sink("local", None)
        for n in range(10):
            journal.append([make_trade(n)])
        await journal.wait_committed(journal.last)
        journal.advance_cursor("local", journal.last)
        await until(lambda: journal.statistics()["rows"] == 0)
    async with open_journal() as journal:
        journal.append([make_trade(12)])
        await journal.wait_committed(journal.last)
        ((found, span),) = (await journal.spans()).items()
        assert (found, span.runs, span.count) == (stream, [(0, 9), (12, 12)], 11)


async def test_lag_counts_rows_bytes_and_seconds(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        journal.register_sink("local", None)
        assert journal.lag("local") == (0, 0, 0.0)
        for n in range(4):
            await journal.wait_committed(journal.append([make_trade(n)]))
        rows, nbytes, seconds = journal.lag("local")
        assert (rows, nbytes) == (4, journal.statistics()["bytes"])
        assert 0 <= seconds < 60
        journal.advance_cursor("local", journal.last - 1)
        assert journal.lag("local")[0] == 1
    async with open_journal() as journal:
        assert journal.lag("local")[0] == 1
