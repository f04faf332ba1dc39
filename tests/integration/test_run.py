"""``tapeline run`` against ``tapeline simulate``: two processes, real sockets."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SYMBOLS = ("BTC-USDT", "ETH-USDT")


def count(database: Path, table: str = "trades", symbol: str = "%") -> int:
    """Rows of *table* of *symbol*; 0 while there is none."""
    if not database.exists():
        return 0
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    try:
        row: tuple[int] = connection.execute(
            f"SELECT count(*) FROM {table} WHERE symbol LIKE ?", (symbol,)
        ).fetchone()
        return row[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def wait_for_rows(
    database: Path, more_than: int, timeout_s: float, symbol: str = "%"
) -> float:
    """Seconds until ``trades`` holds more than *more_than* rows of *symbol*."""
    begin = time.monotonic()
    while time.monotonic() - begin < timeout_s:
        if count(database, symbol=symbol) > more_than:
            return time.monotonic() - begin
        time.sleep(0.02)
    raise AssertionError(f"no more than {more_than} rows after {timeout_s} s")


def wait_for_each_symbol(database: Path) -> None:
    """Every symbol still flows."""
    before = {symbol: count(database, symbol=symbol) for symbol in SYMBOLS}
    for symbol, rows in before.items():
        wait_for_rows(database, rows + 10, timeout_s=20, symbol=symbol)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_random_disconnects_never_end_it_and_nothing_is_lost(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    seconds = request.config.getoption("--run-seconds")
    (tmp_path / "faults.json").write_text(
        json.dumps(
            [
                {"kind": "abort", "mean_s": 7},
                {"kind": "close", "mean_s": 11, "target": "one", "code": 4006},
            ]
        )
    )
    simulator = background(
        "simulate", "okx", "--port", free_port, "--rate", 100, "--seed", 5,
        "--faults", "faults.json", "--ledger", "ledger.jsonl",
    )  # fmt: skip
    simulator.wait_for("ws_url")
    collector = background("run", write_config(free_port))

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert collector.process.poll() is None, collector.log.read_text()
        time.sleep(0.5)
    database = tmp_path / "data" / "market.db"
    # active = desired: both symbols still flow at the end.
    wait_for_each_symbol(database)
    assert collector.stop() == 0, collector.log.read_text()
    assert simulator.stop() == 0

    done = tapeline(
        "verify", "--database", database, "--ledger", "ledger.jsonl", "--json"
    )
    accounts = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert {stream["symbol"] for stream in accounts["streams"]} == {
        "BTC-USDT",
        "ETH-USDT",
    }
    assert accounts["tables"]["gaps"] > 0
    found = re.search(r"\b(\d+) limit violations", simulator.log.read_text())
    assert found is not None
    assert found[1] == "0"


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "garbage"])
def test_a_damaged_journal_never_stops_the_start(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
    damage: str,
) -> None:
    simulator = background(
        "simulate", "okx", "--port", free_port, "--rate", 50, "--ledger", "l.jsonl"
    )
    simulator.wait_for("ws_url")
    config = write_config(free_port)
    database = tmp_path / "data" / "market.db"
    collector = background("run", config)
    wait_for_rows(database, 20, timeout_s=20)
    collector.kill()
    for path in (tmp_path / "data").glob("journal*"):
        if path.suffix == ".lock" or not path.stat().st_size:
            continue
        data = bytearray(path.read_bytes())
        if damage == "cut":
            data = data[: len(data) // 2]
        elif damage == "flip":
            data[len(data) // 3] ^= 0xFF
        elif damage == "empty":
            data = bytearray()
        else:
            data = bytearray(b"\x00not a journal" * 500)
        path.write_bytes(bytes(data))

    known = count(database)
    collector = background("run", config)
    wait_for_rows(database, known, timeout_s=20)
    assert collector.stop() == 0, collector.log.read_text()
    simulator.stop()

    verified = tapeline("verify", "--database", database, "--ledger", "l.jsonl")
    assert verified.returncode == 0, verified.stdout


def test_a_second_process_on_the_same_folder_is_refused(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
) -> None:
    simulator = background("simulate", "okx", "--port", free_port)
    simulator.wait_for("ws_url")
    config = write_config(free_port)
    first = background("run", config)
    first.wait_for("collecting")
    wait_for_rows(tmp_path / "data" / "market.db", 0, timeout_s=20)

    second = tapeline("run", config)

    assert second.returncode in (1, 2)
    assert "in use by" in second.stderr
    assert "Traceback" not in second.stderr
    assert first.stop() == 0


def test_a_venue_that_is_away_is_waited_for(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tmp_path: Path,
) -> None:
    collector = background("run", write_config(free_port))
    collector.wait_for("collecting")
    line = collector.wait_for("has not answered yet", timeout_s=10)
    assert "collector sim: okx" in line
    assert collector.process.poll() is None

    background("simulate", "okx", "--port", free_port, "--rate", 50).wait_for("ws_url")

    wait_for_rows(tmp_path / "data" / "market.db", 0, timeout_s=40)
    assert collector.stop() == 0


def test_one_unknown_symbol_does_not_hurt_the_others(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tmp_path: Path,
) -> None:
    background("simulate", "okx", "--port", free_port, "--rate", 50).wait_for("ws_url")

    collector = background("run", write_config(free_port, ("BTC-USDT", "NOPE-USDT")))

    wait_for_rows(tmp_path / "data" / "market.db", 5, timeout_s=20)
    assert "NOPE-USDT" in collector.log.read_text()
    assert collector.stop() == 0


def test_duration_ends_a_run_with_zero(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
) -> None:
    background("simulate", "okx", "--port", free_port, "--rate", 50).wait_for("ws_url")

    done = tapeline("run", write_config(free_port), "--duration", 3)

    assert done.returncode == 0, done.stderr
    assert count(tmp_path / "data" / "market.db") > 10


def test_the_console_tells_the_story_of_a_run(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
) -> None:
    background("simulate", "okx", "--port", free_port, "--rate", 50).wait_for("ws_url")

    done = tapeline("run", write_config(free_port), "--duration", 4)

    told = done.stderr
    line = re.search(
        r"INFO +tapeline.run: ([\d,]+) events; 6 of 6 streams live; 0 gaps open; "
        r"sink local running: [\d,]+ stored, \d+ waiting, [\d.]+ s behind",
        told,
    )
    assert line is not None, told
    assert int(line[1].replace(",", "")) > 10
    assert re.search(r"tapeline.run: stopping\n", told)
    assert re.search(r"stopped, [\d,]+ events; sink local stored [\d,]+ rec", told)


def test_a_sink_that_is_away_is_told_of_while_stopping(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tmp_path: Path,
) -> None:
    """Somebody else holds the database, so nothing can be written to it."""
    background("simulate", "okx", "--port", free_port, "--rate", 50).wait_for("ws_url")
    config = write_config(free_port)
    config.write_text(config.read_text() + "busy_timeout_s = 0.2\n")
    database = tmp_path / "data" / "market.db"
    collector = background("run", config)
    wait_for_rows(database, 5, timeout_s=20)

    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    time.sleep(2)
    code = collector.stop(60)
    other.execute("ROLLBACK")
    other.close()

    assert code == 0
    assert re.search(r"stopping: sink local is unavailable \(.+locked", (
        collector.log.read_text()
    ))  # fmt: skip
