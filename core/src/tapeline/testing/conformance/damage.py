"""Damaging frames: cut short, of other types, with numbers that are none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

_MOST_CUTS = 24
_MOST_PLACES = 40

OTHER_TYPES: Sequence[object] = (None, True, [], {}, "x")
"""What stands in for a text or a number where the venue would never send it."""

NO_NUMBERS: Sequence[object] = ("NaN", "-Infinity", "1e999999", "9" * 5_000, "", "0x1F")
"""What stands in for a text that is a number."""

HUGE_INTEGERS: Sequence[object] = (2**63, 10**400, -(2**63) - 1)
"""What stands in for an integer."""

FOREIGN: Sequence[str | bytes] = (
    "",
    " ",
    "{",
    "{}",
    "[]",
    "[[]]",
    "[null]",
    "null",
    "0",
    '"text"',
    "NaN",
    '{"data":{}}',
    '{"data":[{}]}',
    '{"result":{},"id":"x"}',
    '{"event":"error"}',
    '{"error":{"code":-1,"msg":"no"}}',
    "\x00\x01\x02",
    b"\xff\xfe\xfd",
    "<html><body>502 Bad Gateway</body></html>",
    "[" * 100_000,
    '{"a":' * 100_000,
)
"""Frames that are no message of any venue."""


def cuts(frame: str) -> Iterator[str]:
    """*frame* without its end, cut at places all over it."""
    step = max(1, len(frame) // _MOST_CUTS)
    for end in (*range(1, len(frame), step), len(frame) - 1):
        yield frame[:end]


def with_other_types(frame: str) -> Iterator[tuple[str, str]]:
    """``(where, frame)`` for each value of *frame* that became another type."""
    for where, value, place in _places(frame):
        for other in OTHER_TYPES:
            if type(other) is not type(value) or other == "x":
                yield f"{where} = {other!r}", place(other)


def with_bad_numbers(frame: str) -> Iterator[tuple[str, str]]:
    """``(where, frame)`` for each number of *frame* that became none, or too large."""
    for where, value, place in _places(frame):
        if isinstance(value, str) and _is_number(value):
            for other in NO_NUMBERS:
                yield f"{where} = {str(other)[:12]!r}", place(other)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            for other in (*HUGE_INTEGERS, float("nan")):
                yield f"{where} = {str(other)[:12]}", place(other)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _places(frame: str) -> Iterator[tuple[str, Any, Any]]:
    """``(path, value, put)`` of the scalars in *frame*; nothing when it is no JSON."""
    try:
        document = json.loads(frame)
    except ValueError:
        return
    paths = list(_paths(document, ()))
    for path in paths[:: max(1, len(paths) // _MOST_PLACES)]:
        value = document
        for step in path:
            value = value[step]

        def put(other: object, path: tuple[str | int, ...] = path) -> str:
            changed = json.loads(frame)
            parent = changed
            for step in path[:-1]:
                parent = parent[step]
            parent[path[-1]] = other
            return json.dumps(changed, separators=(",", ":"), ensure_ascii=False)

        yield ".".join(map(str, path)), value, put


def _paths(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))
    elif path:
        yield path
