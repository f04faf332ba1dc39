"""One process per data folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tapeline.clock import SystemClock
from tapeline.errors import JournalError, JournalLocked
from tapeline.journal import Journal
from tapeline.testing import InlineExecutor

pytestmark = pytest.mark.anyio

SECOND_PROCESS = """
import sys, anyio
from tapeline.clock import SystemClock
from tapeline.errors import JournalLocked
from tapeline.journal import Journal
from tapeline.testing import InlineExecutor

async def main():
    try:
        await Journal.open(sys.argv[1], clock=SystemClock(), executor=InlineExecutor())
    except JournalLocked as error:
        print(error)

anyio.run(main)
"""


async def test_a_second_process_is_refused_and_told_who_works_here(
    open_journal: Any, tmp_path: Path
) -> None:
    import os

    async with open_journal():
        ran = subprocess.run(  # noqa: ASYNC221 - the loop has nothing else to do
            [sys.executable, "-c", SECOND_PROCESS, str(tmp_path / "data")],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert f"in use by pid {os.getpid()} on " in ran.stdout
    assert "choose another data_dir" in ran.stdout


async def test_two_journals_of_one_process_are_refused_too(
    open_journal: Any, tmp_path: Path
) -> None:
    async with open_journal():
        with pytest.raises(JournalLocked):
            await Journal.open(
                tmp_path / "data", clock=SystemClock(), executor=InlineExecutor()
            )
    async with open_journal() as journal:
        assert journal.damage is None


async def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="choose another data_dir"):
        await Journal.open(
            tmp_path / "file" / "data", clock=SystemClock(), executor=InlineExecutor()
        )
