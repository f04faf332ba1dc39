"""Recordings of what venues really sent: rotated, compressed, bounded.

The recorder stands at the seams, so nothing of it is on the way of a message unless
a recording is wanted.
"""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

import anyio
import attrs
import msgspec

from tapeline.clock import Clock
from tapeline.errors import RecordingError
from tapeline.logs import mask
from tapeline.model import Dial, Request, Response, datetime_from_ns
from tapeline.seams import Dialer, Executor, Http, Seams, Socket

_PART = ".part"
_SUFFIX = ".jsonl.gz"
_FLUSH_S = 0.5
_SECRET_QUERY = re.compile(r"(?i)([?&](?:signature|sign|token|listenKey)=)[^&]*")
_encode = msgspec.json.Encoder().encode


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
    """

    max_file_bytes: int = 64 * 2**20
    max_file_s: float = 3600.0
    max_total_bytes: int = 10 * 2**30
    max_age_s: float | None = None
    max_waiting: int = 200_000


class Recorder:
    """Writes lines to rotated files in *folder*; one task of the owner runs it.

    A file that is being written ends in ``.part`` and is renamed when it is whole.

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
        self._clock = clock
        self._worker = executor.worker("recorder")
        self._settings = settings or RecorderSettings()
        self._waiting: list[bytes] = []
        self._order = itertools.count()
        self._connections = itertools.count(1)
        self._stop = anyio.Event()
        self._file: IO[bytes] | None = None
        self._raw: IO[bytes] | None = None
        self._path: Path | None = None
        self._opened_ns = 0
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
        return attrs.evolve(
            seams,
            dialer=_RecordingDialer(seams.dialer, self),
            http=_RecordingHttp(seams.http, self),
        )

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
        """Write what waits and finish the file."""
        self._stop.set()
        await self._flush()
        await self._worker.run(self._finish)
        await self._worker.aclose()

    async def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        if lines:
            await self._worker.run(self._store, lines, self._clock.wall_ns())

    def _store(self, lines: list[bytes], now_ns: int) -> None:
        file = self._file or self._begin(now_ns)
        file.write(b"\n".join(lines) + b"\n")
        file.flush()
        self.lines += len(lines)
        size = self._raw.tell() if self._raw is not None else 0
        too_old = now_ns - self._opened_ns >= self._settings.max_file_s * 1e9
        if size >= self._settings.max_file_bytes or too_old:
            self._finish()
            self._clear(now_ns)

    def _begin(self, now_ns: int) -> IO[bytes]:
        moment = datetime_from_ns(now_ns).strftime("%Y%m%dT%H%M%S.%fZ")
        self._path = self.folder / f"{moment}{_SUFFIX}"
        self._raw = self._path.with_name(self._path.name + _PART).open("wb")
        # No name and no time inside: equal lines make equal files.
        file = gzip.GzipFile(
            filename="", mode="wb", fileobj=self._raw, mtime=0, compresslevel=6
        )
        self._file = cast(IO[bytes], file)
        self._opened_ns = now_ns
        return self._file

    def _finish(self) -> None:
        file, raw, path = self._file, self._raw, self._path
        self._file = self._raw = self._path = None
        if file is None or raw is None or path is None:
            return
        file.close()
        raw.close()
        path.with_name(path.name + _PART).rename(path)
        self.files += 1

    def _clear(self, now_ns: int) -> None:
        """Remove the oldest finished files that are over the bounds."""
        settings = self._settings
        found = sorted(self.folder.glob(f"*{_SUFFIX}"))
        total = sum(path.stat().st_size for path in found)
        for path in found:
            age_s = now_ns / 1e9 - path.stat().st_mtime
            too_old = settings.max_age_s is not None and age_s > settings.max_age_s
            if total <= settings.max_total_bytes and not too_old:
                return
            total -= path.stat().st_size
            path.unlink()


class _RecordingSocket:
    """A socket whose frames are recorded on their way."""

    def __init__(self, socket: Socket, recorder: Recorder, name: str, url: str) -> None:
        self._socket = socket
        self._note: Callable[[str, str, str, str | bytes], None] = recorder.write
        self._name = name
        self._url = url

    async def receive(self) -> str | bytes:
        frame = await self._socket.receive()
        self._note(self._name, "in", self._url, frame)
        return frame

    async def send(self, frame: str) -> None:
        await self._socket.send(frame)
        self._note(self._name, "out", self._url, mask(frame))

    async def ping(self) -> None:
        await self._socket.ping()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.aclose(code, reason)


class _RecordingDialer:
    """A dialer whose sockets are recorded."""

    def __init__(self, dialer: Dialer, recorder: Recorder) -> None:
        self._dialer = dialer
        self._recorder = recorder

    async def dial(self, dial: Dial) -> Socket:
        socket = await self._dialer.dial(dial)
        name = self._recorder.next_connection()
        self._recorder.write(name, "connect", dial.url, "")
        return _RecordingSocket(socket, self._recorder, name, dial.url)


class _RecordingHttp:
    """REST whose answers are recorded; private ones are not."""

    def __init__(self, http: Http, recorder: Recorder) -> None:
        self._http = http
        self._recorder = recorder

    async def send(self, request: Request, timeout_s: float) -> Response:
        response = await self._http.send(request, timeout_s)
        if not request.private and response.status == 200:
            self._recorder.write("http", "http", request.url, response.body)
        return response

    async def aclose(self) -> None:
        await self._http.aclose()
