"""How a problem in a configuration is written down: where, and one sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import TypeAlias

from tapeline.model.secrets import MASK, Secret

Problem: TypeAlias = tuple[str, str]
"""``(key path, sentence)`` as ``ConfigError`` holds it."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN = 60


def under(path: str, key: str) -> str:
    """The key path of *key* in the table at *path*, quoted where TOML needs it."""
    name = key if _BARE_KEY.fullmatch(key) else f'"{_cut(_visible(key))}"'
    return f"{path}.{name}" if path else name


def at(path: str, index: int) -> str:
    """The key path of item *index*, counted from 0, of the list at *path*."""
    return f"{path}[{index}]"


def found(value: object) -> str:
    """*value* in words, short, on one line, and masked where it is a secret."""
    kind = type(value)
    if kind is str:
        return f"'{_cut(_visible(str(value)))}'"
    if isinstance(value, Secret | str):
        return MASK if repr(value) == MASK else f"'{_cut(_visible(str(value)))}'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        bits = value.bit_length()
        return str(value) if bits <= 128 else f"an integer of {bits} bits"
    if isinstance(value, float | Decimal):
        return _cut(str(value))
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, Mapping):
        return "a table" if value else "an empty table"
    if isinstance(value, date | time):
        return "a date or time"
    return "nothing" if value is None else f"a {kind.__name__}"


def _visible(text: str) -> str:
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text[: _SHOWN + 1]
    )


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
