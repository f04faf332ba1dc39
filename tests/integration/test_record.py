"""``tapeline record`` writes what ``tapeline replay`` reads to the same events."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any


def rows(database: Path) -> list[tuple[Any, ...]]:
    """Every stored trade, without how it came."""
    connection = sqlite3.connect(database)
    found = connection.execute(
        "SELECT symbol, first_id, last_id, side, price, size, exchange_ns FROM trades "
        "ORDER BY symbol, last_id"
    ).fetchall()
    connection.close()
    return found


def test_a_recording_replays_to_the_fills_of_the_venue(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
) -> None:
    simulator = background(
        "simulate", "okx", "--port", free_port, "--rate", 100, "--ledger", "l.jsonl"
    )
    simulator.wait_for("ws_url")

    done = tapeline(
        "record", write_config(free_port), "--out", "rec", "--duration", 6,
        "--max-file-s", 2,
    )  # fmt: skip
    simulator.stop()

    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "rec").iterdir())
    assert len(files) >= 2
    assert all(path.name.endswith(".jsonl.gz") for path in files)
    assert not (tmp_path / "data").exists()
    replayed = tapeline(
        "replay", "rec", "--exchange", "okx", "--database", "r.db", "--json"
    )
    assert replayed.returncode == 0, replayed.stderr
    assert json.loads(replayed.stdout)["malformed"] == {}
    verified = tapeline("verify", "--database", "r.db", "--ledger", "l.jsonl")
    assert verified.returncode == 0, verified.stdout
    assert len(rows(tmp_path / "r.db")) > 100
    again = tapeline("replay", *files, "--exchange", "okx", "--database", "s.db")
    assert again.returncode == 0
    assert rows(tmp_path / "s.db") == rows(tmp_path / "r.db")


def test_recording_needs_no_sink_and_no_data_folder(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
) -> None:
    """Also with candles, which a run would store to the embedded database."""
    background("simulate", "okx", "--port", free_port).wait_for("ws_url")
    config = write_config(free_port)
    config.write_text(
        config.read_text().replace('data_dir = "data"', 'log_dir = "log-files"')
    )

    done = tapeline("record", config, "--out", "rec", "--duration", 2)

    assert done.returncode == 0, done.stderr
    made = {path.name for path in tmp_path.iterdir()}
    assert made - {"simulate.log", "logs"} == {"tapeline.toml", "rec", "log-files"}


def test_rest_answers_and_what_was_asked_are_in_it(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
) -> None:
    background("simulate", "okx", "--port", free_port).wait_for("ws_url")

    tapeline("record", write_config(free_port), "--out", "rec", "--duration", 2)

    lines = [
        json.loads(line)
        for path in (tmp_path / "rec").iterdir()
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    assert {line.get("dir", "in") for line in lines} == {
        "in",
        "out",
        "http",
        "connect",
    }
    assert any("instruments" in line.get("url", "") for line in lines)
    assert [line["n"] for line in lines] == list(range(len(lines)))


def test_the_oldest_files_go_when_there_is_too_much(
    background: Callable[..., Any],
    write_config: Callable[..., Path],
    free_port: int,
    tapeline: Any,
    tmp_path: Path,
) -> None:
    background("simulate", "okx", "--port", free_port, "--rate", 200).wait_for("ws_url")

    done = tapeline(
        "record", write_config(free_port), "--out", "rec", "--duration", 6,
        "--max-file-mib", 0.02, "--max-total-mib", 0.1,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    files = list((tmp_path / "rec").iterdir())
    assert 2 <= len(files) <= 12
    assert sum(path.stat().st_size for path in files) < 0.25 * 2**20


def test_a_folder_that_cannot_be_made_is_named(
    tapeline: Any, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    done = tapeline("record", write_config(1), "--out", "file/rec", "--duration", 2)

    assert done.returncode == 1
    assert "file/rec" in done.stderr
    assert "Traceback" not in done.stderr
