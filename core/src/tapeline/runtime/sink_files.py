"""Two small files beside the journal: how sinks are, and what is asked of them.

A collection writes the first and obeys the second, so that a command in another
process never writes to the journal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import msgspec

STATUS_FILE = "sinks.json"
REQUEST_FILE = "sinks.request"
_TAKEN = ".taken"

RETRY = "retry"
DROP = "drop"


@attrs.frozen
class SinkRequest:
    """Something to be done with the dead letters of one sink.

    Args:
        action: ``retry`` or ``drop``.
    """

    action: str
    sink: str


def write_status(folder: Path, status: Mapping[str, Any]) -> None:
    """Replace the status file.

    Raises:
        OSError: the disk refuses.
    """
    _replace(folder / STATUS_FILE, msgspec.json.encode(status, enc_hook=str))


def read_status(folder: Path) -> Mapping[str, Any] | None:
    """The status that a collection wrote last; None when there is none."""
    try:
        status = msgspec.json.decode((folder / STATUS_FILE).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return status if isinstance(status, dict) else None


def remove_status(folder: Path) -> None:
    """The collection ends: nobody shall take its status for a living one's."""
    (folder / STATUS_FILE).unlink(missing_ok=True)


def ask(folder: Path, requests: list[SinkRequest]) -> None:
    """Add *requests* to those that wait for the collection.

    Raises:
        OSError: the folder cannot be written.
    """
    waiting = _read(folder / REQUEST_FILE)
    asked = [attrs.astuple(one) for one in dict.fromkeys([*waiting, *requests])]
    _replace(folder / REQUEST_FILE, msgspec.json.encode(asked))


def take_requests(folder: Path) -> list[SinkRequest]:
    """What was asked, also of a collection that ended before it was done."""
    path, taken = folder / REQUEST_FILE, folder / (REQUEST_FILE + _TAKEN)
    requests = _read(taken)
    try:
        os.replace(path, taken)
    except FileNotFoundError:
        return requests
    return [*requests, *_read(taken)]


def done_requests(folder: Path) -> None:
    """What was taken has been done."""
    (folder / (REQUEST_FILE + _TAKEN)).unlink(missing_ok=True)


def _read(path: Path) -> list[SinkRequest]:
    try:
        pairs = msgspec.json.decode(path.read_bytes(), type=list[tuple[str, str]])
    except (OSError, msgspec.DecodeError):
        return []
    return [SinkRequest(*pair) for pair in pairs if pair[0] in (RETRY, DROP)]


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    os.replace(draft, path)
