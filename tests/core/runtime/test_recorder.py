"""The recorder: what it leaves out, and what a disk that refuses costs."""

from __future__ import annotations

import gzip
import json
import random
import resource
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio

from tapeline.model import Dial, Request, Response
from tapeline.runtime import Recorder, RecorderSettings
from tapeline.seams import Seams
from tapeline.testing import InlineExecutor, VirtualClock, run_virtual


class Echo:
    """A socket that answers each frame with itself."""

    def __init__(self) -> None:
        self.frames: list[str] = []

    async def receive(self) -> str:
        return self.frames.pop(0)

    async def send(self, frame: str) -> None:
        self.frames.append(frame)

    async def ping(self) -> None:
        """Nothing to wait for."""

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Nothing to release."""


class World:
    """A dialer of echoes, and no REST."""

    async def dial(self, dial: Dial) -> Echo:
        return Echo()

    async def send(self, request: Request, timeout_s: float) -> Response:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing to release."""


def recording(
    folder: Path,
    work: Callable[[Recorder, Seams], Awaitable[None]],
    settings: RecorderSettings | None = None,
) -> Recorder:
    """Run *work* with a recorder that writes to *folder*."""

    async def main() -> Recorder:
        clock, world = VirtualClock(), World()
        recorder = Recorder(folder, clock, InlineExecutor(), settings)
        plain = Seams(clock, world, world, InlineExecutor(), random.Random(0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.run)
            await work(recorder, recorder.seams(plain))
            await recorder.aclose()
        return recorder

    return run_virtual(main)


def lines(folder: Path) -> list[dict[str, Any]]:
    """All lines of all finished files."""
    return [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


async def talk(seams: Seams, *, private: bool) -> None:
    """Send one frame and receive its echo."""
    socket = await seams.dialer.dial(Dial("wss://x.test/ws", private=private))
    await socket.send(f"login {private}")
    await socket.receive()


def test_sockets_of_an_account_are_left_out(tmp_path: Path) -> None:
    async def work(recorder: Recorder, seams: Seams) -> None:
        await talk(seams, private=True)
        await talk(seams, private=False)

    recording(tmp_path, work)

    assert [line["raw"] for line in lines(tmp_path)] == [
        "",
        "login False",
        "login False",
    ]


def test_when_wanted_only_what_an_account_receives_is_recorded(tmp_path: Path) -> None:
    async def work(recorder: Recorder, seams: Seams) -> None:
        await talk(seams, private=True)

    recording(tmp_path, work, RecorderSettings(private=True))

    assert [line.get("dir", "in") for line in lines(tmp_path)] == ["connect", "in"]


@contextmanager
def largest_file(nbytes: int) -> Iterator[None]:
    """No file of this process may grow beyond *nbytes*."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def say(recorder: Recorder, first: int, count: int) -> None:
    """Record *count* lines that do not compress to nothing."""
    noise = random.Random(first)
    for number in range(first, first + count):
        recorder.write("1", "in", "", f"{number} {noise.randbytes(40).hex()}")


def numbers(folder: Path) -> list[int]:
    """What ``say`` was told, as recorded."""
    return [int(line["raw"].partition(" ")[0]) for line in lines(folder)]


def test_a_full_disk_costs_no_line(tmp_path: Path) -> None:
    async def work(recorder: Recorder, seams: Seams) -> None:
        say(recorder, 0, 50)
        await anyio.sleep(1)
        with largest_file(6_000):
            say(recorder, 50, 100)
            await anyio.sleep(1)
            say(recorder, 150, 50)
            await anyio.sleep(3)
            assert recorder.problem
            assert recorder.failures >= 2
        await anyio.sleep(1)
        assert not recorder.problem
        say(recorder, 200, 50)

    recorder = recording(tmp_path, work)

    assert numbers(tmp_path) == list(range(250))
    assert (recorder.lines, recorder.dropped, recorder.files) == (250, 0, 1)
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_that_is_away_for_a_while_costs_no_line(tmp_path: Path) -> None:
    folder = tmp_path / "rec"

    async def work(recorder: Recorder, seams: Seams) -> None:
        folder.rmdir()
        say(recorder, 0, 10)
        await anyio.sleep(2)
        assert recorder.problem
        folder.mkdir()
        await anyio.sleep(1)

    recording(folder, work)

    assert numbers(folder) == list(range(10))


def test_beyond_the_bound_the_newest_lines_go_and_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "rec"

    async def work(recorder: Recorder, seams: Seams) -> None:
        folder.rmdir()
        say(recorder, 0, 10)
        await anyio.sleep(2)
        folder.mkdir()
        await anyio.sleep(1)

    recorder = recording(folder, work, RecorderSettings(max_waiting=6))

    assert numbers(folder) == list(range(6))
    assert recorder.dropped == 4


def test_what_could_never_be_written_is_counted_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "rec"

    async def work(recorder: Recorder, seams: Seams) -> None:
        folder.rmdir()
        say(recorder, 0, 10)

    recorder = recording(folder, work)

    assert recorder.dropped == 10
    assert "expected to write a recording" in recorder.problem
