"""Recordings of what venues really sent: rotated, compressed, bounded.

The recorder stands at the seams, so nothing of it is on the way of a message unless
a recording is wanted.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVarTuple

import anyio
import attrs
import msgspec

from tapeline.clock import Clock
from tapeline.errors import RecordingError
from tapeline.logs import mask
from tapeline.model import Dial, Request, Response, datetime_from_ns
from tapeline.runtime.recording_file import RecordingFile
from tapeline.runtime.recordings import SUFFIX
from tapeline.seams import Dialer, Executor, Http, Seams, Socket

_FLUSH_S = 0.5
_SECRET_QUERY = re.compile(r"(?i)([?&](?:signature|sign|token|listenKey)=)[^&]*")
_logger = logging.getLogger("tapeline.recorder")
_encode = msgspec.json.Encoder().encode
Arguments = TypeVarTuple("Arguments")


@attrs.frozen
class RecorderSettings:
    """When files are rotated, and how much is kept.

    Args:
        max_file_bytes: of a file, compressed; then the next one begins.
        max_file_s: age at which the next one begins.
        max_total_bytes: of all finished files; beyond it the oldest go.
        max_age_s: age at which a finished file goes; None keeps it.
        max_waiting: lines that may wait for the disk; beyond it they are dropped
            and counted.
        private: also record what sockets of an account receive. What is sent on
            them is never recorded: it holds signatures.
    """

    max_file_bytes: int = 64 * 2**20
    max_file_s: float = 3600.0
    max_total_bytes: int = 10 * 2**30
    max_age_s: float | None = None
    max_waiting: int = 200_000
    private: bool = False


class Recorder:
    """Writes lines to rotated files in *folder*; one task of the owner runs it.

    A file that is being written ends in ``.part`` and is renamed when it is whole.
    While the disk refuses, lines wait within ``max_waiting`` and are written later.

    Raises:
        RecordingError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        executor: Executor,
        settings: RecorderSettings | None = None,
    ) -> None:
        self.folder = folder
        self.lines = 0
        self.dropped = 0
        self.files = 0
        self.failures = 0
        self.problem = ""
        self._clock = clock
        self._worker = executor.worker("recorder")
        self._settings = settings or RecorderSettings()
        self._waiting: list[bytes] = []
        self._order = itertools.count()
        self._connections = itertools.count(1)
        self._stop = anyio.Event()
        self._file: RecordingFile | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(
                str(folder),
                None,
                f"expected a folder for recordings, found: {error.strerror}",
            ) from error

    def seams(self, seams: Seams) -> Seams:
        """*seams* whose sockets and REST answers are recorded."""
        return recorded(seams, self)

    @property
    def private(self) -> bool:
        """Whether sockets of an account are recorded too."""
        return self._settings.private

    def next_connection(self) -> str:
        """A name for a new connection."""
        return str(next(self._connections))

    def write(
        self, connection: str, direction: str, url: str, raw: str | bytes
    ) -> None:
        """Record one line; returns at once."""
        if len(self._waiting) >= self._settings.max_waiting:
            self.dropped += 1
            return
        line: dict[str, object] = {
            "t": self._clock.wall_ns(),
            "n": next(self._order),
            "conn": connection,
        }
        if direction != "in":
            line["dir"] = direction
            line["url"] = _SECRET_QUERY.sub(r"\1<secret>", mask(url))
        line["raw"] = raw if isinstance(raw, str) else raw.decode(errors="replace")
        self._waiting.append(_encode(line))

    async def run(self) -> None:
        """Bring lines to disk until ``aclose``."""
        while not self._stop.is_set():
            with anyio.move_on_after(_FLUSH_S):
                await self._stop.wait()
            await self._flush()

    async def aclose(self) -> None:
        """Write what waits and finish the file; ``problem`` tells if that failed."""
        self._stop.set()
        if await self._flush():
            await self._try(self._finish)
        lost = len(self._waiting)
        if self._file is not None:
            lost += self._file.waiting_lines
            self._file.abandon()
        self.dropped += lost
        self._waiting.clear()
        await self._worker.aclose()

    async def _flush(self) -> bool:
        """Write what waits; False when the disk refused, and it is tried again."""
        now_ns = self._clock.wall_ns()
        if not await self._try(self._ready, now_ns, bool(self._waiting)):
            return False
        lines, self._waiting = self._waiting, []
        return not lines or await self._try(self._store, lines, now_ns)

    async def _try(self, work: Callable[[*Arguments], None], *args: *Arguments) -> bool:
        """Do *work* on the worker; False when the disk refused."""
        try:
            await self._worker.run(work, *args)
        except OSError as error:
            self.failures += 1
            if not self.problem:
                self.problem = (
                    f"expected to write a recording, found: {error.strerror}; make "
                    "room or check the folder"
                )
                _logger.warning("%s: %s", self.folder, self.problem)
            return False
        if self.problem:
            _logger.warning(
                "%s can be written again; %d lines were dropped meanwhile",
                self.folder,
                self.dropped,
            )
            self.problem = ""
        return True

    def _ready(self, now_ns: int, wanted: bool) -> None:
        """Bring to disk what it refused before; open a file if one is *wanted*."""
        file = self._file
        if file is not None and file.ended:
            self._finish()
        elif file is not None:
            self._push(file)
        if self._file is None and wanted:
            moment = datetime_from_ns(now_ns).strftime("%Y%m%dT%H%M%S.%fZ")
            self._file = RecordingFile(self.folder / f"{moment}{SUFFIX}", now_ns)

    def _store(self, lines: list[bytes], now_ns: int) -> None:
        file = self._file
        assert file is not None
        before = file.lines
        try:
            file.add(lines)
        finally:
            self.lines += file.lines - before
        too_old = now_ns - file.opened_ns >= self._settings.max_file_s * 1e9
        if file.size >= self._settings.max_file_bytes or too_old:
            self._finish()
            self._clear(now_ns)

    def _push(self, file: RecordingFile) -> None:
        before = file.lines
        file.push()
        self.lines += file.lines - before

    def _finish(self) -> None:
        file = self._file
        if file is None:
            return
        before = file.lines
        file.finish()
        self.lines += file.lines - before
        self.files += 1
        self._file = None

    def _clear(self, now_ns: int) -> None:
        """Remove the oldest finished files that are over the bounds."""
        settings = self._settings
        found = sorted(self.folder.glob(f"*{SUFFIX}"))
        total = sum(path.stat().st_size for path in found)
        for path in found:
            age_s = now_ns / 1e9 - path.stat().st_mtime
            too_old = settings.max_age_s is not None and age_s > settings.max_age_s
            if total <= settings.max_total_bytes and not too_old:
                return
            total -= path.stat().st_size
            path.unlink()


class LineSink(Protocol):
    """Takes lines: a ``Recorder``, or what stands for one."""

    @property
    def private(self) -> bool:
        """Whether sockets of an account are recorded too."""

    def next_connection(self) -> str:
        """A name for a new connection."""

    def write(
        self, connection: str, direction: str, url: str, raw: str | bytes
    ) -> None:
        """Record one line; returns at once."""


def recorded(seams: Seams, lines: LineSink) -> Seams:
    """*seams* whose sockets and REST answers go to *lines* as well."""
    return attrs.evolve(
        seams,
        dialer=_RecordingDialer(seams.dialer, lines),
        http=_RecordingHttp(seams.http, lines),
    )


class _RecordingSocket:
    """A socket whose frames are recorded on their way; sent ones if *sent*."""

    def __init__(
        self, socket: Socket, recorder: LineSink, name: str, url: str, sent: bool
    ) -> None:
        self._socket = socket
        self._note: Callable[[str, str, str, str | bytes], None] = recorder.write
        self._name = name
        self._url = url
        self._sent = sent

    async def receive(self) -> str | bytes:
        frame = await self._socket.receive()
        self._note(self._name, "in", self._url, frame)
        return frame

    async def send(self, frame: str) -> None:
        await self._socket.send(frame)
        if self._sent:
            self._note(self._name, "out", self._url, mask(frame))

    async def ping(self) -> None:
        await self._socket.ping()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.aclose(code, reason)


class _RecordingDialer:
    """A dialer whose sockets are recorded."""

    def __init__(self, dialer: Dialer, recorder: LineSink) -> None:
        self._dialer = dialer
        self._recorder = recorder

    async def dial(self, dial: Dial) -> Socket:
        socket = await self._dialer.dial(dial)
        if dial.private and not self._recorder.private:
            return socket
        name = self._recorder.next_connection()
        self._recorder.write(name, "connect", dial.url, "")
        return _RecordingSocket(
            socket, self._recorder, name, dial.url, not dial.private
        )


class _RecordingHttp:
    """REST whose answers are recorded; private ones are not."""

    def __init__(self, http: Http, recorder: LineSink) -> None:
        self._http = http
        self._recorder = recorder

    async def send(self, request: Request, timeout_s: float) -> Response:
        response = await self._http.send(request, timeout_s)
        if not request.private and response.status == 200:
            self._recorder.write("http", "http", request.url, response.body)
        return response

    async def aclose(self) -> None:
        await self._http.aclose()
