"""Recordings of frames: JSON lines, gzipped or not, merged in arrival order."""

from __future__ import annotations

import gzip
import hashlib
import heapq
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import attrs
import msgspec

from tapeline.errors import RecordingError, UsageError

SUFFIX = ".jsonl.gz"
"""How the name of a finished recording ends."""

INCOMING = "in"
OUTGOING = "out"
HTTP = "http"
CONNECT = "connect"
_DIRECTIONS = (INCOMING, OUTGOING, HTTP, CONNECT)


class _Line(msgspec.Struct):
    raw: str
    t: int | None = None
    n: int = 0
    conn: str = ""
    dir: str = INCOMING
    url: str = ""


_decode_line = msgspec.json.Decoder(_Line).decode


@attrs.frozen
class RecordedFrame:
    """One line of a recording.

    Args:
        received_ns: nanoseconds UTC, None when the recorder did not know.
        order: place in the capture.
        connection: name of the connection; the file's path where none is given.
        direction: ``in``, ``out``, ``http`` (a REST answer) or ``connect``.
        url: of the connection or request.
        raw: the exact text.
    """

    received_ns: int | None
    order: int
    connection: str
    direction: str
    url: str
    raw: str


def read_recording(path: Path) -> Iterator[RecordedFrame]:
    """The frames of one file, in file order.

    Raises:
        RecordingError: missing, not JSON lines, or cut off.
    """
    number = 0
    try:
        with _open(path) as lines:
            for number, text in enumerate(lines, start=1):
                if not text.strip():
                    continue
                yield _frame(path, number, text)
    except FileNotFoundError:
        raise RecordingError(
            str(path), None, "expected a recording, found no such file"
        ) from None
    except EOFError:
        raise RecordingError(
            str(path),
            number,
            "expected a whole gzip file, found it cut off after this line; "
            "copy it again, or unpack what is there with 'zcat' and replay that",
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise RecordingError(
            str(path), number, f"expected a sound gzip file, found damage ({error})"
        ) from error
    except OSError as error:
        raise RecordingError(
            str(path), None, f"expected a readable file, found: {error.strerror}"
        ) from error


def expand_recordings(paths: Sequence[Path]) -> list[Path]:
    """*paths*, with each folder replaced by the finished recordings in it, in order.

    Raises:
        UsageError: one of them is missing, or a folder holds no recording.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"expected a recording at {path}, found no such file")
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(path.glob(f"*{SUFFIX}"))
        if not inside:
            raise UsageError(
                f"expected a folder with recordings (*{SUFFIX}), found {path} "
                "without any; name the folder that 'tapeline record' wrote to"
            )
        found += inside
    return found


def merge_recordings(paths: Sequence[Path]) -> Iterator[RecordedFrame]:
    """Frames of all files in arrival order: by receive time, then place."""
    for _, _, frame in heapq.merge(*map(_keyed, paths), key=_sort_key):
        yield frame


def fingerprint(paths: Sequence[Path]) -> str:
    """A name for exactly these files; also proves that each can be read whole.

    Raises:
        RecordingError: one of them is missing, damaged or not a recording.
    """
    digest = hashlib.sha256()
    for path in paths:
        for frame in read_recording(path):
            digest.update(frame.raw.encode())
            digest.update(b"\n")
    return f"replay-{digest.hexdigest()[:24]}"


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as probe:
        magic = probe.read(2)
    if magic == b"\x1f\x8b":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def _frame(path: Path, number: int, text: bytes) -> RecordedFrame:
    try:
        line = _decode_line(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordingError(
            str(path),
            number,
            'expected a JSON object with at least the text "raw" on every line, found '
            f"something else ({error}); is the file cut off, or not a recording?",
        ) from error
    if line.dir not in _DIRECTIONS:
        raise RecordingError(
            str(path),
            number,
            f'expected "dir" to be one of {", ".join(_DIRECTIONS)}, found {line.dir!r}',
        )
    return RecordedFrame(
        line.t, line.n, line.conn or str(path), line.dir, line.url, line.raw
    )


def _keyed(path: Path) -> Iterator[tuple[int, int, RecordedFrame]]:
    known_ns = 0
    for frame in read_recording(path):
        if frame.received_ns is not None:
            known_ns = max(known_ns, frame.received_ns)
        yield known_ns, frame.order, frame


def _sort_key(item: tuple[int, int, RecordedFrame]) -> tuple[int, int]:
    return item[0], item[1]
