"""Cursors: who is how far, what may be trimmed, and what a sink missed for good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.clock import SystemClock
from tapeline.errors import JournalError
from tapeline.journal import Journal, JournalSettings
from tapeline.model import Coverage, Gap
from tapeline.seams import Arguments, Result
from tapeline.testing import InlineExecutor, VirtualClock, run_virtual
from tapeline.testing.executor import InlineWorker

pytestmark = pytest.mark.anyio


async def fill(journal: Journal, make_trade: Any, first: int, count: int) -> list[int]:
    """Append *count* trades, one a position, and wait for them."""
    positions = [journal.append([make_trade(first + n)]) for n in range(count)]
    await journal.wait_committed(positions[-1])
    return positions


@pytest.fixture
def trimmed_to(until: Any) -> Any:
    """Wait until the rows up to a position are gone."""

    async def wait(journal: Journal, position: int) -> None:
        await until(lambda: journal.floor >= position)

    return wait


async def test_a_new_sink_starts_with_the_oldest_row(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        positions = await fill(journal, make_trade, 0, 3)
        cursor = journal.register_sink("local", None)
        batch = await journal.next_batch(cursor, sink="local")
        assert batch is not None
        assert [part.position for part in batch.parts] == positions


async def test_a_sinks_own_cursor_wins_over_what_the_journal_remembers(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        positions = await fill(journal, make_trade, 0, 5)
        journal.register_sink("local", None)
        journal.advance_cursor("local", positions[1])
    async with open_journal() as journal:
        assert journal.cursor("local") == positions[1]
        assert journal.register_sink("local", positions[3]) == positions[3]
        assert journal.cursor("local") == positions[3]


async def test_a_sink_without_a_cursor_goes_on_where_the_journal_remembers(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        positions = await fill(journal, make_trade, 0, 5)
        journal.register_sink("feed", None, own_cursor=False)
        journal.advance_cursor("feed", positions[1])
    async with open_journal() as journal:
        assert journal.register_sink("feed", None, own_cursor=False) == positions[1]


async def test_a_cursor_never_goes_back(open_journal: Any, make_trade: Any) -> None:
    async with open_journal() as journal:
        positions = await fill(journal, make_trade, 0, 5)
        journal.register_sink("local", None)
        journal.advance_cursor("local", positions[3])
        journal.advance_cursor("local", positions[1])
        assert journal.cursor("local") == positions[3]


async def test_a_sink_has_to_register_before_it_advances(open_journal: Any) -> None:
    async with open_journal() as journal:
        with pytest.raises(JournalError, match="'local'"):
            journal.advance_cursor("local", 1)


async def test_trim_goes_up_to_the_slowest_sink_and_the_checkpoint(
    open_journal: Any, make_trade: Any, trimmed_to: Any
) -> None:
    async with open_journal() as journal:
        journal.register_sink("fast", None)
        journal.register_sink("slow", None)
        positions = await fill(journal, make_trade, 0, 10)
        journal.checkpoint("bars", positions[6], b"")
        journal.advance_cursor("fast", positions[9])
        journal.advance_cursor("slow", positions[4])
        await trimmed_to(journal, positions[4])
        await anyio.sleep(0.02)
        assert journal.floor == positions[4]
        journal.advance_cursor("slow", positions[9])
        await trimmed_to(journal, positions[6])
        await anyio.sleep(0.02)
        assert journal.floor == positions[6]
        assert journal.statistics()["rows"] == 3


async def test_sinks_known_from_before_hold_the_trim_until_they_are_forgotten(
    open_journal: Any, make_trade: Any, trimmed_to: Any
) -> None:
    async with open_journal() as journal:
        journal.register_sink("gone", None)
        positions = await fill(journal, make_trade, 0, 4)
    async with open_journal() as journal:
        journal.register_sink("local", positions[-1])
        await anyio.sleep(0.03)
        assert journal.statistics()["rows"] == 4
        journal.retain_sinks({"local"})
        await trimmed_to(journal, positions[-1])
    async with open_journal() as journal:
        assert journal.cursor("gone") is None


async def test_an_expected_sink_holds_the_trim_before_it_could_open(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        journal.expect_sink("late")
        journal.register_sink("fast", None)
        positions = await fill(journal, make_trade, 0, 4)
        journal.advance_cursor("fast", positions[-1])
        await anyio.sleep(0.03)
        cursor = journal.register_sink("late", None)
        batch = await journal.next_batch(cursor, sink="late")
        assert batch is not None
        assert [part.position for part in batch.parts] == positions


async def test_a_restored_database_is_told_what_it_will_never_get(
    open_journal: Any, make_trade: Any, stream: Any, trimmed_to: Any
) -> None:
    async with open_journal() as journal:
        journal.register_sink("local", None)
        early = await fill(journal, make_trade, 0, 3)
        journal.advance_cursor("local", early[-1])
        await trimmed_to(journal, early[-1])
        late = await fill(journal, make_trade, 10, 2)
    async with open_journal() as journal:
        cursor = journal.register_sink("local", early[0])
        assert cursor == early[0]
        told = await journal.next_batch(cursor, sink="local")
        assert told is not None
        (part,) = told.parts
        assert part.position == early[-1]
        (gap,) = part.records
        assert isinstance(gap, Gap)
        assert (gap.stream, gap.cause, gap.for_sink) == (stream, "restored", "local")
        assert (gap.from_id, gap.to_id) == (0, 2)
        journal.advance_cursor("local", told.last_position)
        rest = await journal.next_batch(told.last_position, sink="local")
        assert rest is not None
        assert [part.position for part in rest.parts] == late
        other = await journal.next_batch(early[0], sink="other")
        assert other is not None
        assert [part.position for part in other.parts] == late


async def test_a_sink_that_comes_late_is_told_of_what_was_trimmed(
    open_journal: Any, make_trade: Any, trimmed_to: Any
) -> None:
    async with open_journal() as journal:
        journal.register_sink("local", None)
        positions = await fill(journal, make_trade, 0, 3)
        journal.advance_cursor("local", positions[-1])
        await trimmed_to(journal, positions[-1])
        cursor = journal.register_sink("warehouse", None)
        told = await journal.next_batch(cursor, sink="warehouse")
        assert told is not None
        (gap,) = told.parts[0].records
        assert isinstance(gap, Gap)
        assert (gap.cause, gap.from_id, gap.to_id) == ("late-sink", 0, 2)


async def test_a_loss_that_is_not_stored_yet_is_told_again_after_a_restart(
    open_journal: Any, make_trade: Any, trimmed_to: Any
) -> None:
    async with open_journal() as journal:
        journal.register_sink("local", None)
        positions = await fill(journal, make_trade, 0, 3)
        journal.advance_cursor("local", positions[-1])
        await trimmed_to(journal, positions[-1])
        journal.register_sink("local", positions[0])
        await anyio.sleep(0.03)
    async with open_journal() as journal:
        journal.register_sink("local", positions[0])
        told = await journal.next_batch(positions[0], sink="local")
        assert told is not None
        assert [type(record) for record in told.parts[0].records] == [Gap]
        journal.advance_cursor("local", told.last_position)
    async with open_journal() as journal:
        journal.register_sink("local", positions[-1])
        assert await journal.next_batch(positions[-1], sink="local") is None


async def test_a_sink_that_is_further_than_the_journal_shows_a_lost_tail(
    open_journal: Any, make_trade: Any
) -> None:
    """Its numbers are not given out again, and what comes next reaches it."""
    async with open_journal() as journal:
        await fill(journal, make_trade, 0, 1)
    async with open_journal() as journal:
        far = journal.last + 10**15
        assert journal.register_sink("local", far) == far
        assert journal.damages[0].lost
        position = journal.append([make_trade(1)])
        assert position == far + 1
        await journal.wait_committed(position)
        batch = await journal.next_batch(far, sink="local")
        assert batch is not None
        assert batch.last_position == position


async def test_a_sink_that_is_a_little_further_shows_a_lost_tail_too(
    open_journal: Any, make_trade: Any
) -> None:
    async with open_journal() as journal:
        await fill(journal, make_trade, 0, 1)
    async with open_journal() as journal:
        journal.register_sink("local", journal.last + 5)
        assert "the end of the journal is missing" in journal.damages[0].reason
        position = journal.append([make_trade(1)])
        await journal.wait_committed(position)
        batch = await journal.next_batch(position - 1, sink="local")
        assert batch is not None
        assert batch.last_position == position


async def test_facts_in_rows_are_counted_by_their_stream(
    open_journal: Any, make_trade: Any, stream: Any, trimmed_to: Any
) -> None:
    """Coverage makes no gap when its row is trimmed."""
    async with open_journal() as journal:
        journal.register_sink("local", None)
        position = journal.append([Coverage(stream, 1, None, 1, 2)])
        await journal.wait_committed(position)
        journal.advance_cursor("local", position)
        await trimmed_to(journal, position)
        cursor = journal.register_sink("late", None)
        told = await journal.next_batch(cursor, sink="late")
        assert told is not None
        assert list(told.parts[0].records) == []


@pytest.mark.parametrize(("chunk_rows", "max_chunks"), [(2_000, 256), (1, 3)])
async def test_many_small_trims_add_up(
    open_journal: Any,
    make_trade: Any,
    monkeypatch: pytest.MonkeyPatch,
    chunk_rows: int,
    max_chunks: int,
    trimmed_to: Any,
) -> None:
    """Summaries of trimmed rows are joined, and none is dropped."""
    monkeypatch.setattr("tapeline.journal.trimming._CHUNK_ROWS", chunk_rows)
    monkeypatch.setattr("tapeline.journal.trimming._MAX_CHUNKS", max_chunks)
    settings = JournalSettings(commit_ms=0.1, lazy_s=0.005, trim_rows=2)
    async with open_journal(settings) as journal:
        start = journal.register_sink("local", None)
        positions = await fill(journal, make_trade, 0, 30)
        journal.advance_cursor("local", positions[-1])
        await trimmed_to(journal, positions[-1])
    async with open_journal() as journal:
        journal.register_sink("local", start)
        told = await journal.next_batch(start, sink="local")
        assert told is not None
        (gap,) = told.parts[0].records
        assert isinstance(gap, Gap)
        assert (gap.from_id, gap.to_id) == (0, 29)


def test_rows_are_trimmed_also_when_nothing_happens_any_more(
    tmp_path: Path, make_trade: Any
) -> None:
    """The last cursor of a burst comes right after a trim: it is not forgotten."""

    async def main() -> None:
        clock = VirtualClock()
        journal = await Journal.open(
            tmp_path, clock=clock, executor=InlineExecutor(), settings=JournalSettings()
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.run)
            journal.register_sink("local", None)
            for n in range(20):
                await journal.wait_committed(journal.append([make_trade(n)]))
                journal.advance_cursor("local", journal.last)
                journal.checkpoint("bars", journal.last, b"")
            await clock.sleep(5)
            assert journal.floor == journal.last
            assert int(journal.statistics()["commits"]) < 50
            first, second = (journal.append([make_trade(n)]) for n in (20, 21))
            journal.advance_cursor("local", first)
            await clock.sleep(5)
            assert journal.floor < first
            journal.checkpoint("bars", second, b"")
            await clock.sleep(1.5)
            assert journal.floor == first
            journal.advance_cursor("local", second)
            await journal.wait_committed(journal.append([make_trade(22)]))
            await clock.sleep(5)
            assert journal.floor == second
            await journal.aclose()

    run_virtual(main)


async def test_a_read_that_comes_too_late_tells_the_loss_instead(
    tmp_path: Path, make_trade: Any
) -> None:
    """The rows go between asking for them and reading them."""
    executor = HoldingExecutor()
    journal = await Journal.open(
        tmp_path,
        clock=SystemClock(),
        executor=executor,
        settings=JournalSettings(quota_bytes=5_000, ring_bytes=0, commit_ms=0.1),
    )
    start = journal.register_sink("slow", None)
    await fill_by_hand(journal, make_trade, 0, 10)
    batches = []

    async def read() -> None:
        batches.append(await journal.next_batch(start, sink="slow"))

    async with anyio.create_task_group() as tasks:
        executor.one.hold_next()
        tasks.start_soon(read)
        await anyio.sleep(0.005)
        await fill_by_hand(journal, make_trade, 10, 100)
        assert journal.floor > start
        executor.one.release()
    (batch,) = batches
    assert batch is not None
    gap = batch.parts[0].records[0]
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.from_id) == ("quota", 0)
    await journal.aclose()


async def fill_by_hand(
    journal: Journal, make_trade: Any, first: int, count: int
) -> None:
    """Append and do what the owner's task does, without one."""
    for n in range(first, first + count):
        journal.append([make_trade(n)])
        await journal._committer.commit()
        await journal._committer.keep_quota()
        await journal._committer.commit()


class HoldingWorker(InlineWorker):
    """An inline worker; a call can be held until it is released."""

    def __init__(self) -> None:
        self._held: anyio.Event | None = None
        self._hold = False

    def hold_next(self) -> None:
        """The next call waits for ``release``; later ones overtake it."""
        self._hold = True
        self._held = anyio.Event()

    def release(self) -> None:
        """Let the held call go on."""
        if self._held is not None:
            self._held.set()

    async def run(
        self, call: Callable[[*Arguments], Result], *args: *Arguments
    ) -> Result:
        """Run the call, later when it is held."""
        if self._hold and self._held is not None:
            self._hold = False
            await self._held.wait()
        return await super().run(call, *args)


class HoldingExecutor:
    """Hands out one worker, over and over."""

    def __init__(self) -> None:
        self.one = HoldingWorker()

    def worker(self, name: str) -> HoldingWorker:
        """The one worker."""
        return self.one


async def test_a_late_sink_gets_one_gap_and_its_log_says_so(
    open_journal: Any,
    make_trade: Any,
    make_gap: Any,
    trimmed_to: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Gaps whose rows were trimmed are in it, at its end too."""
    async with open_journal() as journal:
        journal.register_sink("local", None)
        for records in ([make_trade(1)], [make_gap(2, 4)], [make_trade(5)]):
            journal.append(records)
        await journal.wait_committed(journal.append([make_gap(6, 9)]))
        journal.advance_cursor("local", journal.last)
        await trimmed_to(journal, journal.last)
        await journal.wait_committed(journal.append([make_trade(10)]))
        cursor = journal.register_sink("warehouse", None)
        told = await journal.next_batch(cursor, sink="warehouse")
        assert told is not None
        (gap,) = told.parts[0].records
        assert isinstance(gap, Gap)
        assert (gap.cause, gap.from_id, gap.to_id) == ("late-sink", 1, 9)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("tapeline.sink.warehouse", "WARNING")
    assert "about 4 rows" in record.message
    assert "late-sink" in record.message


async def test_a_sink_that_misses_nothing_is_not_in_the_log(
    open_journal: Any, make_trade: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_journal() as journal:
        await fill(journal, make_trade, 0, 3)
        journal.register_sink("local", None)
    assert caplog.records == []
