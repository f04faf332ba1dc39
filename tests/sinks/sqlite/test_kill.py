"""kill -9 in the middle of writing leaves rows and cursor as one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

WRITER = """
import sys
from decimal import Decimal
from pathlib import Path
from tapeline.model import Batch, Part, Subscription, Ticker, Trade
from tapeline_sqlite import SqliteConfig
from tapeline_sqlite.store import Store

stream = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", id_kind="fill")
store = Store(Path(sys.argv[1]), "local", SqliteConfig())
position = store.open("journal-a") or 0
nothing = (None,) * 11
while True:
    position += 1
    trades = [
        Trade(stream, "x", n, n, 1, "buy", Decimal(1), Decimal(1), 1, 1)
        for n in range(position * 300, position * 300 + 300)
    ]
    part = Part(position, [*trades, Ticker(stream, *nothing, 1, 1)])
    store.write(Batch("journal-a", [part]))
    print(position, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_a_killed_writer_leaves_whole_batches(database: Path, query: Any) -> None:
    """What it said is stored is stored, and nothing is half there."""
    seed = random.Random(7)
    said = 0
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(database)],
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdout is not None
            said = int(writer.stdout.readline())
            time.sleep(seed.uniform(0.0, 0.1))
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:
                said = int(line)
        [(cursor,)] = query("SELECT position FROM tapeline_cursors")
        assert cursor >= said
        assert query("SELECT count(*), max(last_id) FROM trades") == [
            (cursor * 300, cursor * 300 + 299)
        ]
        assert query("SELECT count(*), max(position) FROM tickers") == [
            (cursor, cursor)
        ]
        assert query("PRAGMA integrity_check") == [("ok",)]
    assert said > 4
