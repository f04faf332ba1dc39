"""The journal without a disk behaves like the one on disk, as far as it promises."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tapeline.clock import SystemClock
from tapeline.errors import JournalError
from tapeline.journal import Journal, JournalLike, JournalSettings, MemoryJournal
from tapeline.model import Coverage, Gap, Trade

pytestmark = pytest.mark.anyio


@pytest.fixture
def journal() -> MemoryJournal:
    """A journal in memory with room for about 100 rows."""
    return MemoryJournal(SystemClock(), settings=JournalSettings(memory_bytes=20_000))


def test_both_are_journals(journal: MemoryJournal) -> None:
    """Checked by mypy: each fits the interface that the runtime holds."""
    held: list[JournalLike] = [journal]
    kinds: list[type[JournalLike]] = [Journal, MemoryJournal]
    assert len(held) + len(kinds) == 3


async def test_what_is_appended_is_committed_at_once(
    journal: MemoryJournal, make_trade: Any
) -> None:
    start = journal.register_sink("local", None)
    positions = [journal.append([make_trade(n)]) for n in range(3)]
    await journal.wait_committed(positions[-1])
    assert positions == [start + 1, start + 2, start + 3]
    batch = await journal.next_batch(start, sink="local")
    assert batch is not None
    assert [(p.position, list(p.records)) for p in batch.parts] == [
        (position, [make_trade(n)]) for n, position in enumerate(positions)
    ]
    assert await journal.next_batch(positions[-1], sink="local") is None


async def test_nothing_is_kept_that_nobody_reads(
    journal: MemoryJournal, make_trade: Any
) -> None:
    journal.append([make_trade(1)])
    assert journal.statistics()["rows"] == 0
    cursor = journal.register_sink("local", None)
    assert cursor == journal.last
    position = journal.append([make_trade(2)])
    assert journal.statistics()["rows"] == 1
    journal.advance_cursor("local", position)
    assert journal.statistics()["rows"] == 0
    assert journal.statistics()["bytes"] == 0
    assert journal.lag("local") == (0, 0, 0.0)


async def test_a_slow_sink_loses_the_oldest_and_is_told(
    journal: MemoryJournal, make_trade: Any, stream: Any
) -> None:
    after = start = journal.register_sink("slow", None)
    covered = Coverage(stream, 1, None, 0, None)
    journal.append([covered])
    for n in range(500):
        journal.append([make_trade(n)])
    assert int(journal.statistics()["bytes"]) <= 20_000
    records = []
    while (batch := await journal.next_batch(after, sink="slow")) is not None:
        records += [record for _, _, record in batch.records()]
        after = batch.last_position
        journal.advance_cursor("slow", after)
    (gap,) = [record for record in records if isinstance(record, Gap)]
    stored = [record.last_id for record in records if isinstance(record, Trade)]
    assert (gap.cause, gap.from_id) == ("quota", 0)
    assert gap.to_id is not None
    assert stored == list(range(gap.to_id + 1, 500))
    assert records.index(covered) < 3
    assert after > start


async def test_waiting_ends_with_the_append_and_with_the_end(
    journal: MemoryJournal, make_trade: Any
) -> None:
    journal.register_sink("local", None)
    ended = []

    async def wait() -> None:
        await journal.wait_beyond(journal.last)
        ended.append("row")
        with pytest.raises(JournalError, match="closed"):
            await journal.wait_beyond(journal.last)
        ended.append("closed")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(journal.run)
            await anyio.sleep(0.005)
            journal.append([make_trade(1)])
            await anyio.sleep(0.005)
            assert ended == ["row"]
            await journal.aclose()
    assert ended == ["row", "closed"]
    with pytest.raises(JournalError, match="closed"):
        journal.append([make_trade(2)])


async def test_bans_and_checkpoints_live_as_long_as_it_does(
    journal: MemoryJournal, make_trade: Any
) -> None:
    journal.register_sink("local", None)
    position = journal.append([make_trade(1)])
    journal.checkpoint("bars", position, b"x")
    journal.remember_ban("okx", SystemClock.wall_ns() + 10**12)
    journal.remember_ban("past", 1)
    assert journal.checkpoints() == {"bars": (position, b"x")}
    assert set(journal.bans()) == {"okx"}
    assert [row async for row in journal.read_from(0)] == [(position, (make_trade(1),))]
    ((_, span),) = (await journal.spans()).items()
    assert span.runs == [(1, 1)]
