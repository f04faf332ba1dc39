"""Secrets that cannot be printed by accident."""

from __future__ import annotations

from typing import Final

MASK: Final = "<secret>"


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

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled or copied to another process")
