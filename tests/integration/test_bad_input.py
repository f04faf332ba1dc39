"""Whatever is wrong with the input: a sentence on stderr, and the right code."""

from __future__ import annotations

import gzip
import json
import os
import socket
from collections.abc import Callable
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

    assert done.returncode in (1, 2)
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

    assert done.returncode != 0
    assert "Traceback" in done.stderr


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
