"""The connection, as its dialog sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tapeline.transport.endings import Ending


class Owner(Protocol):
    """The connection, as far as a dialog needs it."""

    tell: Callable[[str, str], None]

    def end(self, ending: Ending) -> None:
        """End the connection."""

    def replace(self, reason: str) -> None:
        """Have the connection replaced by another, with overlap."""

    def poke(self) -> None:
        """Let the steering look again."""

    def notify(self) -> None:
        """Let the line look again."""
