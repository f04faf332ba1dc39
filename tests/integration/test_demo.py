"""``tapeline demo`` as a newcomer runs it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tapeline.cli.demo import cut_script

KEYS = {
    "trades_emitted",
    "trades_stored",
    "duplicates",
    "candles",
    "candles_stored",
    "reconnects",
    "limit_violations",
    "ok",
}


@pytest.mark.slow
def test_fifteen_seconds_end_with_a_summary_that_is_ok(
    tapeline: Any, tmp_path: Path
) -> None:
    done = tapeline("demo", "--duration", 15, "--data-dir", "d", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert summary.keys() >= KEYS
    assert summary["ok"] is True
    assert summary["limit_violations"] == 0
    assert summary["reconnects"] >= 1
    assert summary["candles_stored"] > 0
    assert summary["candles"]["compared"] > 10
    assert summary["candles"]["matched"] == summary["candles"]["compared"]
    assert summary["candles"]["match_rate"] == 1.0
    assert summary["trades_lost"] == 0
    assert summary["trades_emitted"] == (
        summary["trades_stored"] + summary["trades_in_gaps"]
    )
    assert summary["trades_stored"] > 300


def test_its_database_passes_verify_with_the_ledger(tapeline: Any) -> None:
    done = tapeline("demo", "--duration", 6, "--data-dir", "d", "--seed", 3, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)

    verified = tapeline(
        "verify",
        "--database",
        summary["database"],
        *[word for path in summary["ledgers"] for word in ("--ledger", path)],
        "--json",
    )
    listed = tapeline("gaps", "--database", summary["database"], "--json")
    plain = tapeline("gaps", "--database", summary["database"])
    shown = tapeline("verify", "--database", summary["database"], "--data-dir", "d")

    assert verified.returncode == 0, verified.stdout
    accounts = json.loads(verified.stdout)
    assert accounts["ok"]
    stored = sum(stream["fills_stored"] for stream in accounts["streams"])
    assert stored == summary["trades_stored"]
    gaps = json.loads(listed.stdout)["gaps"]
    assert len(gaps) == summary["gaps"]["opened"]
    lines = plain.stdout.splitlines()
    assert len(lines) == len(gaps)
    for gap, line in zip(gaps, lines, strict=True):
        assert line.startswith(f"{gap['exchange']}:{gap['market']}:{gap['symbol']}:")
        assert f"cause {gap['cause']}, state {gap['state']}" in line
    streams = accounts["streams"]
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    audited = [line for line in lines if line.startswith("candles ")]
    assert len(lines) == len(streams) + 1 + len(audited)
    assert len(audited) == len(streams)
    assert all("whole bars equal the venue's" in line for line in audited)
    assert accounts["candles"]["match_rate"] == 1.0


def test_verify_compares_with_the_journal_and_tells_of_a_wrong_one(
    tapeline: Any, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        done = tapeline(
            "demo", "--duration", 3, "--data-dir", name, "--seed", ord(name), "--json"
        )
        assert done.returncode == 0, done.stderr
    ledgers = [str(path) for path in sorted((tmp_path / "b").glob("ledger-*"))]
    words = [word for path in ledgers for word in ("--ledger", path)]

    own = tapeline("verify", "--database", "a/market.db", "--data-dir", "a", "--json")
    other = tapeline(
        "verify", "--database", "a/market.db", "--data-dir", "b", *words, "--json"
    )
    shown = tapeline("verify", "--database", "a/market.db", *words)

    found = json.loads(own.stdout)
    (cursor,) = found["cursors"]
    assert cursor["journal_id"] == found["journal_id"]
    assert cursor["position"] > 0
    assert (cursor["ours"], cursor["waiting"]) == (True, 0)
    assert found["hints"] == []
    hints = " ".join(json.loads(other.stdout)["hints"])
    assert (other.returncode, shown.returncode) == (1, 1)
    assert json.loads(other.stdout)["ok"] is False
    assert "accounted for" not in shown.stdout
    assert "ledger of another run" in hints
    assert "data folder of another run" in hints
    assert "ledger of another run" in shown.stdout
    assert "invented" in shown.stdout
    assert not list((tmp_path / "a").glob("journal.db-*"))


def test_no_gaps_are_told_in_words(tapeline: Any, tmp_path: Path) -> None:
    done = tapeline("demo", "--duration", 3, "--data-dir", "d", "--json")
    database = json.loads(done.stdout)["database"]
    with sqlite3.connect(tmp_path / database) as connection:
        connection.execute("DELETE FROM gaps")
    connection.close()

    listed = tapeline("gaps", "--database", database)

    assert (listed.returncode, listed.stdout) == (0, "no gaps\n")


def test_it_ends_by_itself_and_is_cut_long_before(tapeline: Any) -> None:
    shown = tapeline("demo", "--help", COLUMNS="200", TERM="dumb").stdout

    assert "[default: 30.0]" in shown
    assert "Ctrl-C" in shown
    for duration in (3.0, 15.0, 30.0, 45.0, 600.0):
        cuts = [fault.at_s for fault in cut_script(duration)]
        assert cuts
        assert all(at_s <= max(duration * 0.4, duration - 10) for at_s in cuts)


def test_verify_notices_what_was_tampered_with(tapeline: Any, tmp_path: Path) -> None:
    done = tapeline("demo", "--duration", 4, "--data-dir", "d", "--json")
    summary = json.loads(done.stdout)
    database = tmp_path / summary["database"]
    (ledger,) = (path for path in summary["ledgers"] if "okx" in path)
    words = ("verify", "--database", database, "--ledger", ledger)
    assert tapeline(*words).returncode == 0

    with sqlite3.connect(database) as connection:
        connection.execute(
            "DELETE FROM trades WHERE last_id = (SELECT last_id FROM trades "
            "WHERE exchange = 'okx' ORDER BY last_id LIMIT 1 OFFSET 5)"
        )
    connection.close()
    without_one = tapeline(*words, "--json")
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE trades SET size = '123456' WHERE last_id = "
            "(SELECT last_id FROM trades WHERE exchange = 'okx' "
            "ORDER BY last_id LIMIT 1 OFFSET 20)"
        )
    connection.close()
    altered = tapeline(*words, "--json")

    assert without_one.returncode == 1
    assert sum(s["lost"] or 0 for s in json.loads(without_one.stdout)["streams"]) >= 1
    assert sum(s["altered"] or 0 for s in json.loads(altered.stdout)["streams"]) == 1


def test_the_same_seed_makes_the_same_market(tapeline: Any, tmp_path: Path) -> None:
    fills = []
    for name in ("a", "b"):
        done = tapeline(
            "demo", "--duration", 4, "--seed", 11, "--data-dir", name, "--json"
        )
        ledger = tmp_path / json.loads(done.stdout)["ledgers"][0]
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        fills.append([(f["symbol"], f["id"], f["price"], f["size"]) for f in lines])
    shorter = min(map(len, fills))

    assert shorter > 100
    assert fills[0][:shorter] == fills[1][:shorter]


def test_it_does_not_touch_a_folder_with_other_files(
    tapeline: Any, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")

    done = tapeline("demo", "--duration", 4, "--data-dir", "mine")

    assert done.returncode == 2
    assert "--data-dir" in done.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_control_c_ends_it_with_a_summary(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tapeline", "demo", "--data-dir", "d", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # A loaded machine takes its time to begin.
    end = time.monotonic() + 30
    while not (tmp_path / "d" / "market.db").exists() and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 0, err
    assert json.loads(out)["ok"]


def test_without_a_terminal_it_prints_plain_lines(tapeline: Any) -> None:
    done = tapeline("demo", "--duration", 5, "--data-dir", "d")

    assert done.returncode == 0, done.stderr
    assert "streams live" in done.stdout
    assert "\x1b[" not in done.stdout
    assert "Ctrl-C" in done.stdout.splitlines()[0]
    assert "every trade is accounted for" in done.stdout
    assert "whole candles equal those of the venues" in done.stdout


def test_faults_are_seen_to_open_and_close_gaps(tapeline: Any) -> None:
    done = tapeline("demo", "--faults", "--duration", 10, "--data-dir", "d")

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    closed = [line for line in lines if line.startswith("  gap closed after ")]
    assert closed
    assert all(" ids, cause " in line or " id, cause " in line for line in closed)
    shown = [line for line in lines if " streams live, " in line]
    assert shown[0].endswith("gaps: 0 open, 0 opened, 0 closed, 0 given up")
    counts = [int(line.rpartition(" closed,")[0].rpartition(" ")[2]) for line in shown]
    assert counts == sorted(counts)
    assert counts[-1] > 0


def test_faults_leave_no_gap_open_and_the_database_proves_it(tapeline: Any) -> None:
    done = tapeline("demo", "--faults", "--duration", 8, "--data-dir", "d", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    words = [word for path in summary["ledgers"] for word in ("--ledger", path)]
    verified = tapeline("verify", "--database", summary["database"], *words)

    assert verified.returncode == 0, verified.stdout
    gaps = summary["gaps"]
    assert gaps.keys() == {"opened", "closed", "open", "unrecoverable"}
    assert gaps["open"] == 0
    assert gaps["closed"] > 0
    assert gaps["opened"] == gaps["closed"] + gaps["unrecoverable"]
    assert summary["trades_lost"] == summary["trades_in_gaps"] == 0
