"""A journal that lost its end or its middle: the database keeps what it has."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.clock import SystemClock
from tapeline.delivery import RunnerSettings, SinkRunner
from tapeline.hookspecs import SinkContext
from tapeline.journal import Journal

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("damage", ["older copy", "torn"])
async def test_a_sink_ahead_of_its_journal_loses_and_doubles_nothing(
    make_sink: Callable[..., Any],
    context: SinkContext,
    records: Any,
    query: Callable[[str], Any],
    tmp_path: Path,
    damage: str,
) -> None:
    folder, clock = tmp_path / "journal", SystemClock()

    async def collect(first: int, count: int) -> str:
        async with anyio.create_task_group() as tasks:
            journal = await Journal.open(folder, clock=clock, executor=context.executor)
            settings = RunnerSettings(max_delay_s=0.5)
            runner = SinkRunner(
                "local", make_sink(), None, journal, clock, random.Random(1), settings
            )
            tasks.start_soon(journal.run)
            tasks.start_soon(runner.run)
            with anyio.fail_after(60):
                # As an operator would look: nobody is told.
                while runner.state != "running":  # noqa: ASYNC110
                    await anyio.sleep(0.02)
                for number in range(first, first + count):
                    trade = records.trade(number, received_ns=number)
                    journal.append([trade, records.ticker()])
                await journal.wait_committed(journal.last)
                while runner.cursor != journal.last:  # noqa: ASYNC110
                    await anyio.sleep(0.02)
            state = runner.state
            await runner.stop(5.0)
            await journal.aclose()
        return state

    await collect(1, 30)
    shutil.copy(folder / "journal.db", tmp_path / "copy.db")
    await collect(31, 30)
    content = bytearray((tmp_path / "copy.db").read_bytes())
    if damage == "torn":
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    (folder / "journal.db").write_bytes(content)
    for side in ("-wal", "-shm"):
        (folder / f"journal.db{side}").unlink(missing_ok=True)

    assert await collect(61, 30) == "running"
    assert await query(
        "SELECT count(*), count(DISTINCT last_id), min(last_id), max(last_id) "
        "FROM trades"
    ) == [(90, 90, 1, 90)]
    assert await query("SELECT count(*) FROM tickers") == [(90,)]
