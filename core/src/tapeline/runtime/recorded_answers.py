"""Which recorded REST answer belongs to which request of a session."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from tapeline.model import Fetch
from tapeline.runtime.recordings import RecordedFrame

_HOW_MUCH = ("limit", "sz")


def path_of(url: str) -> str:
    """Path and query, so that any host answers; empty for what is no address."""
    _, _, rest = url.partition("://")
    _, slash, path = (rest or url).partition("/")
    return slash + path


def answers(frame: RecordedFrame, fetch: Fetch) -> bool:
    """Whether *frame* is what the venue said to *fetch*.

    Versions of an address may differ, and how much was asked for. Where the recorder
    kept no address, the answer belongs to whatever its own connection waits for.
    """
    path = path_of(frame.url)
    return not path or _address(path) == _address(path_of(fetch.request.url))


def _address(path: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """The end of *path*, and its query without how much was asked for."""
    parts = urlsplit(path)
    query = parse_qsl(parts.query)
    asked = frozenset(item for item in query if item[0] not in _HOW_MUCH)
    return parts.path.rpartition("/")[2], asked
