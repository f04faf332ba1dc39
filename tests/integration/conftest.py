"""The ``tapeline`` command as a user runs it, and the recordings, where present."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "real"

Tapeline = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def tapeline_in() -> Callable[[Path], Tapeline]:
    """Run commands to their end in a folder."""
    return _tapeline_in


@pytest.fixture
def tapeline(tmp_path: Path) -> Tapeline:
    """Run a command to its end in an empty folder."""
    return _tapeline_in(tmp_path)


def _tapeline_in(folder: Path) -> Tapeline:
    def run(
        *words: object, timeout: float = 180, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tapeline", *map(str, words)],
            cwd=folder,
            env={**os.environ, "PYTHONWARNINGS": "error", **environ},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"the recordings are not beside the checkout ({RECORDINGS})")
    return RECORDINGS


@pytest.fixture(scope="session")
def truth(recordings: Path) -> dict[str, Any]:
    """What an independent script found in the recordings."""
    found: dict[str, Any] = json.loads((recordings / "truth.json").read_text())
    return found


class Background:
    """A ``tapeline`` command that runs until it is stopped."""

    def __init__(self, folder: Path, *words: object) -> None:
        self.log = folder / f"{words[0]}.log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tapeline", *map(str, words)],
                cwd=folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=log,
                text=True,
            )

    def wait_for(self, text: str, timeout_s: float = 20) -> str:
        """The first line with *text* in what it printed."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for line in self.log.read_text().splitlines():
                if text in line:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {text!r} in: {self.log.read_text()}")

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, timeout_s: float = 20) -> int:
        """SIGTERM; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Callable[..., Background]]:
    """Start commands in the background; whatever still runs is killed."""
    started: list[Background] = []

    def start(*words: object) -> Background:
        started.append(Background(tmp_path, *words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """A configuration that collects from a simulator."""

    def write(port: int, symbols: tuple[str, ...] = ("BTC-USDT", "ETH-USDT")) -> Path:
        path = tmp_path / "tapeline.toml"
        path.write_text(
            f"""
[runtime]
data_dir = "data"

[collectors.sim]
exchange = "okx"
symbols = {list(symbols)!r}
data_types = ["trade", "orderbook", "ticker"]
timeframes = ["1s", "1m"]

[collectors.sim.options]
ws_url = "ws://127.0.0.1:{port}"
rest_url = "http://127.0.0.1:{port}"

[sinks.local]
use = "sqlite"
path = "data/market.db"
"""
        )
        return path

    return write


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
