"""A full disk stops nothing for good: what waits is kept, bounded, and stored later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.clock import SystemClock
from tapeline.errors import JournalFull
from tapeline.journal import Journal, JournalSettings
from tapeline.model import RawMessage
from tapeline.testing import InlineExecutor

pytestmark = pytest.mark.anyio

TINY = JournalSettings(
    commit_ms=0.1,
    lazy_s=0.005,
    retry_s=0.005,
    max_file_bytes=40 * 4_096,
    memory_bytes=200_000,
)


async def until_full(journal: Journal, stream: Any) -> list[RawMessage]:
    """Append large rows until the disk refuses; returns all of them."""
    messages: list[RawMessage] = []
    with anyio.fail_after(5):
        while not journal.full:
            messages.append(RawMessage(stream, len(messages), "x" * 6_000))
            journal.append([messages[-1]])
            await anyio.sleep(0.002)
    return messages


async def test_a_full_disk_is_told_and_the_rows_wait(
    open_journal: Any, stream: Any
) -> None:
    async with open_journal(TINY) as journal:
        journal.register_sink("local", None)
        messages = await until_full(journal, stream)
        assert "full" in str(journal.statistics()["disk_error"])
        assert journal.pending_bytes > 0
        assert journal.committed < journal.last
        journal.advance_cursor("local", journal.committed)
        with anyio.fail_after(5):
            await journal.wait_committed(journal.last)
        assert not journal.full
        assert journal.pending_bytes == 0
        assert journal.statistics()["disk_error"] == ""
        rest = [row async for row in journal.read_from(journal.floor)]
        assert rest[-1][1] == [messages[-1]]


async def test_nothing_is_lost_or_doubled_over_a_full_disk(
    open_journal: Any, stream: Any
) -> None:
    async with open_journal(TINY) as journal:
        after = journal.register_sink("local", None)
        messages = await until_full(journal, stream)
        seen: list[Any] = []
        with anyio.fail_after(10):
            while len(seen) < len(messages) + 20:
                if len(messages) < 100 and not journal.full:
                    messages.append(RawMessage(stream, len(messages), "y" * 100))
                    journal.append([messages[-1]])
                batch = await journal.next_batch(after, 3, sink="local")
                if batch is None:
                    if len(messages) >= 100 and after == journal.last:
                        break
                    await anyio.sleep(0.002)
                    continue
                seen += [record for _, _, record in batch.records()]
                after = batch.last_position
                journal.advance_cursor("local", after)
        assert seen == messages


async def test_memory_for_what_waits_is_bounded(open_journal: Any, stream: Any) -> None:
    async with open_journal(TINY) as journal:
        await until_full(journal, stream)
        message = RawMessage(stream, 0, "x" * 6_000)
        while journal.pressure < 1:
            journal.append([message])
        with pytest.raises(JournalFull, match="200000 bytes"):
            journal.append([message])
        assert journal.pressure >= 1
        assert journal.pending_bytes < 220_000
        journal.retain_sinks(())
        # Room comes back when the disk has some again.
        journal._file.store.limit(None)
        with anyio.fail_after(5):
            await journal.wait_committed(journal.last)
        assert journal.pressure == 0


async def test_closing_on_a_full_disk_says_what_is_not_stored(
    tmp_path: Path, stream: Any
) -> None:
    journal = await Journal.open(
        tmp_path, clock=SystemClock(), executor=InlineExecutor(), settings=TINY
    )
    journal.append([RawMessage(stream, 0, "small")])
    journal.append([RawMessage(stream, 1, "x" * 190_000)])
    with pytest.raises(JournalFull, match="2 rows"):
        await journal.aclose()
    reopened = await Journal.open(
        tmp_path, clock=SystemClock(), executor=InlineExecutor(), settings=TINY
    )
    await reopened.aclose()


async def test_cursors_that_moved_while_the_disk_was_full_are_stored_later(
    open_journal: Any, stream: Any
) -> None:
    async with open_journal(TINY) as journal:
        journal.register_sink("holder", None)
        await until_full(journal, stream)
        cursor = journal.register_sink("late", None)
        journal.advance_cursor("late", cursor + 1)
        journal.remember_ban("okx", SystemClock.wall_ns() + 10**13)
        await anyio.sleep(0.03)
        journal._file.store.limit(None)
        with anyio.fail_after(5):
            await journal.wait_committed(journal.last)
    async with open_journal() as journal:
        assert journal.cursor("late") == cursor + 1
        assert set(journal.bans()) == {"okx"}


async def test_facts_are_taken_though_memory_is_spent(
    open_journal: Any, stream: Any, make_gap: Any
) -> None:
    """They stand between what was taken before them and what comes after."""
    async with open_journal(TINY) as journal:
        after = journal.register_sink("local", None)
        messages = await until_full(journal, stream)
        while journal.pressure < 1:
            messages.append(RawMessage(stream, len(messages), "x" * 6_000))
            journal.append([messages[-1]])
        with pytest.raises(JournalFull):
            journal.append([make_gap(1, 2)])
        position = journal.append([make_gap(1, 2)], urgent=True)
        assert position == journal.last
        journal._file.store.limit(None)
        with anyio.fail_after(5):
            await journal.wait_committed(position)
        journal.append([RawMessage(stream, 0, "late")])
        with anyio.fail_after(5):
            await journal.wait_committed(journal.last)
        kept = [row async for _, rows in journal.read_from(after) for row in rows]
        assert kept == [*messages, make_gap(1, 2), RawMessage(stream, 0, "late")]
