"""Secrets that cannot be printed by accident."""

from __future__ import annotations

import json
import re
import threading
from typing import Final
from urllib.parse import quote

MASK: Final = "<secret>"
MIN_MASKED: Final = 4
"""Shorter texts are not masked: they would cut holes in every other word."""


class Secret:
    """A text that only ``reveal()`` gives away.

    Its repr, str and format are masks, it compares by value and cannot be pickled.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; for signing and connecting only."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled or copied to another process")


class _Registry:
    """The texts that ``mask`` hides, for the life of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: set[str] = set()
        self.pattern: re.Pattern[str] | None = None

    def add(self, text: str) -> None:
        """Hide *text*, also as URLs, reprs and JSON spell it."""
        spellings = {
            text,
            quote(text, safe=""),
            quote(text),
            repr(text)[1:-1],
            json.dumps(text)[1:-1],
        }
        with self._lock:
            self._texts |= {one for one in spellings if len(one) >= MIN_MASKED}
            longest_first = sorted(self._texts, key=len, reverse=True)
            self.pattern = re.compile("|".join(map(re.escape, longest_first)))


_registry = _Registry()


def register_secret(secret: Secret | str) -> None:
    """Hide the text of *secret* wherever ``mask`` is applied, e.g. in every log.

    Texts of fewer than ``MIN_MASKED`` characters stay visible.
    """
    text = secret.reveal() if isinstance(secret, Secret) else str(secret)
    if len(text) >= MIN_MASKED:
        _registry.add(text)


def mask(text: str) -> str:
    """*text* with every registered secret in it replaced by ``MASK``."""
    pattern = _registry.pattern
    return text if pattern is None else pattern.sub(MASK, text)
