"""Secrets are in none of the outputs, however much is written and goes wrong.

One run of the service with every kind of secret: keys of an account that is collected
and of one that is refused, addresses of databases, of a webhook and of a proxy, the
token of the HTTP service. Then all that was written is searched for their parts.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from tapeline.testing import LoopbackServer, Market
from tapeline_okx.simulator import OkxSimulator
from tapeline_okx.simulator_account import SimKey

pytestmark = pytest.mark.anyio

CANARIES = {
    "API_KEY": "c4n4ry-api-key",
    "API_SECRET": "c4n4ry-api-secret",
    "PASSPHRASE": "c4n4ry-päss/phrase+1",
    "WRONG_SECRET": "c4n4ry-wrong-secret",
    "DSN": "postgresql://c4n4ry-user:c4n4ry-dsn-word@127.0.0.1:9/c4n4ry",
    "REDIS": "redis://:c4n4ry-redis-word@127.0.0.1:9/0",
    "HOOK": "http://127.0.0.1:9/hook/c4n4ry-hook-path?key=c4n4ry-hook-key",
    "TOKEN": "c4n4ry-token-of-the-service",
}
# What must not be seen: everything but hosts, ports and names of databases and users.
HIDDEN = [
    "c4n4ry-api-key",
    "c4n4ry-api-secret",
    "c4n4ry-p",
    "c4n4ry-wrong-secret",
    "c4n4ry-dsn-word",
    "c4n4ry-redis-word",
    "c4n4ry-hook",
    "c4n4ry-token",
    "c4n4ry-proxy-word",
]


ADDRESSES = (
    "/livez",
    "/readyz",
    "/healthz",
    "/metrics",
    "/api/status",
    "/api/collectors",
    "/api/collectors/refused",
)


def _write(folder: Path, server: LoopbackServer, http_port: int) -> Path:
    (folder / "dsn.txt").write_text(CANARIES["DSN"] + "\n")
    path = folder / "tapeline.toml"
    path.write_text(
        f"""
[runtime]
data_dir = "data"
log_json = true

[collectors.account]
exchange = "okx"
symbols = ["BTC-USDT"]
data_types = ["trade", "balance"]
timeframes = ["1s"]
store_raw_data = "files"

[collectors.account.options]
ws_url = "{server.ws_base}"
rest_url = "{server.rest_base}"
api_key = "env:API_KEY"
api_secret = "env:API_SECRET"
passphrase = "env:PASSPHRASE"

[collectors.refused]
exchange = "okx"
symbols = ["ETH-USDT"]
data_types = ["trade", "balance"]
store_raw_data = true

[collectors.refused.options]
ws_url = "{server.ws_base}"
rest_url = "{server.rest_base}"
api_key = "env:API_KEY"
api_secret = "{CANARIES["WRONG_SECRET"]}"
passphrase = "env:PASSPHRASE"

[sinks.local]
use = "sqlite"
path = "data/market.db"

[sinks.warehouse]
use = "postgres"
dsn = "file:dsn.txt"

[sinks.live]
use = "redis"
url = "env:REDIS"

[services.http]
port = {http_port}
token = "{CANARIES["TOKEN"]}"

[services.alerts]
use = "http.webhook"
url = "env:HOOK"
everything = true
timeout_s = 1
"""
    )
    return path


@pytest.fixture
def environ() -> dict[str, str]:
    """Of the commands: secrets, and as much in the logs as there is."""
    return {
        **os.environ,
        **CANARIES,
        "VERBOSE_LOGGING": "true",
        "PYTHONUNBUFFERED": "1",
        "TAPELINE_TOKEN": CANARIES["TOKEN"],
    }


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file below *folder* but the configuration."""
    for path in sorted(folder.rglob("*")):
        if path.name in ("tapeline.toml", "dsn.txt") or not path.is_file():
            continue
        data = path.read_bytes()
        yield str(path.relative_to(folder)), data
        if path.suffix == ".gz":
            yield f"inside {path.name}", gzip.decompress(data)


def _collect(folder: Path, path: Path, environ: dict[str, str], port: int) -> list[str]:
    """Run the service; what its service and the commands about it say."""
    told: list[str] = []

    def ask(*words: object) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tapeline", *map(str, words)],
            cwd=folder,
            env={**environ, "TAPELINE_URL": f"http://127.0.0.1:{port}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        told.append(done.stdout + done.stderr)

    ask("check", path)
    with (folder / "console.log").open("w") as log:
        run = subprocess.Popen(
            [sys.executable, "-m", "tapeline", "run", str(path)],
            cwd=folder,
            env=environ,
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10
        ) as client:
            _wait(lambda: _balances(folder))
            told += [client.get(address).text for address in ADDRESSES]
            wrong = {"authorization": f"Bearer {CANARIES['TOKEN']}x"}
            told.append(
                client.post("/api/collectors/account/restart", headers=wrong).text
            )
        ask("status", "--json")
        run.send_signal(signal.SIGHUP)
        time.sleep(0.5)
    finally:
        run.send_signal(signal.SIGTERM)
        code = run.wait(30)
    assert code == 0
    ask("verify", "--database", CANARIES["DSN"])
    return told


def _balances(folder: Path) -> bool:
    log = folder / "logs" / "tapeline.log"
    recordings = folder / "data" / "raw" / "account"
    return log.exists() and "refused" in log.read_text() and recordings.exists()


def _wait(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    time.sleep(1)


@pytest.mark.slow
async def test_no_output_of_a_run_holds_a_secret(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    keys = [SimKey(CANARIES["API_KEY"], CANARIES["API_SECRET"], CANARIES["PASSPHRASE"])]
    market = Market(1, rate_hz=20, start_ns=time.time_ns())
    async with LoopbackServer(OkxSimulator(market, keys=keys)) as server:
        port = _port()
        path = _write(tmp_path, server, port)
        told = await anyio.to_thread.run_sync(_collect, tmp_path, path, environ, port)

    status = json.loads(told[1 + ADDRESSES.index("/api/status")])
    assert "balance" in json.dumps(status), "the account was collected"
    outputs = dict(_files(tmp_path))
    outputs |= {f"output {n}": text.encode() for n, text in enumerate(told)}
    names = " ".join(outputs)
    for expected in (
        "tapeline.log",
        "tapeline.collector.account.log",
        "console.log",
        "market.db",
        "inside",
    ):
        assert expected in names
    console = outputs["console.log"].decode()
    assert "warehouse" in console, "the missing database was told of"
    for name, data in outputs.items():
        for secret in HIDDEN:
            assert secret.encode() not in data, f"{secret} is in {name}"


async def test_a_proxy_s_password_is_in_no_output(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = tmp_path / "tapeline.toml"
    path.write_text(
        """
[runtime]
proxy = "env:PROXY"
[collectors.okx]
exchange = "okx"
symbols = ["BTC-USDT"]
[collectors.okx.options]
ws_url = "ws://venue.invalid"
rest_url = "http://venue.invalid"
"""
    )
    environ["PROXY"] = "http://user:c4n4ry-proxy-word@127.0.0.1:9"
    done = await anyio.run_process(
        [sys.executable, "-m", "tapeline", "run", str(path), "--duration", "3"],
        cwd=tmp_path,
        env=environ,
        stderr=subprocess.STDOUT,
        check=False,
    )
    outputs = {**dict(_files(tmp_path)), "console": done.stdout}
    assert b"127.0.0.1" in b"".join(outputs.values()) or b"okx" in done.stdout
    for name, data in outputs.items():
        assert b"c4n4ry" not in data, name
