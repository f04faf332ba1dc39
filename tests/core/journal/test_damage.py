"""Starting never fails on damage: what is good is kept, what is lost is reported."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from tapeline.clock import SystemClock
from tapeline.journal import Journal, JournalSettings
from tapeline.model import Gap, Record, Trade
from tapeline.testing import InlineExecutor

pytestmark = pytest.mark.anyio

ROWS = 60
# Samples of a campaign that takes all of them when there is time.
SCALE = int(os.environ.get("TAPELINE_DAMAGE_SCALE", "1"))
SETTINGS = JournalSettings(commit_ms=0.1, lazy_s=0.005, retry_s=0.005)


@attrs.frozen
class Original:
    """A journal's files, and what stood in them."""

    folder: Path
    journal_id: str
    rows: dict[int, list[Record]]
    trimmed: int

    def copy(self, target: Path) -> Path:
        """The same files in a new folder."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.folder, target)
        return target


async def make_original(folder: Path, make_trade: Any, *, crash: bool) -> Original:
    """A journal with rows, a trimmed part, a cursor, a checkpoint and a loss."""
    journal = await Journal.open(
        folder, clock=SystemClock(), executor=InlineExecutor(), settings=SETTINGS
    )
    journal.register_sink("local", None)
    positions = [
        journal.append([make_trade(3 * n + k) for k in range(3)]) for n in range(ROWS)
    ]
    await journal._committer.commit()
    journal.advance_cursor("local", positions[9])
    journal.checkpoint("bars", positions[9], b"bars" * 50)
    journal.remember_ban("okx", SystemClock.wall_ns() + 10**13)
    journal._committer.trim_soon()
    await journal._committer.commit()
    journal._committer.trim_soon()
    await journal._committer.commit()
    assert journal.floor == positions[9]
    journal.register_sink("restored", positions[3])
    await journal._committer.commit()
    rows = {
        position: [make_trade(3 * n + k) for k in range(3)]
        for n, position in enumerate(positions)
    }
    if not crash:
        await journal.aclose()
        return Original(folder, journal.journal_id, rows, positions[9])
    crashed = folder.with_name(folder.name + "-crashed")
    shutil.copytree(folder, crashed)
    await journal.aclose()
    return Original(crashed, journal.journal_id, rows, positions[9])


@pytest.fixture
async def closed(tmp_path: Path, make_trade: Any) -> Original:
    """The files of a journal that was closed."""
    return await make_original(tmp_path / "original", make_trade, crash=False)


@pytest.fixture
async def crashed(tmp_path: Path, make_trade: Any) -> Original:
    """The files of a journal whose process was killed: all in the log."""
    return await make_original(tmp_path / "killed", make_trade, crash=True)


async def check(
    folder: Path, original: Original, make_trade: Any, *, log_only: bool = False
) -> Journal:
    """Open *folder*; whatever happened to it, these hold."""
    journal = await Journal.open(
        folder, clock=SystemClock(), executor=InlineExecutor(), settings=SETTINGS
    )
    found = {p: list(records) async for p, records in journal.read_from(0)}
    lost = {p for p in original.rows if p > original.trimmed} - set(found)
    for position, records in found.items():
        if records == original.rows.get(position):
            continue
        # A row whose payload is bad is told from its headers, exactly.
        expected = [r for r in original.rows[position] if isinstance(r, Trade)]
        gaps = [r for r in records if isinstance(r, Gap)]
        assert len(gaps) == len(records)
        if gaps:
            (gap,) = gaps
            assert (gap.cause, gap.from_id, gap.to_id) == (
                "damage",
                expected[0].first_id,
                expected[-1].last_id,
            )
        assert journal.statistics()["damaged_rows"]
    if lost and log_only:
        # A log is cut where it is broken: what is left is a prefix.
        assert not found or max(found) < min(lost) or journal.damages
    elif lost:
        assert journal.damages
        assert journal.damages[0].lost
    # It goes on working, under numbers that were never used before.
    position = journal.append([make_trade(9_999)])
    assert position > max(original.rows)
    await journal._committer.commit()
    assert journal.committed == position
    await journal.aclose()
    again = await Journal.open(
        folder, clock=SystemClock(), executor=InlineExecutor(), settings=SETTINGS
    )
    assert again.damage is None
    assert again.journal_id == journal.journal_id
    kept = [p async for p, _ in again.read_from(0)]
    assert kept == [*sorted(found), position]
    await again.aclose()
    return journal


async def test_an_intact_journal_has_no_damage(
    closed: Original, crashed: Original, make_trade: Any
) -> None:
    for original in (closed, crashed):
        journal = await check(original.folder, original, make_trade)
        assert journal.damage is None
        assert journal.journal_id == original.journal_id


async def test_a_journal_cut_anywhere_starts(
    closed: Original, tmp_path: Path, make_trade: Any
) -> None:
    size = (closed.folder / "journal.db").stat().st_size
    rng = random.Random(1)
    cuts = {0, 1, 15, 16, 99, 100, size - 1}
    cuts |= {page * 4_096 + more for page in range(size // 4_096) for more in (0,)}
    cuts |= {rng.randrange(size) for _ in range(10 * SCALE)}
    for cut in sorted(cuts):
        folder = closed.copy(tmp_path / "cut")
        with (folder / "journal.db").open("r+b") as file:
            file.truncate(cut)
        journal = await check(folder, closed, make_trade)
        if cut <= size - 4_096:
            assert journal.damage is not None, cut
            assert (folder / journal.damage.set_aside).exists()


async def test_a_log_cut_anywhere_starts_with_a_prefix(
    crashed: Original, tmp_path: Path, make_trade: Any
) -> None:
    size = (crashed.folder / "journal.db-wal").stat().st_size
    rng = random.Random(2)
    cuts = {
        0,
        1,
        31,
        32,
        33,
        size - 1,
        *(rng.randrange(size) for _ in range(15 * SCALE)),
    }
    for cut in sorted(cuts):
        folder = crashed.copy(tmp_path / "cut")
        with (folder / "journal.db-wal").open("r+b") as file:
            file.truncate(cut)
        await check(folder, crashed, make_trade, log_only=True)


async def test_a_flipped_bit_anywhere_costs_no_more_than_it_touched(
    closed: Original, tmp_path: Path, make_trade: Any
) -> None:
    rng = random.Random(5)
    size = (closed.folder / "journal.db").stat().st_size
    for _ in range(50 * SCALE):
        folder = closed.copy(tmp_path / "flipped")
        flip(folder / "journal.db", rng.randrange(size * 8))
        await check(folder, closed, make_trade)


async def test_a_flipped_bit_in_the_log_starts_with_a_prefix(
    crashed: Original, tmp_path: Path, make_trade: Any
) -> None:
    rng = random.Random(3)
    size = (crashed.folder / "journal.db-wal").stat().st_size
    for _ in range(20 * SCALE):
        folder = crashed.copy(tmp_path / "flipped")
        flip(folder / "journal.db-wal", rng.randrange(size * 8))
        await check(folder, crashed, make_trade, log_only=True)


async def test_many_flips_start_too(
    closed: Original, tmp_path: Path, make_trade: Any
) -> None:
    rng = random.Random(4)
    size = (closed.folder / "journal.db").stat().st_size
    for count in (2, 8, 64, 512) * 4 * SCALE:
        folder = closed.copy(tmp_path / "flipped")
        for _ in range(count):
            flip(folder / "journal.db", rng.randrange(size * 8))
        await check(folder, closed, make_trade)


async def test_rows_around_a_bad_page_are_carried_over(
    closed: Original, tmp_path: Path, make_trade: Any
) -> None:
    """Both sides of the damage survive, with the name, cursors and checkpoints."""
    pages = (closed.folder / "journal.db").stat().st_size // 4_096
    salvaged = []
    for page in range(1, pages):
        folder = closed.copy(tmp_path / "page")
        with (folder / "journal.db").open("r+b") as file:
            file.seek(page * 4_096)
            file.write(b"\xaa" * 4_096)
        journal = await check(folder, closed, make_trade)
        assert journal.journal_id == closed.journal_id or journal.damage is not None
        if journal.damage is not None:
            salvaged.append(journal.damage.salvaged_rows)
    assert max(salvaged) >= ROWS - 10
    assert sum(0 < rows < ROWS - 10 for rows in salvaged) >= 2


DISASTERS: dict[str, Callable[[Path], object]] = {
    "missing": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "zeros": lambda file: file.write_bytes(bytes(20_000)),
    "text": lambda file: file.write_text("not a database\n" * 100),
    "folder": lambda file: make_folder(file),
    "foreign database": lambda file: make_foreign(file),
    "later version": lambda file: run(
        file, "UPDATE meta SET value='99', crc=0 WHERE key='version'"
    ),
    "no table": lambda file: run(file, "DROP TABLE outbox"),
    "more columns": lambda file: run(file, "ALTER TABLE bans ADD COLUMN more"),
    "no name": lambda file: run(file, "DELETE FROM meta"),
}


@pytest.mark.parametrize("disaster", DISASTERS)
async def test_every_disaster_is_set_aside_and_reported(
    closed: Original, tmp_path: Path, make_trade: Any, disaster: str
) -> None:
    folder = closed.copy(tmp_path / "disaster")
    DISASTERS[disaster](folder / "journal.db")
    journal = await check(folder, closed, make_trade)
    assert journal.damage is not None
    assert "journal.db" in journal.damage.reason
    if disaster != "missing":
        assert (folder / journal.damage.set_aside).exists()


async def test_a_later_version_is_not_touched_and_not_guessed_at(
    closed: Original, tmp_path: Path, make_trade: Any
) -> None:
    from tapeline.journal.rows import text_crc

    folder = closed.copy(tmp_path / "later")
    run(
        folder / "journal.db",
        f"UPDATE meta SET value='99', crc={text_crc('version', '99')} "
        "WHERE key='version'",
    )
    journal = await check(folder, closed, make_trade)
    assert journal.damage is not None
    assert "expected journal version 1, found 99" in journal.damage.reason
    assert journal.damage.new_journal
    assert journal.damage.salvaged_rows == 0


async def test_a_missing_log_is_reported(
    crashed: Original, tmp_path: Path, make_trade: Any
) -> None:
    """Also when the file itself is whole: it was open, so there was a log."""
    (crashed.folder / "journal.db-wal").unlink()
    journal = await check(crashed.folder, crashed, make_trade)
    assert journal.damage is not None
    assert "its log is missing" in journal.damage.reason
    assert journal.journal_id == crashed.journal_id


async def test_a_log_without_its_journal_is_set_aside(
    crashed: Original, make_trade: Any
) -> None:
    (crashed.folder / "journal.db").unlink()
    (crashed.folder / "journal.lock").unlink()
    journal = await check_fresh(crashed.folder)
    assert journal.journal_id != crashed.journal_id


async def check_fresh(folder: Path) -> Journal:
    journal = await Journal.open(
        folder, clock=SystemClock(), executor=InlineExecutor(), settings=SETTINGS
    )
    assert [row async for row in journal.read_from(0)] == []
    await journal.aclose()
    return journal


async def test_a_damaged_cursor_costs_only_the_cursor(
    closed: Original, tmp_path: Path, make_trade: Any
) -> None:
    folder = closed.copy(tmp_path / "cursor")
    run(folder / "journal.db", "UPDATE cursors SET position=5 WHERE sink='local'")
    journal = await Journal.open(
        folder, clock=SystemClock(), executor=InlineExecutor(), settings=SETTINGS
    )
    assert journal.damage is not None
    assert not journal.damage.new_journal
    assert journal.damage.salvaged_rows == ROWS - 10
    assert journal.cursor("local") is None
    assert journal.cursor("restored") is not None
    assert journal.checkpoints() == {"bars": (closed.trimmed, b"bars" * 50)}
    assert journal.floor == closed.trimmed
    assert set(journal.bans()) == {"okx"}
    await journal.aclose()


async def test_damage_while_running_is_salvaged_and_the_run_goes_on(
    closed: Original, tmp_path: Path, make_trade: Any
) -> None:
    folder = closed.copy(tmp_path / "running")
    journal = await Journal.open(
        folder, clock=SystemClock(), executor=InlineExecutor(), settings=SETTINGS
    )
    size = (folder / "journal.db").stat().st_size
    journal._file.store.close()
    with (folder / "journal.db").open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xaa" * (size - 3 * 4_096))
    journal._file.store.reopen()
    position = journal.append([make_trade(9_999)])
    await journal._committer.commit()
    assert journal.committed == position
    assert journal.journal_id == closed.journal_id
    assert [damage.lost for damage in journal.damages] == [True]
    assert journal.cursor("local") == closed.trimmed
    await journal.aclose()
    again = await Journal.open(
        folder, clock=SystemClock(), executor=InlineExecutor(), settings=SETTINGS
    )
    assert again.damage is None
    assert again.cursor("local") == closed.trimmed
    assert again.checkpoints()["bars"] == (closed.trimmed, b"bars" * 50)
    assert [r async for r in again.read_from(position - 1)] == [
        (position, [make_trade(9_999)])
    ]
    await again.aclose()


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file."""
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ (1 << bit % 8)]))


def run(path: Path, statement: str) -> None:
    """Run one statement on a database file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def make_folder(path: Path) -> None:
    """A folder in the place of a file."""
    path.unlink()
    path.mkdir()


def make_foreign(path: Path) -> None:
    """Somebody else's database."""
    path.unlink()
    run(path, "CREATE TABLE songs(title TEXT)")


async def test_a_row_that_cannot_be_read_is_a_gap_with_the_ids_of_its_gaps(
    open_journal: Any,
    tmp_path: Path,
    make_trade: Any,
    make_gap: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_journal() as journal:
        journal.register_sink("local", None)
        await journal.wait_committed(journal.append([make_gap(2, 4), make_trade(5)]))
    connection = sqlite3.connect(tmp_path / "data" / "journal.db")
    with connection:
        connection.execute("UPDATE outbox SET payload=x'00'")
    connection.close()
    async with open_journal() as journal:
        cursor = journal.register_sink("local", None)
        batch = await journal.next_batch(cursor, sink="local")
        assert batch is not None
        gaps = [record for _, _, record in batch.records()]
        assert {(g.from_id, g.to_id, g.cause, g.state) for g in gaps} == {
            (2, 4, "damage", "unrecoverable"),
            (5, 5, "damage", "unrecoverable"),
        }
    assert ("tapeline.sink.local", "WARNING") in {
        (record.name, record.levelname) for record in caplog.records
    }
