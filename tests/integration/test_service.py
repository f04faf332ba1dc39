"""The service in the foreground: status, steering, reload, signals, systemd."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

TOKEN = "canary-token-of-the-service"


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _write(
    folder: Path,
    venue_port: int,
    http_port: int,
    *,
    second: str = "",
    symbols: str = '["BTC-USDT"]',
    sinks: str = "",
) -> Path:
    options = (
        f'{{ ws_url = "ws://127.0.0.1:{venue_port}", '
        f'rest_url = "http://127.0.0.1:{venue_port}" }}'
    )
    path = folder / "tapeline.toml"
    path.write_text(
        f"""
[runtime]
data_dir = "data"

[collectors.first]
exchange = "okx"
symbols = {symbols}
options = {options}

{second.format(options=options)}

[sinks.local]
use = "sqlite"
path = "data/market.db"

{sinks}

[services.http]
port = {http_port}
token = "env:TAPELINE_TOKEN"
"""
    )
    return path


SECOND = """
[collectors.second]
exchange = "okx"
symbols = ["ETH-USDT"]
options = {options}
"""


def _until(condition: Callable[[], Any], timeout_s: float = 30) -> Any:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


class Service:
    """What the running service answers."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> httpx.Response | None:
        """The answer; None while nobody listens."""
        try:
            return httpx.get(self.url + path, trust_env=False, timeout=5)
        except httpx.TransportError:
            return None

    def ready(self) -> bool:
        """Whether ``/readyz`` is green."""
        answer = self.get("/readyz")
        return answer is not None and answer.status_code == 200

    def collectors(self) -> dict[str, Any]:
        """Status by name."""
        answer = self.get("/api/collectors")
        assert answer is not None
        found: dict[str, Any] = answer.json()["collectors"]
        return found

    def sockets(self, name: str) -> list[dict[str, Any]]:
        """The sockets of one collector."""
        answer = self.get("/api/status")
        assert answer is not None
        feeds = answer.json()["engine"]["feeds"]
        found: list[dict[str, Any]] = feeds[name]["sockets"] if name in feeds else []
        return found


def _stored(database: Path, symbol: str = "%") -> int:
    if not database.exists():
        return 0
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    try:
        query = "SELECT count(*) FROM trades WHERE symbol LIKE ?"
        found: int = connection.execute(query, (symbol,)).fetchone()[0]
        return found
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


@pytest.fixture
def venue(background: Callable[..., Any], free_port: int) -> int:
    """A simulated OKX; its port."""
    simulator = background(
        "simulate", "okx", "--port", free_port, "--rate", 60, "--seed", 3,
        "--ledger", "ledger.jsonl",
    )  # fmt: skip
    simulator.wait_for("ws_url")
    return free_port


@pytest.mark.slow
def test_commands_and_metrics_of_a_running_collection(
    venue: int,
    background: Callable[..., Any],
    tapeline: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAPELINE_TOKEN", TOKEN)
    port = _port()
    service = Service(port)
    run = background("run", _write(tmp_path, venue, port, second=SECOND))
    _until(service.ready)
    _until(lambda: _stored(tmp_path / "data" / "market.db") > 20)
    here = {"TAPELINE_URL": service.url}

    told = tapeline("status", **here)
    shown = tapeline("status", "first", "--json", **here)
    wrong = tapeline("status", "frist", **here)
    refused = tapeline("restart", "first", **here, TAPELINE_TOKEN="x" * 20)
    assert told.returncode == 0
    assert told.stdout.startswith("tapeline: healthy\n")
    assert "okx:spot:BTC-USDT:trades" in told.stdout
    document = json.loads(shown.stdout)
    assert document["collectors"].keys() == {"first"}
    assert document["health"]["ready"] is True
    assert wrong.returncode == 2
    assert "did you mean 'first'" in wrong.stderr
    assert refused.returncode == 1
    assert "TAPELINE_TOKEN" in refused.stderr

    before = service.sockets("second")
    assert tapeline("restart", "first", **here).returncode == 0
    assert tapeline("disable", "first", **here).stdout == "first disabled\n"
    _until(lambda: service.collectors()["first"]["status"] == "stopped")
    assert service.ready()
    assert tapeline("enable", "first", **here).returncode == 0
    _until(lambda: service.collectors()["first"]["status"] == "running")
    after = service.sockets("second")
    assert service.collectors()["first"]["statistics"]["restarts"] == 1
    assert [s["connection"] for s in after] == [s["connection"] for s in before]
    assert after[0]["counters"]["frames"] > before[0]["counters"]["frames"]

    metrics = service.get("/metrics")
    assert metrics is not None
    families = {f.name: f for f in text_string_to_metric_families(metrics.text)}
    (trades,) = [
        sample.value
        for sample in families["collector_messages"].samples
        if sample.labels == {"exchange": "okx", "symbol": "ETH-USDT", "type": "trade"}
    ]
    assert trades > 0
    live = [
        sample
        for sample in families["tapeline_subscription_state"].samples
        if sample.labels["symbol"] == "ETH-USDT" and sample.labels["state"] == "live"
    ]
    assert [sample.value for sample in live] == [1.0]
    assert families["tapeline_sink_up"].samples[0].value == 1.0
    assert "tapeline_loop_lag_seconds" in families

    assert run.stop() == 0
    logs = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert TOKEN not in logs + run.log.read_text() + metrics.text
    verified = tapeline(
        "verify", "--database", "data/market.db", "--ledger", "ledger.jsonl"
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_hangup_changes_what_differs_and_leaves_the_rest_alone(
    venue: int,
    background: Callable[..., Any],
    tapeline: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAPELINE_TOKEN", TOKEN)
    port = _port()
    service = Service(port)
    run = background("run", _write(tmp_path, venue, port))
    _until(service.ready)
    (first,) = service.sockets("first")

    extra = '[sinks.copy]\nuse = "sqlite"\npath = "data/copy.db"\n'
    _write(tmp_path, venue, port, second=SECOND, sinks=extra)
    run.process.send_signal(signal.SIGHUP)
    run.wait_for("collector second added")
    run.wait_for("sink copy added")
    _until(lambda: _stored(tmp_path / "data" / "copy.db", "ETH-USDT") > 5)
    (unmoved,) = service.sockets("first")
    assert unmoved["connection"] == first["connection"]

    _write(tmp_path, venue, port, symbols='["BTC-USDT", "SOL-USDT"]')
    run.process.send_signal(signal.SIGHUP)
    run.wait_for("collector second removed")
    run.wait_for("collector first: +SOL-USDT")
    run.wait_for("sink copy removed")
    _until(lambda: _stored(tmp_path / "data" / "market.db", "SOL-USDT") > 5)
    assert service.collectors().keys() == {"first"}
    (unmoved,) = service.sockets("first")
    assert unmoved["connection"] == first["connection"]

    (tmp_path / "tapeline.toml").write_text("[collectors.first]\nexchange = 'okxx'\n")
    run.process.send_signal(signal.SIGHUP)
    run.wait_for("was not read again")
    _until(service.ready)
    assert run.stop() == 0
    verified = tapeline(
        "verify", "--database", "data/market.db", "--ledger", "ledger.jsonl"
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_readiness_is_red_while_the_venue_is_away_and_only_then(
    background: Callable[..., Any],
    free_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAPELINE_TOKEN", TOKEN)
    port = _port()
    service = Service(port)
    run = background("run", _write(tmp_path, free_port, port))
    answer = _until(lambda: service.get("/readyz"))
    assert answer.status_code == 503
    assert answer.json()["level"] == "starting"
    assert answer.json()["issues"]

    simulator = background("simulate", "okx", "--port", free_port, "--rate", 60)
    _until(service.ready)
    simulator.kill()
    _until(lambda: not service.ready(), 15)
    answer = service.get("/livez")
    assert answer is not None
    assert answer.status_code == 200
    # Of this seed the ids are higher than those before, as those of a venue are.
    background("simulate", "okx", "--port", free_port, "--rate", 60, "--seed", 5)
    _until(service.ready, 60)
    assert run.stop() == 0


@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_flushes_and_ends_with_zero_within_ten_seconds(
    venue: int,
    background: Callable[..., Any],
    tapeline: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    word: signal.Signals,
) -> None:
    monkeypatch.setenv("TAPELINE_TOKEN", TOKEN)
    notify = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notify))
        systemd.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(notify))
        port = _port()
        run = background("run", _write(tmp_path, venue, port))
        told = [systemd.recv(1_000)]
        while b"WATCHDOG=1" not in told or not any(b"READY=1" in one for one in told):
            told.append(systemd.recv(1_000))
        _until(lambda: _stored(tmp_path / "data" / "market.db") > 5)
        begin = time.monotonic()
        run.process.send_signal(word)
        code = run.process.wait(20)
        took_s = time.monotonic() - begin
        while b"STOPPING=1" not in told:
            told.append(systemd.recv(1_000))
    assert code == 0
    assert took_s < 10
    verified = tapeline(
        "verify", "--database", "data/market.db", "--data-dir", "data",
        "--ledger", "ledger.jsonl",
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr
