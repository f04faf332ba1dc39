"""Whatever is wrong with the input: a sentence on stderr, and the right code."""

from __future__ import annotations

import gzip
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

GOOD = """
[collectors.a]
exchange = "okx"
symbols = ["BTC-USDT"]
"""


def refused(done: Any, code: int, *words: str) -> None:
    """Assert that *done* ended with *code* and a sentence that has *words*."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    for word in words:
        assert word in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"okx"', '"okxx"', ("okxx", "did you mean 'okx'", "collectors.a.exchange")),
        ('"BTC-USDT"', '"BTCUSDT"', ("BTCUSDT", "BTC-USDT")),
        ("symbols", "symbls", ("symbls", "did you mean 'symbols'")),
        ('["BTC-USDT"]', '["BTC-USDT"]\ntimeframes = ["7m"]', ("7m", "1m")),
        ('["BTC-USDT"]', '["BTC-USDT"]\n[sinks.x]\nuse = "sqlit"', ("sqlite",)),
        ('["BTC-USDT"]', '["BTC-USDT"', ("line",)),
        ('["BTC-USDT"]', '["BTC-USDT"]\ndata_types = ["trades"]', ("trades", "trade")),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_wrong_configuration_ends_with_two(
    tapeline: Any,
    tmp_path: Path,
    command: str,
    old: str,
    new: str,
    words: tuple[str, ...],
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace(old, new, 1))

    refused(tapeline(command, path), 2, *words)


def test_every_problem_is_named_at_once(tapeline: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        '[collectors.a]\nexchange = "nope"\nsymbols = []\nmarket = "moon"\n'
        'timeframes = ["9x"]\n[sinks.s]\nuse = "void"\n[runtime]\ncommit_ms = "x"\n'
    )

    done = tapeline("check", path)

    refused(done, 2, "nope", "moon", "9x", "void", "commit_ms")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("check", "missing.toml"), "missing.toml"),
        (("run", "missing.toml"), "missing.toml"),
        (("record", "missing.toml", "--out", "rec"), "missing.toml"),
        (("simulate", "okx", "--faults", "missing.json"), "missing.json"),
        (("replay", ".", "--exchange", "okx", "--database", "x.db"), "*.jsonl.gz"),
        (
            ("replay", "missing.gz", "--exchange", "okx", "--database", "x.db"),
            "missing",
        ),
        (("replay", "x", "--exchange", "kraken", "--database", "x.db"), "kraken"),
        (("simulate", "kraken"), "kraken"),
        (("verify", "--database", "missing.db"), "missing.db"),
        (("gaps", "--database", "missing.db"), "missing.db"),
        (("verify", "--database", "mongodb://host/db"), "mongodb"),
    ],
)
def test_what_is_not_there_is_named(
    tapeline: Any, words: tuple[str, ...], expected: str
) -> None:
    done = tapeline(*words)

    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command",),
        ("run",),
        ("demo", "--duration", "soon"),
        ("demo", "--no-such-option"),
        ("simulate", "okx", "--port", "99999999"),
    ],
)
def test_wrong_usage_ends_with_two(tapeline: Any, words: tuple[str, ...]) -> None:
    done = tapeline(*words)

    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named(tapeline: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = tapeline("simulate", "okx", "--port", port)

    assert done.returncode in (1, 2)
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["half a gzip", "half a line", "not json", "flipped"])
def test_a_damaged_recording_stores_nothing(
    tapeline: Any, tmp_path: Path, kind: str
) -> None:
    trade = {
        "instId": "BTC-USDT",
        "px": "1.5",
        "sz": "2",
        "side": "buy",
        "ts": "1700000000000",
        "count": "1",
    }
    arg = {"channel": "trades", "instId": "BTC-USDT"}
    frames = [
        json.dumps({"arg": arg, "data": [{**trade, "tradeId": str(number)}]})
        for number in range(1, 400)
    ]
    lines = "".join(
        json.dumps({"t": number, "n": number, "raw": raw}) + "\n"
        for number, raw in enumerate(frames)
    ).encode()
    packed = gzip.compress(lines)
    path = tmp_path / "recording.jsonl.gz"
    path.write_bytes(
        {
            "half a gzip": packed[: len(packed) // 2],
            "half a line": lines[:-30],
            "not json": lines + b"garbage\n",
            "flipped": packed[:60] + bytes([packed[60] ^ 0xFF]) + packed[61:],
        }[kind]
    )

    done = tapeline("replay", path, "--exchange", "okx", "--database", "x.db")

    refused(done, 1, "recording.jsonl.gz")
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize("target", ["/proc/nope/market.db", "folder"])
def test_a_database_that_cannot_be_written_is_named(
    tapeline: Any, tmp_path: Path, target: str
) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "r.jsonl"
    path.write_text('{"t": 1, "n": 0, "raw": "pong"}\n')

    done = tapeline("replay", path, "--exchange", "okx", "--database", target)

    assert done.returncode in (1, 2)
    assert target.rsplit("/", 1)[-1] in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_that_cannot_be_written_is_named(
    tapeline: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "c.toml"
    path.write_text('[runtime]\ndata_dir = "file/data"\n' + GOOD)

    done = tapeline("run", path, "--duration", 3)

    assert done.returncode in (1, 2)
    assert "file/data" in done.stderr
    assert "Traceback" not in done.stderr


def test_init_never_overwrites(tapeline: Any, tmp_path: Path) -> None:
    assert tapeline("init").returncode == 0
    assert tapeline("check", "tapeline.toml").returncode == 0
    before = (tmp_path / "tapeline.toml").read_text()

    refused(tapeline("init"), 2, "tapeline.toml")
    assert (tmp_path / "tapeline.toml").read_text() == before


def test_a_broken_sink_path_in_a_run_is_a_sentence(
    tapeline: Any, tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    config = write_config(1)
    text = config.read_text().replace("data/market.db", "/proc/nope/market.db")
    config.write_text(text)

    done = tapeline("run", config, "--duration", 4)

    assert done.returncode in (1, 2)
    assert "/proc/nope" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(tapeline: Any) -> None:
    done = tapeline("verify", "--database", "missing.db", "--debug")

    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("tapeline: expected a database")


@pytest.mark.parametrize("command", ["check", "run"])
def test_debug_does_not_change_the_code(
    tapeline: Any, tmp_path: Path, command: str
) -> None:
    (tmp_path / "bad.toml").write_text("[collectors.a]\n")

    done = tapeline("--debug", command, "bad.toml")

    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "collectors.a" in done.stderr.rpartition("tapeline: ")[2]


def test_the_version_is_printed(tapeline: Any) -> None:
    done = tapeline("--version")

    assert done.returncode == 0
    assert done.stdout == f"tapeline {metadata.version('tapeline')}\n"


@pytest.mark.parametrize("command", [("run",), ("record", "--out", "rec")])
def test_nothing_to_collect_is_a_problem(
    tapeline: Any, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "c.toml").write_text(GOOD + "enabled = false\n")

    refused(tapeline(*command, "c.toml"), 2, "enabled", "collectors", "(a)")
    assert not (tmp_path / "rec").exists()


def test_init_names_the_folder_that_is_missing(tapeline: Any) -> None:
    refused(tapeline("init", "a/b/c.toml"), 2, "mkdir -p a/b")


def test_a_typo_is_not_a_package_to_install(tapeline: Any) -> None:
    done = tapeline("simulate", "okxx")

    refused(done, 2, "did you mean 'okx'?")
    assert "pip install" not in done.stderr


@pytest.mark.parametrize(
    ("sink", "words"),
    [
        ('use = "callbacks"\ntarget = "nowhere:on_event"', ("'nowhere'",)),
        ('use = "callbacks"\ntarget = "mine:missing"', ("'missing'", "module 'mine'")),
        ('use = "sqlite"\npath = "folder"', ("the folder folder",)),
        ('use = "sqlite"\npath = "c.toml/x/m.db"', ("c.toml in the way",)),
        ('use = "sqlite"\npath = "c.toml"', ("other content",)),
    ],
)
def test_check_names_a_sink_that_cannot_be_used(
    tapeline: Any, tmp_path: Path, sink: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "mine.py").write_text("def on_event(event): ...\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "c.toml").write_text(f"{GOOD}[sinks.s]\n{sink}\n")

    refused(tapeline("check", "c.toml"), 2, "sinks.s", *words)


def test_a_callback_in_the_current_folder_is_found(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text("def on_event(event): ...\n")
    (tmp_path / "c.toml").write_text(
        f'{GOOD}[sinks.s]\nuse = "callbacks"\ntarget = "mine:on_event"\n'
    )

    # As the installed command does: the folder is not on the module path by itself.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tapeline", "check", "c.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "data").exists()


def test_a_new_or_existing_database_passes_check(tapeline: Any, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("CREATE TABLE x(y)")
    connection.close()
    for path in ("a/b/new.db", "old.db"):
        (tmp_path / "c.toml").write_text(
            f'{GOOD}[sinks.s]\nuse = "sqlite"\npath = "{path}"\n'
        )
        done = tapeline("check", "c.toml")
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "a").exists()


RECORDED = json.dumps(
    {
        "t": 1,
        "n": 0,
        "raw": json.dumps(
            {
                "arg": {"channel": "trades", "instId": "BTC-USDT"},
                "data": [
                    {
                        "instId": "BTC-USDT",
                        "tradeId": "1",
                        "px": "1.5",
                        "sz": "2",
                        "side": "buy",
                        "ts": "1700000000000",
                        "count": "1",
                    }
                ],
            }
        ),
    }
)


@pytest.mark.parametrize(
    "words",
    [("--symbols", "NOPE-USDT"), ("--market", "swap")],
    ids=["symbol", "market"],
)
def test_a_replay_that_matches_nothing_says_what_there_is(
    tapeline: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "r.jsonl").write_text(RECORDED + "\n")

    done = tapeline(
        "replay", "r.jsonl", "--exchange", "okx", "--database", "x.db", *words
    )

    refused(done, 1, "r.jsonl", words[1], "found spot:BTC-USDT")
    assert not (tmp_path / "x.db").exists()


def test_a_symbol_that_is_missing_beside_others_is_told(
    tapeline: Any, tmp_path: Path
) -> None:
    (tmp_path / "r.jsonl").write_text(RECORDED + "\n")

    done = tapeline(
        "replay", "r.jsonl", "--exchange", "okx", "--database", "x.db",
        "--symbols", "BTC-USDT,NOPE-USDT",
    )  # fmt: skip

    assert done.returncode == 0
    assert "not in the recording: NOPE-USDT" in done.stderr


def test_what_is_no_recording_is_told_that_only_raw_must_be_there(
    tapeline: Any, tmp_path: Path
) -> None:
    (tmp_path / "r.jsonl").write_text('{"t": 1, "n": 0}\n')

    done = tapeline("replay", "r.jsonl", "--exchange", "okx", "--database", "x.db")

    refused(done, 1, 'at least the text "raw"')


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_verify_wants_the_journal_in_the_data_folder(
    tapeline: Any, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "r.jsonl").write_text(RECORDED + "\n")
    (tmp_path / "empty").mkdir()
    tapeline("replay", "r.jsonl", "--exchange", "okx", "--database", "x.db")

    done = tapeline("verify", "--database", "x.db", "--data-dir", folder)

    refused(done, 2, folder)


def test_secrets_never_reach_any_output(tapeline: Any, tmp_path: Path) -> None:
    canary = "c4n4ry-s3cr3t"
    (tmp_path / "secret").write_text(canary)
    path = tmp_path / "c.toml"
    path.write_text(
        GOOD
        + f'[collectors.a.options]\napi_key = "{canary}"\napi_secret = "file:secret"\n'
        'passphrase = "env:MISSING_PASSPHRASE"\nws_url = 5\n'
    )

    done = tapeline("check", path, "--debug")

    assert done.returncode != 0
    assert canary not in done.stdout + done.stderr
    assert os.environ.get("MISSING_PASSPHRASE") is None
