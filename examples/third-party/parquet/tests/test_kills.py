"""A kill at any point leaves whole files only, and every row is there once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import polars
import pytest
from tapeline_parquet import Disk

from tapeline.errors import SinkUnavailable

LAST = 8


class Killed(BaseException):
    """The process is no more."""


class MortalDisk(Disk):
    """A disk whose owner dies at its *steps*-th step, in the middle of it."""

    def __init__(self, steps: int, error: type[BaseException] = Killed) -> None:
        self.steps = steps
        self.died_at = ""
        self._error = error

    def _step(self, name: str) -> bool:
        self.steps -= 1
        if self.steps == 0:
            self.died_at = name
        return self.steps == 0

    def _die(self) -> None:
        raise self._error("the disk is gone")

    def write(self, path: Path, content: bytes | memoryview) -> None:
        """Half of it."""
        if self._step("write"):
            path.write_bytes(bytes(content)[: len(content) // 2])
            self._die()
        # Only the process dies here, not the machine: what was written stays.
        path.write_bytes(content)

    def flush_folder(self, folder: Path) -> None:
        """Nothing to wait for."""

    def rename(self, old: Path, new: Path) -> None:
        """Before it, or after it."""
        if self._step("before rename"):
            self._die()
        super().rename(old, new)
        if self._step("after rename"):
            self._die()

    def remove(self, paths: Any) -> None:
        """After the first one."""
        for path in list(paths):
            if self._step("remove"):
                self._die()
            super().remove([path])

    def make_folder(self, folder: Path) -> None:
        """Before it."""
        if self._step("make folder"):
            self._die()
        super().make_folder(folder)


async def write_all(sink: Any, batch: Any, records: Any) -> None:
    """What core does: open, and send everything after the cursor."""
    cursor = await sink.open("j1") or 0
    for number in range(cursor + 1, LAST + 1):
        rows = [records["trade"](number)]
        if number % 3 == 0:
            rows.append(records["ticker"](number))
        await sink.write(batch(number, rows))
    await sink.close()


def check_whole(folder: Path) -> None:
    """Every file that a reader would match can be read."""
    for path in folder.glob("*/*.parquet"):
        if not path.name.startswith("."):
            polars.read_parquet(path)


def begin_anew(folder: Path) -> None:
    """Remove every file; folders stay, as one made them before."""
    for path in folder.glob("*/*"):
        path.unlink()


def unfinished(folder: Path) -> list[Path]:
    """What only a kill leaves behind."""
    return list(folder.glob("*/.tmp-*"))


@pytest.mark.anyio
async def test_after_a_kill_at_any_step_every_row_is_there_once(
    new_sink: Any, batch: Any, records: Any, query: Any, folder: Path
) -> None:
    died: set[str] = set()
    for steps in range(1, 500):
        begin_anew(folder)
        disk = MortalDisk(steps)
        with contextlib.suppress(Killed):
            await write_all(new_sink(disk, rotate_bytes=900), batch, records)
        if not disk.died_at:
            break
        died.add(disk.died_at)
        check_whole(folder)
        await write_all(new_sink(rotate_bytes=900), batch, records)
        assert query("SELECT first_id FROM {trades} ORDER BY first_id") == [
            (number,) for number in range(1, LAST + 1)
        ], disk.died_at
        assert query("SELECT count(*) FROM {tickers}") == [(LAST // 3,)]
        assert unfinished(folder) == []
    else:
        raise AssertionError("it never came to an end")
    assert died == {"write", "before rename", "after rename", "remove", "make folder"}


@pytest.mark.anyio
async def test_a_disk_that_fails_at_any_step_is_tried_again(
    new_sink: Any, batch: Any, records: Any, query: Any, folder: Path
) -> None:
    for steps in range(1, 500, 3):
        begin_anew(folder)
        disk = MortalDisk(steps, OSError)
        sink = new_sink(disk, rotate_bytes=900)
        with contextlib.suppress(SinkUnavailable):
            await sink.open("j1")
        for number in range(1, LAST + 1):
            one = batch(number, [records["trade"](number)])
            # As core does: the same batch again, without another open.
            try:
                await sink.write(one)
            except SinkUnavailable:
                await sink.write(one)
        await sink.close()
        await new_sink().open("j1")
        assert query("SELECT first_id FROM {trades} ORDER BY first_id") == [
            (number,) for number in range(1, LAST + 1)
        ]
        if not disk.died_at:
            break


WRITER = """
import asyncio, logging, sys
from decimal import Decimal
from pathlib import Path
from tapeline.clock import SystemClock
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, Part, Subscription, Trade
from tapeline.testing import InlineExecutor
from tapeline_parquet import ParquetConfig, ParquetSink

folder = Path(sys.argv[1])
stream = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")

async def main():
    context = SinkContext(
        "lake", SystemClock(), InlineExecutor(), logging.getLogger("x"), folder
    )
    sink = ParquetSink(ParquetConfig(path=folder, rotate_bytes=4000), context)
    number = await sink.open("j1") or 0
    print("open", flush=True)
    while True:
        number += 1
        trade = Trade(
            stream, str(number), number, number, 1, "buy", Decimal(1), Decimal(1), 1, 1
        )
        await sink.write(Batch("j1", [Part(number, [trade])]))
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_kill_9_costs_nothing_that_was_said_to_be_stored(
    new_sink: Any, query: Any, folder: Path
) -> None:
    said = 0
    for round_number in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(0.15 + 0.05 * round_number)
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().split()
        process.stdout.close()
        process.wait(30)
        said = max([said, *map(int, lines[:-1])])
        check_whole(folder)

    stored = anyio.run(new_sink().open, "j1")

    assert said > 20
    assert stored is not None
    assert stored >= said
    assert query("SELECT first_id FROM {trades} ORDER BY first_id") == [
        (number,) for number in range(1, stored + 1)
    ]
