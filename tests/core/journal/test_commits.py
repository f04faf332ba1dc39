"""Appends become durable in order, together, and whatever is cancelled around them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.clock import SystemClock
from tapeline.errors import JournalError
from tapeline.journal import Journal, JournalSettings
from tapeline.journal.sqlite import connect
from tapeline.runtime.executor import ThreadExecutor
from tapeline.testing import InlineExecutor

pytestmark = pytest.mark.anyio


async def test_positions_rise_by_one_per_append(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        first = journal.append([make_trade(1), make_trade(2)])
        assert [journal.append([make_trade(n)]) for n in (3, 4)] == [
            first + 1,
            first + 2,
        ]
        assert journal.last == first + 2


async def test_a_fresh_journal_starts_at_wall_time_and_above_every_cursor(
    open_journal: Any, make_trade: Any
) -> None:
    before = (SystemClock.wall_ns() // 1_000) << 8
    async with open_journal() as journal:
        assert journal.append([make_trade(1)]) >= before


async def test_a_fresh_journal_starts_above_the_floor_it_is_given(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal(floor=2**62) as journal:
        assert journal.append([make_trade(1)]) == 2**62 + 1


async def test_nothing_is_committed_before_the_owner_runs(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal(running=False) as journal:
        position = journal.append([make_trade(1)])
        assert journal.committed < position
        assert await journal.next_batch(position - 1) is None
        assert journal.pending_bytes > 0


async def test_appends_while_a_commit_runs_share_the_next_one(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        await journal.wait_committed(journal.append([make_trade(0)]))
        before = journal.statistics()["commits"]
        position = 0
        for n in range(1, 500):
            position = journal.append([make_trade(n)])
        with anyio.fail_after(5):
            await journal.wait_committed(position)
        assert journal.statistics()["commits"] - before <= 2
        assert journal.statistics()["rows"] == 500


async def test_an_empty_append_takes_no_position(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        position = journal.append([make_trade(1)])
        assert journal.append([]) == position


async def test_closing_commits_everything(open_journal: Any, make_trade: Any) -> None:
    async with open_journal(running=False) as journal:
        position = journal.append([make_trade(1)])
    async with open_journal() as journal:
        assert journal.committed == position
        assert journal.damage is None
        assert [r async for r in journal.read_from(0)] == [(position, [make_trade(1)])]


async def test_the_owner_s_task_ends_when_the_journal_is_closed_in_its_pause(
    tmp_path: Path, make_trade: Any
) -> None:
    journal = await Journal.open(
        tmp_path,
        clock=SystemClock(),
        executor=InlineExecutor(),
        settings=JournalSettings(commit_ms=50.0),
    )
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.run)
            await journal.wait_committed(journal.append([make_trade(1)]))
            await journal.aclose()


async def test_a_closed_journal_refuses_appends_and_waits(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        position = journal.append([make_trade(1)])
    with pytest.raises(JournalError, match="closed"):
        journal.append([make_trade(2)])
    with pytest.raises(JournalError, match="closed"):
        await journal.wait_committed(position + 1)
    with pytest.raises(JournalError, match="closed"):
        await journal.spans()
    await journal.aclose()


async def test_a_cancelled_owner_finishes_the_commit_that_runs(
    tmp_path: Path, make_trade: Any
) -> None:
    """The commit runs in a thread; afterwards the rows are there exactly once."""
    for after_s in (0.0, 0.0005, 0.002):
        journal = await Journal.open(
            tmp_path,
            clock=SystemClock(),
            executor=ThreadExecutor(),
            settings=JournalSettings(commit_ms=0.1),
        )
        start = journal.committed
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.run)
            for n in range(50):
                journal.append([make_trade(n)])
            await anyio.sleep(after_s)
            tasks.cancel_scope.cancel()
        await journal.aclose()
        journal = await Journal.open(
            tmp_path, clock=SystemClock(), executor=ThreadExecutor()
        )
        rows = [records async for _, records in journal.read_from(start)]
        await journal.aclose()
        assert rows == [[make_trade(n)] for n in range(50)]


async def test_positions_of_a_restarted_journal_are_never_used_again(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal(running=False) as journal:
        before = journal.append([make_trade(1)])
    async with open_journal() as journal:
        after = journal.append([make_trade(2)])
        await journal.wait_committed(after)
        assert after > before
        batch = await journal.next_batch(before)
        assert batch is not None
        assert [part.position for part in batch.parts] == [after]


async def test_commits_keep_their_distance(open_journal: Any, make_trade: Any) -> None:
    async with open_journal(JournalSettings(commit_ms=50)) as journal:
        with anyio.fail_after(5):
            for n in range(4):
                await journal.wait_committed(journal.append([make_trade(n)]))
                await anyio.sleep(0.001)
        assert journal.statistics()["commits"] <= 4


async def test_bans_outlive_the_process_until_they_are_over(
    open_journal: Any,
) -> None:
    later = SystemClock.wall_ns() + 3_600 * 10**9
    async with open_journal() as journal:
        journal.remember_ban("okx", later)
        journal.remember_ban("binance", SystemClock.wall_ns() - 1)
    async with open_journal() as journal:
        assert journal.bans() == {"okx": later}


async def test_checkpoints_outlive_the_process(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        position = journal.append([make_trade(1)])
        journal.checkpoint("bars", position, b"one")
        journal.checkpoint("bars", position, b"two")
        journal.checkpoint("old", position, b"three")
        await journal.wait_committed(position)
    async with open_journal() as journal:
        assert journal.checkpoints() == {
            "bars": (position, b"two"),
            "old": (position, b"three"),
        }
        journal.retain_checkpoints({"bars"})
    async with open_journal() as journal:
        assert journal.checkpoints() == {"bars": (position, b"two")}


async def test_every_commit_is_flushed_to_the_disk(tmp_path: Path) -> None:
    """A commit that only the system's cache has would not outlive a power cut."""
    with closing(connect(tmp_path / "journal.db")) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    full = 2
    assert (mode, synchronous) == ("wal", full)
