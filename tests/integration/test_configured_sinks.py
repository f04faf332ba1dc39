"""Sinks of a configuration: two at once, callbacks, and what each accepts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_two_databases_and_a_callback_get_the_same_trades(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
) -> None:
    background("simulate", "okx", "--port", free_port, "--rate", 50).wait_for("ws_url")
    (tmp_path / "mine.py").write_text(
        "def note(event):\n"
        "    with open('seen.txt', 'a') as file:\n"
        "        print(event.trade_id, file=file)\n"
    )
    config = write_config(free_port, ("BTC-USDT",))
    with config.open("a") as file:
        file.write(
            '\n[sinks.second]\nuse = "sqlite"\npath = "data/second.db"\n'
            '[sinks.mine]\nuse = "callbacks"\ntarget = "mine:note"\n'
            'data_types = ["trade"]\n'
        )

    done = tapeline("run", config, "--duration", 4, PYTHONPATH=str(tmp_path))

    assert done.returncode == 0, done.stderr
    ids = []
    for name in ("market.db", "second.db"):
        connection = sqlite3.connect(tmp_path / "data" / name)
        ids.append(
            [
                row[0]
                for row in connection.execute(
                    "SELECT trade_id FROM trades ORDER BY last_id"
                )
            ]
        )
        connection.close()
    assert ids[0] == ids[1]
    assert len(ids[0]) > 20
    assert (tmp_path / "seen.txt").read_text().split() == ids[0]


def test_raw_messages_are_stored_when_asked_for(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
) -> None:
    background("simulate", "okx", "--port", free_port, "--rate", 50).wait_for("ws_url")
    config = write_config(free_port, ("BTC-USDT",))
    text = config.read_text()
    config.write_text(
        text.replace('exchange = "okx"', 'exchange = "okx"\nstore_raw_data = true')
    )

    assert tapeline("run", config, "--duration", 4).returncode == 0

    connection = sqlite3.connect(tmp_path / "data" / "market.db")
    rows = connection.execute(
        "SELECT raw_data FROM raw_trades WHERE data_type = 'trade'"
    ).fetchall()
    trades = connection.execute("SELECT trade_id FROM trades").fetchall()
    connection.close()
    assert len(rows) == len(trades) > 20
    assert all(trade[0] in "".join(row[0] for row in rows) for trade in trades)
