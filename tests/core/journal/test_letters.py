"""Dead letters outlive the process, damage, and an older version of the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from tapeline.clock import SystemClock
from tapeline.journal import JournalLike, MemoryJournal
from tapeline.journal import letters as rows
from tapeline.model import KeptLetter

pytestmark = pytest.mark.anyio


@pytest.fixture
def make_letter(make_trade: Any) -> Any:
    """A refused trade."""

    def make(number: int, sink: str = "local") -> KeptLetter:
        return KeptLetter(
            sink, number, 0, 100 + number, "too long: \ud800", 5, make_trade(number)
        )

    return make


async def check(journal: JournalLike, make_letter: Any) -> None:
    """What every journal does with letters."""
    one, two = make_letter(1), make_letter(2)
    foreign = make_letter(3, "other")
    await journal.keep_letters([one, two, foreign])
    await journal.keep_letters([two])
    assert [letter.key for letter in await journal.letters("local")] == [
        one.key,
        two.key,
    ]
    position = journal.append_retry([two.record], [two.key, ("local", 99, 0)])
    await journal.wait_committed(position)
    kept = await journal.letters("local")
    assert [letter.retry_position for letter in kept] == [None, position]
    await journal.drop_letters([one.key])
    assert [letter.record for letter in await journal.letters("local")] == [two.record]
    assert [letter.key for letter in await journal.letters("other")] == [foreign.key]


async def test_letters_are_kept_marked_and_dropped(
    open_journal: Any, make_letter: Any
) -> None:
    async with open_journal() as journal:
        await check(journal, make_letter)
    async with open_journal() as journal:
        [letter] = await journal.letters("local")
        assert letter.key == ("local", 2, 0)
        assert letter.retry_position is not None
        assert "\\ud800" in letter.reason


async def test_a_journal_in_memory_does_the_same(make_letter: Any) -> None:
    await check(MemoryJournal(SystemClock()), make_letter)


async def test_the_oldest_go_when_there_are_too_many(
    open_journal: Any, make_letter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MAX_LETTERS", 3)
    async with open_journal() as journal:
        await journal.keep_letters([make_letter(n) for n in range(5)])
        await journal.keep_letters([make_letter(1, "other")])
        kept = [letter.position for letter in await journal.letters("local")]
        assert kept == [2, 3, 4]
        assert len(await journal.letters("other")) == 1


async def test_a_journal_from_before_letters_is_no_damage(
    open_journal: Any, make_letter: Any, make_trade: Any, tmp_path: Path
) -> None:
    async with open_journal() as journal:
        name = journal.journal_id
        journal.append([make_trade(1)])
    with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as connection:
        connection.execute("DROP TABLE dead_letters")
    async with open_journal() as journal:
        assert journal.damage is None
        assert journal.journal_id == name
        await journal.keep_letters([make_letter(1)])
        assert len(await journal.letters("local")) == 1


async def test_letters_survive_a_salvage_and_damaged_ones_are_left_out(
    open_journal: Any, make_letter: Any, make_trade: Any, tmp_path: Path
) -> None:
    async with open_journal() as journal:
        journal.append([make_trade(1)])
        await journal.keep_letters([make_letter(1), make_letter(2)])
    path = tmp_path / "data" / "journal.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE dead_letters SET reason='x' WHERE position=1")
        connection.execute("UPDATE meta SET value='nonsense' WHERE key='started'")
    async with open_journal() as journal:
        assert journal.damage is not None
        [letter] = await journal.letters("local")
        assert letter == attrs.evolve(make_letter(2), reason="too long: \\ud800")
