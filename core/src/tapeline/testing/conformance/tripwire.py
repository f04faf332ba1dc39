"""Seeing that code does no I/O, reads no clock and draws nothing at random."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_MODULES = frozenset(
    {"time", "_random", "random", "_socket", "socket", "select", "_ssl", "_sqlite3"}
)
_SYSTEM = frozenset({"posix", "nt", "_io", "io", "_thread", "_asyncio"})
_PURE = frozenset({"fspath", "StringIO", "BytesIO", "getvalue", "get_ident", "getpid"})
_CLOCKS = frozenset({"datetime.now", "datetime.utcnow", "date.today", "datetime.today"})
_FILES = ("logging/__init__.py", "socket.py", "random.py", "subprocess.py")


@contextmanager
def tripwire() -> Iterator[list[str]]:
    """While it is open, the list gets the name of each forbidden call.

    Every call of a function is looked at, also of one that was imported by name long
    before, so nothing has to be patched. Code of libraries in C is not seen.
    """
    tripped: list[str] = []

    def look(frame: FrameType, event: str, argument: Any) -> None:
        name = _forbidden(frame, event, argument)
        if name and name not in tripped:
            tripped.append(name)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield tripped
    finally:
        sys.setprofile(before)


def _forbidden(frame: FrameType, event: str, argument: Any) -> str:
    if event == "call":
        file = frame.f_code.co_filename.replace("\\", "/")
        if file.endswith(_FILES):
            return f"{file.rpartition('/')[2]}:{frame.f_code.co_name}"
        return ""
    if event != "c_call":
        return ""
    qualified = getattr(argument, "__qualname__", "")
    name = getattr(argument, "__name__", "")
    owner = getattr(argument, "__self__", None)
    module = getattr(argument, "__module__", None) or type(owner).__module__
    if qualified in _CLOCKS or module in _MODULES:
        return f"{module}.{name}"
    if module in _SYSTEM and name not in _PURE:
        return f"{module}.{name}"
    return ""
