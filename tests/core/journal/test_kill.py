"""kill -9 is the normal shutdown: what was acknowledged is there, once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tapeline.clock import SystemClock
from tapeline.journal import Journal
from tapeline.model import Trade
from tapeline.testing import InlineExecutor

pytestmark = pytest.mark.anyio

WRITER = """
import sys, anyio
from decimal import Decimal
from tapeline.clock import SystemClock
from tapeline.journal import Journal, JournalSettings
from tapeline.model import Subscription, Trade
from tapeline.runtime.executor import ThreadExecutor

stream = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")

def trade(n):
    return Trade(stream, str(n), n, n, 1, "buy", Decimal(n), Decimal(1), n, n)

async def main():
    journal = await Journal.open(
        sys.argv[1], clock=SystemClock(), executor=ThreadExecutor(),
        settings=JournalSettings(commit_ms=0.2, lazy_s=0.01),
    )
    journal.register_sink("local", None)
    n = int(sys.argv[2])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.run)
        while True:
            size = n % 4 + 1
            position = journal.append([trade(n + k) for k in range(size)])
            n += size
            if n % 3 == 0:
                await journal.wait_committed(position)
                print(n, flush=True)
            if n % 50 == 0:
                journal.checkpoint("bars", position, b"x" * 100)

anyio.run(main)
"""


async def test_acknowledged_rows_survive_a_kill_at_random_moments(
    tmp_path: Path,
) -> None:
    rng = random.Random(7)
    start = 0
    for _ in range(6):
        writer = subprocess.Popen(  # noqa: ASYNC220 - the loop has nothing else to do
            [sys.executable, "-c", WRITER, str(tmp_path), str(start)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline()]
        time.sleep(rng.uniform(0.0, 0.15))  # noqa: ASYNC251
        writer.kill()
        lines += writer.stdout.readlines()
        writer.wait(10)
        writer.stdout.close()
        acknowledged = max(int(line) for line in lines if line.endswith("\n"))
        start = await stored_up_to(tmp_path)
        assert start >= acknowledged


async def stored_up_to(folder: Path) -> int:
    """Number of trades in the journal; they are 0, 1, 2 … without hole or double."""
    journal = await Journal.open(folder, clock=SystemClock(), executor=InlineExecutor())
    try:
        assert journal.damage is None
        ids: list[Any] = []
        async for _, records in journal.read_from(0):
            ids += [r.last_id for r in records if isinstance(r, Trade)]
        assert ids == list(range(len(ids)))
        return len(ids)
    finally:
        await journal.aclose()
