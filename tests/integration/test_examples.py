"""The examples run as they stand, against a simulated exchange."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def addresses(background: Callable[..., Any], free_port: int) -> dict[str, str]:
    """Of a simulated OKX."""
    simulator = background("simulate", "okx", "--port", free_port, "--rate", 60)
    simulator.wait_for("ws_url")
    return {
        "--ws-url": f"ws://127.0.0.1:{free_port}",
        "--rest-url": f"http://127.0.0.1:{free_port}",
    }


@pytest.fixture
def run(tmp_path: Path, addresses: dict[str, str]) -> Callable[..., str]:
    """Run an example to its end; what it printed."""

    def to_its_end(script: str, *words: object, **environ: str) -> str:
        given = [word for pair in addresses.items() for word in pair]
        done = subprocess.run(
            [sys.executable, EXAMPLES / script, *map(str, words), *given],
            cwd=tmp_path,
            env={**os.environ, "PYTHONWARNINGS": "error", **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return to_its_end


def test_the_demo_of_one_collector_prints_trades(run: Callable[..., str]) -> None:
    told = run("collector_demo.py", "--seconds", 4)
    lines = told.splitlines()
    assert len([line for line in lines if " @ " in line]) == 5
    assert lines[-1] == "healthy"
    assert int(lines[-2].split()[0]) > 5


def test_several_collectors_share_a_database(
    run: Callable[..., str], tmp_path: Path
) -> None:
    told = run("multi_collector.py", "--seconds", 6)
    assert "restarted: True" in told
    assert "running: 2" in told
    assert "failed: 0" in told
    assert "collector btc: running -> restarting" in told
    connection = sqlite3.connect(tmp_path / "market.db")
    rows = connection.execute(
        "SELECT symbol, count(*) FROM trades GROUP BY symbol"
    ).fetchall()
    connection.close()
    assert {symbol for symbol, count in rows if count > 0} == {"BTC-USDT", "ETH-USDT"}


def test_the_notebook_s_cells_show_trades_and_candles(run: Callable[..., str]) -> None:
    told = run("notebook.py", "--seconds", 5)
    assert int(told.split()[0]) > 0
    assert " close " in told


def test_django_collects_by_a_management_command(
    run: Callable[..., str], tmp_path: Path
) -> None:
    told = run(
        "django_project/manage.py", "collect", "BTC-USDT",
        "--database", tmp_path / "django.db", "--seconds", 4,
    )  # fmt: skip
    assert int(told.split()[0]) > 0
    connection = sqlite3.connect(tmp_path / "django.db")
    (stored,) = connection.execute("SELECT count(*) FROM trades").fetchone()
    connection.close()
    assert stored > 0


def test_fastapi_serves_status_and_restarts(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", str(port),
         "--app-dir", EXAMPLES],
        cwd=tmp_path,
        env={
            **os.environ,
            "OKX_WS_URL": addresses["--ws-url"],
            "OKX_REST_URL": addresses["--rest-url"],
        },
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    try:
        status = _until(lambda: _ready(client))
        (name,) = status["collectors"]
        assert client.post("/restart/nobody").status_code == 404
        assert client.post(f"/restart/{name}", timeout=30).json() == {"restarted": True}
        after = client.get("/status").json()
        assert after["collectors"][name]["statistics"]["restarts"] == 1
        metrics = client.get("/metrics")
        assert "collector_messages_total" in metrics.text
    finally:
        client.close()
        server.terminate()
        _, told = server.communicate(timeout=30)
    assert "Application shutdown complete" in told


def _ready(client: httpx.Client) -> Any:
    try:
        status = client.get("/status").json()
    except (httpx.TransportError, json.JSONDecodeError):
        return None
    return status if status["health"]["ready"] else None


def _until(condition: Callable[[], Any], timeout_s: float = 30) -> Any:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


class Lines:
    """A server of JSON lines that hangs up once."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.asked: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for round_ in range(2):
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                self.asked.append(json.loads(client.makefile().readline()))
                client.sendall(b'{"symbol": "BTC-USDT", "last": "1.5"}\nnonsense\n')
                client.sendall(b'{"symbol": "XRP-USDT", "last": "9"}\n')
                client.sendall(b'{"symbol": "BTC-USDT", "last": "2.5"}\n')
                time.sleep(0.2 if round_ == 0 else 2)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Started, on a free port."""
    server = Lines()
    yield server
    server.listener.close()


@pytest.mark.anyio
async def test_a_monitored_collector_counts_and_recovers_in_its_own_way(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio

    from tapeline import DataType

    monkeypatch.syspath_prepend(EXAMPLES)
    from monitored_collector import LinesCollector  # type: ignore[import-not-found]

    seen: list[float] = []
    collector = LinesCollector("127.0.0.1", lines.port, ["BTC-USDT"])
    collector.add_data_callback(DataType.TICKER, lambda p: seen.append(p.data["last"]))
    assert await collector.start()
    with anyio.fail_after(20):
        while len(seen) < 4:  # noqa: ASYNC110 - there is no event to wait for
            await anyio.sleep(0.05)
    status = collector.get_status()
    await collector.stop()

    assert seen == [1.5, 2.5, 1.5, 2.5]
    assert lines.asked == [{"subscribe": ["BTC-USDT"]}] * 2
    assert 'lines_points_total{symbol="BTC-USDT"} 4.0' in collector.metrics()
    assert "lines_reconnects_total 1.0" in collector.metrics()
    assert status["statistics"]["restarts"] == 0
    assert status["statistics"]["errors"] == 3, "two bad lines and a lost connection"
